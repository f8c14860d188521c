"""Right solutions written otherwise than ours: five and more for every task, as students write them.

Each is put behind our own file, so that it takes the place of our function. `_ours` is the original.
"""

import textwrap


def both(name, arguments, how):
    """A wrapper that works on `how` of the floating-point tensors, and gives back what went in."""
    return textwrap.dedent(f"""
        _ours_{name} = {name}

        def {name}({arguments}, *rest, **named):
            given = [{arguments}]
            like = next(t for t in given if isinstance(t, torch.Tensor))
            made = [{how} if isinstance(t, torch.Tensor) else t for t in given]
            result = _ours_{name}(*made, *rest, **named)
            if isinstance(result, tuple):
                return tuple(r.to(like.dtype) for r in result)
            return result.to(like.dtype)
        """)


def renamed(name, arguments):
    """Helpers of the student's own, a class, a closure, other names of arguments."""
    return textwrap.dedent(f"""
        _ours_{name} = {name}

        class _Helper:
            def __init__(self):
                self.steps = []

            def apply(self, *things):
                self.steps.append(len(things))
                return _ours_{name}(*things)

        def {name}(*things):
            helper = _Helper()
            return (lambda *a: helper.apply(*a))(*things)
        """)


def general(name, arguments):
    """Three ways that suit every pure function."""
    return {
        "float32 inside float64": both(name, arguments, "t.float()"),
        "contiguous copies": both(
            name, arguments, "t.clone(memory_format=torch.contiguous_format)"
        ),
        "helpers of one's own": renamed(name, arguments),
    }


def ways(name, arguments, **own):
    own = {key.replace("_", " "): textwrap.dedent(text) for key, text in own.items()}
    return own | general(name, arguments)


LINEAR_FORWARD = ways(
    "linear_forward",
    "x, weight, bias",
    einsum="""
        def linear_forward(x, weight, bias=None):
            y = torch.einsum("...i,oi->...o", x, weight)
            return y if bias is None else y + bias
        """,
    loops="""
        def linear_forward(x, w, b=None):
            rows = x.reshape(-1, x.shape[-1])
            y = torch.zeros(len(rows), len(w), dtype=x.dtype)
            for n in range(len(rows)):
                for o in range(len(w)):
                    total = 0.0
                    for i in range(w.shape[1]):
                        total = total + rows[n, i] * w[o, i]
                    y[n, o] = total + (0 if b is None else b[o])
            return y.reshape(*x.shape[:-1], len(w))
        """,
    numpy_inside="""
        import numpy as np

        def linear_forward(x, weight, bias=None):
            y = np.tensordot(x.numpy(), weight.numpy(), axes=([-1], [1]))
            return torch.from_numpy(y if bias is None else y + bias.numpy())
        """,
)
LINEAR_BACKWARD = ways(
    "linear_backward",
    "dy, x, weight",
    einsum="""
        def linear_backward(dy, x, weight):
            dx = torch.einsum("...o,oi->...i", dy, weight)
            dweight = torch.einsum("...o,...i->oi", dy, x)
            return dx, dweight, torch.einsum("...o->o", dy)
        """,
    other_order_of_sums="""
        def linear_backward(dy, x, weight):
            a, b = dy.flatten(0, -2), x.flatten(0, -2)
            dweight, dbias = torch.zeros_like(weight), torch.zeros_like(weight[:, 0])
            for n in reversed(range(len(a))):
                dweight += torch.outer(a[n], b[n])
                dbias += a[n]
            return dy.matmul(weight), dweight, dbias
        """,
    broadcasting_and_lists="""
        def linear_backward(dy, x, weight):
            axes = tuple(range(dy.ndim - 1))
            dx = (dy[..., :, None] * weight).sum(-2)
            dweight = (dy[..., :, None] * x[..., None, :]).sum(axes)
            return [dx, dweight, dy.sum(axes)]
        """,
)
RELU_FORWARD = ways(
    "relu_forward",
    "x",
    where="def relu_forward(x):\n    return torch.where(x > 0, x, torch.zeros_like(x))\n",
    half_of_both="def relu_forward(x):\n    return (x + x.abs()) / 2\n",
    loop="""
        def relu_forward(x):
            y = torch.zeros_like(x, memory_format=torch.contiguous_format)
            flat, out = x.flatten(), y.view(-1)
            for i in range(len(flat)):
                if flat[i] > 0:
                    out[i] = flat[i]
            return y
        """,
)
RELU_BACKWARD = ways(
    "relu_backward",
    "dy, y",
    where="def relu_backward(dy, y):\n    return torch.where(y > 0, dy, 0.0)\n",
    mask="def relu_backward(dy, y):\n    dx = dy.clone()\n    dx[y <= 0] = 0\n    return dx\n",
    sign="def relu_backward(dy, y):\n    return dy * torch.sign(y)\n",
)
TANH_FORWARD = ways(
    "tanh_forward",
    "x",
    exponentials="def tanh_forward(x):\n    e = torch.exp(-2 * x)\n    return (1 - e) / (1 + e)\n",
    sigmoid="def tanh_forward(x):\n    return 2 * torch.sigmoid(2 * x) - 1\n",
    numpy_inside="""
        import numpy as np

        def tanh_forward(x):
            return torch.from_numpy(np.tanh(x.numpy()))
        """,
)
TANH_BACKWARD = ways(
    "tanh_backward",
    "dy, y",
    factors="def tanh_backward(dy, y):\n    return dy * (1 - y) * (1 + y)\n",
    apart="def tanh_backward(dy, y):\n    return dy - dy * y**2\n",
    zip_of_lists="""
        def tanh_backward(dy, y):
            out = [d * (1 - v * v) for d, v in zip(dy.flatten().tolist(), y.flatten().tolist())]
            return torch.tensor(out, dtype=dy.dtype).reshape(dy.shape)
        """,
)
MSE_FORWARD = ways(
    "mse_forward",
    "prediction, target",
    sum_over_number="""
        def mse_forward(prediction, target):
            difference = prediction - target
            return (difference * difference).sum() / difference.numel()
        """,
    means_of_means="def mse_forward(p, t):\n    return ((t - p) ** 2).mean(-1).mean(-1).mean(0)\n",
    loop="""
        def mse_forward(p, t):
            total = torch.zeros((), dtype=p.dtype)
            for a, b in zip(p.flatten(), t.flatten()):
                total = total + (a - b) ** 2
            return total / p.numel()
        """,
)
MSE_BACKWARD = ways(
    "mse_backward",
    "prediction, target",
    in_steps="""
        def mse_backward(prediction, target):
            dprediction = prediction.clone()
            dprediction -= target
            dprediction *= 2
            dprediction /= prediction.numel()
            return dprediction
        """,
    numpy_inside="""
        def mse_backward(p, t):
            a, b = p.numpy(), t.numpy()
            return torch.from_numpy(2 * (a - b) / a.size)
        """,
    math_prod="""
        import math

        def mse_backward(p, t):
            return (p - t).mul(2.0 / math.prod(p.shape))
        """,
)
ADAM = """
def adam_update(value, grad, exp_avg, exp_avg_sq, t, lr, betas=(0.9, 0.999), eps=1e-8,
                weight_decay=0.0, max_exp_avg_sq=None):
"""
ADAM_BODIES = {
    "as in the paper": """
    b1, b2 = betas
    g = grad + weight_decay * value
    exp_avg.copy_(b1 * exp_avg + (1 - b1) * g)
    exp_avg_sq.copy_(b2 * exp_avg_sq + (1 - b2) * g * g)
    v = exp_avg_sq
    if max_exp_avg_sq is not None:
        max_exp_avg_sq.copy_(torch.maximum(max_exp_avg_sq, exp_avg_sq))
        v = max_exp_avg_sq
    value -= lr * (exp_avg / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps)
""",
    "by element": """
    (b1, b2), m, v = betas, exp_avg, exp_avg_sq
    for i in range(value.numel()):
        g = grad[i] + weight_decay * value[i]
        m[i] = b1 * m[i] + (1 - b1) * g
        v[i] = b2 * v[i] + (1 - b2) * g**2
        u = v[i]
        if max_exp_avg_sq is not None:
            max_exp_avg_sq[i] = u = max(max_exp_avg_sq[i], v[i])
        value[i] -= lr / (1 - b1**t) * m[i] / ((u / (1 - b2**t)) ** 0.5 + eps)
""",
    "numpy inside": """
    (b1, b2), m, v = betas, exp_avg.numpy(), exp_avg_sq.numpy()
    g = grad.numpy() + weight_decay * value.numpy()
    m *= b1
    m += (1 - b1) * g
    v *= b2
    v += (1 - b2) * g**2
    if max_exp_avg_sq is not None:
        top = max_exp_avg_sq.numpy()
        top[:] = v.clip(min=top)
        v = top
    w = value.numpy()
    w -= lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)) ** 0.5 + eps)
""",
    "slices": """
    m, v, g = exp_avg[:], exp_avg_sq[:], grad.clone()
    if weight_decay:
        g += weight_decay * value
    m[...] = torch.lerp(g, m, betas[0])
    v[...] = betas[1] * v + (g * (1 - betas[1])) * g
    if max_exp_avg_sq is None:
        root = v.sqrt()
    else:
        torch.maximum(max_exp_avg_sq, v, out=max_exp_avg_sq)
        root = max_exp_avg_sq.sqrt()
    root = root / (1 - betas[1] ** t) ** 0.5 + eps
    value[...] = value - lr * m / (1 - betas[0] ** t) / root
""",
    "float32 inside float64": """
    (b1, b2), dtype = betas, value.dtype
    w, g, m, v = (x.float() for x in (value, grad, exp_avg, exp_avg_sq))
    g = g + weight_decay * w
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    exp_avg.copy_(m)
    exp_avg_sq.copy_(v)
    if max_exp_avg_sq is not None:
        v = torch.maximum(max_exp_avg_sq.float(), v)
        max_exp_avg_sq.copy_(v)
    value.copy_(w - lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps))
""",
}
STEP = {
    "all in one": """
        def train_step(model, optimizer, x):
            optimizer.zero_grad()
            y = model(x)
            loss = mse_forward(y, x)
            if loss.isfinite():
                model.backward(mse_backward(y, x))
                optimizer.step()
            return loss
        """,
    "its own loss": """
        def train_step(model, optimizer, x):
            optimizer.zero_grad()
            y = model.forward(x)
            model.backward(2 * (y - x) / x.numel())
            optimizer.step()
            return ((y - x) ** 2).mean()
        """,
    "the gradients emptied by hand": """
        def train_step(model, optimizer, x):
            for parameter in model.parameters():
                parameter.grad.zero_()
            y = model.forward(x)
            model.backward(mse_backward(y, x))
            optimizer.step()
            return mse_forward(y, x)
        """,
    "emptied afterwards": """
        def train_step(model, optimizer, x):
            y = model.forward(x)
            loss = mse_forward(y, x)
            model.backward(mse_backward(y, x))
            optimizer.step()
            optimizer.zero_grad()
            return loss
        """,
    "with helpers": """
        def _forward(model, x):
            y = model.forward(x)
            return y, mse_forward(y, x)

        def train_step(model, optimizer, x):
            optimizer.zero_grad()
            y, loss = _forward(model, x)
            (lambda dy: model.backward(dy))(mse_backward(y, x))
            optimizer.step()
            return loss
        """,
}
CONV = """
def _pair(n):
    return (n, n) if isinstance(n, int) else tuple(n)

def _taps(x, w, stride, padding, dilation, P, Q):
    (s, t), (p, q), (d, e) = _pair(stride), _pair(padding), _pair(dilation)
    wide = torch.zeros(x.shape[0], x.shape[1], x.shape[2] + 2 * p + s, x.shape[3] + 2 * q + t,
                       dtype=x.dtype)
    wide[:, :, p : p + x.shape[2], q : q + x.shape[3]] = x
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            yield i, j, wide, (slice(None), slice(None), slice(i * d, i * d + s * P, s),
                               slice(j * e, j * e + t * Q, t))

def _size(x, w, stride, padding, dilation):
    return [(x.shape[2 + a] + 2 * _pair(padding)[a] - _pair(dilation)[a] * (w.shape[2 + a] - 1) - 1)
            // _pair(stride)[a] + 1 for a in (0, 1)]
"""
CONV_FORWARD = {
    "taps": """
def conv2d_forward(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    P, Q = _size(x, weight, stride, padding, dilation)
    parts = []
    for xs, ws in zip(x.chunk(groups, 1), weight.chunk(groups, 0)):
        y = 0
        for i, j, wide, at in _taps(xs, ws, stride, padding, dilation, P, Q):
            y = y + torch.einsum("nchw,oc->nohw", wide[at][:, :, :P, :Q], ws[:, :, i, j])
        parts.append(y)
    y = torch.cat(parts, 1)
    return y if bias is None else y + bias[:, None, None]
""",
    "positions": """
def conv2d_forward(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (s, t), (p, q), (d, e) = _pair(stride), _pair(padding), _pair(dilation)
    P, Q = _size(x, weight, stride, padding, dilation)
    O, C, kh, kw = weight.shape
    y = torch.zeros(len(x), O, P, Q, dtype=x.dtype)
    for o in range(O):
        first = o // (O // groups) * C
        for a in range(P):
            for b in range(Q):
                for i in range(kh):
                    for j in range(kw):
                        h, v = a * s + i * d - p, b * t + j * e - q
                        if 0 <= h < x.shape[2] and 0 <= v < x.shape[3]:
                            y[:, o, a, b] += x[:, first : first + C, h, v] @ weight[o, :, i, j]
    if bias is not None:
        y += bias.reshape(1, -1, 1, 1)
    return y
""",
}
CONV_BACKWARD = {
    "taps": """
def conv2d_backward(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    (p, q), (P, Q) = _pair(padding), dy.shape[2:]
    dxs, dws = [], []
    for xs, ws, ds in zip(x.chunk(groups, 1), weight.chunk(groups, 0), dy.chunk(groups, 1)):
        dw = torch.zeros_like(ws)
        dwide = None
        for i, j, wide, at in _taps(xs, ws, stride, padding, dilation, P, Q):
            dwide = torch.zeros_like(wide) if dwide is None else dwide
            dw[:, :, i, j] = torch.einsum("nohw,nchw->oc", ds, wide[at])
            dwide[at] += torch.einsum("nohw,oc->nchw", ds, ws[:, :, i, j])
        dxs.append(dwide[:, :, p : p + x.shape[2], q : q + x.shape[3]])
        dws.append(dw)
    return torch.cat(dxs, 1), torch.cat(dws, 0), dy.sum((0, 2, 3))
""",
    "positions": """
def conv2d_backward(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    (s, t), (p, q), (d, e) = _pair(stride), _pair(padding), _pair(dilation)
    O, C, kh, kw = weight.shape
    dx, dw = torch.zeros(x.shape, dtype=x.dtype), torch.zeros(weight.shape, dtype=x.dtype)
    for o in range(O):
        c = slice(o // (O // groups) * C, o // (O // groups) * C + C)
        for a in range(dy.shape[2]):
            for b in range(dy.shape[3]):
                for i in range(kh):
                    for j in range(kw):
                        h, v = a * s + i * d - p, b * t + j * e - q
                        if 0 <= h < x.shape[2] and 0 <= v < x.shape[3]:
                            dx[:, c, h, v] += dy[:, o, a, b, None] * weight[o, :, i, j]
                            dw[o, :, i, j] += dy[:, o, a, b] @ x[:, c, h, v]
    return dx, dw, dy.flatten(2).sum(2).sum(0)
""",
}
TRANSPOSED = {
    "spread": """
def conv_transpose2d_forward(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1,
                             dilation=1):
    (s, t), (p, q), (d, e) = _pair(stride), _pair(padding), _pair(dilation)
    u, v = _pair(output_padding)
    P, Q = x.shape[2:]
    kh, kw = weight.shape[2:]
    H, W = (P - 1) * s - 2 * p + d * (kh - 1) + 1 + u, (Q - 1) * t - 2 * q + e * (kw - 1) + 1 + v
    parts = []
    for xs, ws in zip(x.chunk(groups, 1), weight.chunk(groups, 0)):
        wide = torch.zeros(len(x), ws.shape[1], H + 2 * p + s, W + 2 * q + t, dtype=x.dtype)
        for i in range(kh):
            for j in range(kw):
                wide[:, :, i * d : i * d + s * P : s, j * e : j * e + t * Q : t] += torch.einsum(
                    "nohw,oc->nchw", xs, ws[:, :, i, j])
        parts.append(wide[:, :, p : p + H, q : q + W])
    y = torch.cat(parts, 1)
    return y if bias is None else y + bias[:, None, None]
""",
}
TRANSPOSED_BACKWARD = {
    "gather": """
def conv_transpose2d_backward(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    P, Q = x.shape[2:]
    dxs, dws = [], []
    for xs, ws, ds in zip(x.chunk(groups, 1), weight.chunk(groups, 0), dy.chunk(groups, 1)):
        dx, dw = torch.zeros(xs.shape, dtype=x.dtype), torch.zeros(ws.shape, dtype=x.dtype)
        for i, j, wide, at in _taps(ds, ws, stride, padding, dilation, P, Q):
            dx += torch.einsum("nchw,oc->nohw", wide[at], ws[:, :, i, j])
            dw[:, :, i, j] = torch.einsum("nohw,nchw->oc", xs, wide[at])
        dxs.append(dx)
        dws.append(dw)
    return torch.cat(dxs, 1), torch.cat(dws, 0), dy.sum((0, 2, 3))
""",
}
BATCHNORM_FORWARD = ways(
    "batchnorm_forward",
    "x, weight, bias",
    var_mean="""
        def batchnorm_forward(x, weight, bias, eps=1e-5):
            axes = [a for a in range(x.ndim) if a != 1]
            shape = [1, -1] + [1] * (x.ndim - 2)
            mean, var = x.mean(axes), x.var(axes, correction=0)
            xhat = (x - mean.reshape(shape)) / (var.reshape(shape) + eps).sqrt()
            return xhat * weight.reshape(shape) + bias.reshape(shape), xhat, mean, var
        """,
    by_channel="""
        def batchnorm_forward(x, weight, bias, eps=1e-5):
            y, xhat = torch.zeros(x.shape, dtype=x.dtype), torch.zeros(x.shape, dtype=x.dtype)
            means, variances = [], []
            for c in range(x.shape[1]):
                mean = x[:, c].sum() / x[:, c].numel()
                var = ((x[:, c] - mean) ** 2).sum() / x[:, c].numel()
                xhat[:, c] = (x[:, c] - mean) * (var + eps) ** -0.5
                y[:, c] = weight[c] * xhat[:, c] + bias[c]
                means.append(mean)
                variances.append(var)
            return y, xhat, torch.stack(means), torch.stack(variances)
        """,
)
BATCHNORM_BACKWARD = ways(
    "batchnorm_backward",
    "dy, xhat, weight, var",
    in_steps="""
        def batchnorm_backward(dy, xhat, weight, var, eps=1e-5):
            axes = [a for a in range(dy.ndim) if a != 1]
            shape = [1, -1] + [1] * (dy.ndim - 2)
            dxhat = dy * weight.reshape(shape)
            centred = dxhat - dxhat.mean(axes, keepdim=True)
            dx = centred - xhat * (dxhat * xhat).mean(axes, keepdim=True)
            return dx / (var + eps).sqrt().reshape(shape), (dy * xhat).sum(axes), dy.sum(axes)
        """,
    by_channel="""
        def batchnorm_backward(dy, xhat, weight, var, eps=1e-5):
            dx = torch.zeros(dy.shape, dtype=dy.dtype)
            dw, db = torch.zeros_like(weight), torch.zeros_like(weight)
            for c in range(dy.shape[1]):
                d, h = dy[:, c], xhat[:, c]
                m = d.numel()
                dw[c], db[c] = (d * h).sum(), d.sum()
                dx[:, c] = weight[c] / (m * (var[c] + eps) ** 0.5) * (m * d - db[c] - h * dw[c])
            return dx, dw, db
        """,
)
RUNNING = ways(
    "running_statistics",
    "running_mean, running_var, mean, var",
    lerp="""
        def running_statistics(running_mean, running_var, mean, var, m, momentum=0.1):
            unbiased = var * m / (m - 1)
            return running_mean.lerp(mean, momentum), running_var.lerp(unbiased, momentum)
        """,
    differences="""
        def running_statistics(rm, rv, mean, var, m, momentum=0.1):
            return rm - momentum * (rm - mean), rv - momentum * (rv - var * (m / (m - 1)))
        """,
)


def numpy_result(name):
    """The result by way of numpy and back."""
    return textwrap.dedent(f"""
        _before_{name} = {name}

        def {name}(*arguments):
            result = _before_{name}(*arguments)
            if isinstance(result, tuple):
                return tuple(torch.from_numpy(r.numpy().copy()) for r in result)
            return torch.from_numpy(result.numpy().copy())
        """)


def conv_ways(name, arguments, bodies):
    found = {how: CONV + body for how, body in bodies.items()}
    first = next(iter(found.values()))
    found["taps in float32"] = first + both(name, arguments, "t.float()")
    found["numpy on the way out"] = first + numpy_result(name)
    return found | general(name, arguments)


OTHERWISE = {
    ("hw1", "linear_forward"): LINEAR_FORWARD,
    ("hw1", "linear_backward"): LINEAR_BACKWARD,
    ("hw1", "relu_forward"): RELU_FORWARD,
    ("hw1", "relu_backward"): RELU_BACKWARD,
    ("hw1", "tanh_forward"): TANH_FORWARD,
    ("hw1", "tanh_backward"): TANH_BACKWARD,
    ("hw1", "mse_forward"): MSE_FORWARD,
    ("hw1", "mse_backward"): MSE_BACKWARD,
    ("hw2", "adam_update"): {
        how: "import torch\n" + ADAM + body.strip("\n") for how, body in ADAM_BODIES.items()
    },
    ("hw2", "train_step"): {how: textwrap.dedent(text) for how, text in STEP.items()},
    ("hw3", "conv2d_forward"): conv_ways("conv2d_forward", "x, weight", CONV_FORWARD),
    ("hw3", "conv2d_backward"): conv_ways("conv2d_backward", "dy, x, weight", CONV_BACKWARD),
    ("hw4", "conv_transpose2d_forward"): conv_ways(
        "conv_transpose2d_forward", "x, weight", TRANSPOSED
    ),
    ("hw4", "conv_transpose2d_backward"): conv_ways(
        "conv_transpose2d_backward", "dy, x, weight", TRANSPOSED_BACKWARD
    ),
    ("hw4", "batchnorm_forward"): BATCHNORM_FORWARD,
    ("hw4", "batchnorm_backward"): BATCHNORM_BACKWARD,
    ("hw4", "running_statistics"): RUNNING,
}
