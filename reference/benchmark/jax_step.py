"""The training step in JAX, as a JAX user writes it: pure functions, NHWC, one jit."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from torch import Tensor

from reference.benchmark.cases import ADAM, Case
from reference.benchmark.contenders import Contender, UnusableError
from scratchae.layers import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Layer,
    Linear,
    ReLU,
    Sequential,
    Tanh,
)

jax.config.update("jax_default_matmul_precision", "float32")  # no TF32 on a GPU

IMAGES = ("NHWC", "HWIO", "NHWC")  # input, weight, output


def jax_contender(case: Case, images: Tensor, scan: bool) -> Contender:
    """Compile one step, or a lax.scan over all batches, with a donated state."""
    if not any(device.platform == platform_of(case) for device in jax.devices()):
        raise UnusableError(
            f"this JAX has no support for {case.device}: pip install -U 'jax[cuda12]'"
        )
    model = case.build()
    layers = [layer for _, layer in model.leaves()]
    one_step = step_of(layers)
    parameters = [parameters_of(layer) for layer in layers]
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = {"p": parameters, "m": zeros, "v": jax.tree.map(jnp.copy, zeros), "t": jnp.zeros(())}
    feed = [jnp.asarray(channels_last(x.cpu().numpy())) for x in case.batches(images)]
    if scan:
        feed = [jnp.stack(feed)]
        many = jax.jit(lambda state, xs: lax.scan(one_step, state, xs), donate_argnums=0)
    else:
        many = jax.jit(one_step, donate_argnums=0)
    run = many.lower(state, feed[0]).compile()

    def step(x: jax.Array) -> jax.Array:
        nonlocal state
        state, loss = run(state, x)
        return loss

    def compiled_bytes() -> int:
        analysis = run.memory_analysis()
        new = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        return analysis.temp_size_in_bytes + max(0, new)

    def wait() -> None:
        jax.block_until_ready(state)

    return Contender(step, feed, case.count if scan else 1, wait, compiled_bytes)


def platform_of(case: Case) -> str:
    return "cpu" if case.device == "cpu" else "gpu"


def channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def parameters_of(layer: Layer) -> dict[str, jax.Array]:
    """Return the layer's weights in the layout of JAX: (in, out), or HWIO."""
    found = {name: p.detach().cpu().numpy() for name, p in layer.named_parameters()}
    if isinstance(layer, Linear):
        found["weight"] = found["weight"].T
    elif isinstance(layer, Conv2d):
        found["weight"] = found["weight"].transpose(2, 3, 1, 0)
    elif isinstance(layer, ConvTranspose2d):  # a convolution with the kernel flipped
        found["weight"] = found["weight"].transpose(2, 3, 0, 1)[::-1, ::-1]
    return {name: jnp.array(p, copy=True) for name, p in found.items()}


def forward(layer: Layer, p: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Compute the forward pass of the layer."""
    if isinstance(layer, Linear):
        return x @ p["weight"] + p["bias"]
    if isinstance(layer, Conv2d):
        pad = [(n, n) for n in layer.padding]
        y = lax.conv_general_dilated(x, p["weight"], layer.stride, pad, dimension_numbers=IMAGES)
        return y + p["bias"]
    if isinstance(layer, ConvTranspose2d):
        sides = zip(layer.kernel_size, layer.padding, layer.output_padding, strict=True)
        pad = [(k - 1 - n, k - 1 - n + extra) for k, n, extra in sides]
        y = lax.conv_general_dilated(
            x, p["weight"], (1, 1), pad, lhs_dilation=layer.stride, dimension_numbers=IMAGES
        )
        return y + p["bias"]
    if isinstance(layer, BatchNorm2d):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * lax.rsqrt(variance + layer.eps) * p["weight"] + p["bias"]
    if isinstance(layer, ReLU):
        return jax.nn.relu(x)
    if isinstance(layer, Tanh):
        return jnp.tanh(x)
    raise UnusableError(f"the JAX contender has no form of {type(layer).__name__}")


def step_of(layers: list[Layer] | Sequential) -> Callable:
    """Return the function (state, x) -> (state after one step of Adam, loss)."""

    def loss_of(parameters: list[dict], x: jax.Array) -> jax.Array:
        y = x
        for layer, p in zip(layers, parameters, strict=True):
            y = forward(layer, p, y)
        return jnp.mean((y - x) ** 2)

    def one_step(state: dict, x: jax.Array) -> tuple[dict, jax.Array]:
        loss, gradients = jax.value_and_grad(loss_of)(state["p"], x)
        t, decay = state["t"] + 1, ADAM["weight_decay"]
        g = jax.tree.map(lambda g, p: g + decay * p, gradients, state["p"])
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["m"], g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state["v"], g)
        scale, root = ADAM["lr"] / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        p = jax.tree.map(
            lambda p, m, v: p - scale * m / (jnp.sqrt(v) / root + 1e-8), state["p"], m, v
        )
        return {"p": p, "m": m, "v": v, "t": t}, loss

    return one_step
