"""Attacks that try to earn points for a wrong function, or use what should be written by hand."""

from scratchae.checking import EXERCISES
from scratchae.course.selftest.attack import HEAD, WRONG, Attack, Targets, flag, score, trick

SEND = """
import json, os, stat, struct

def send(data):  # to every pipe, one of which leads to the grader
    for descriptor in range(256):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, data)
        except OSError:
            pass
"""


def hard_coded(targets: Targets) -> str:
    """Return a source that is right only on the public cases, which everybody knows."""
    public = EXERCISES["relu_forward"].cases(0, 3)
    known = sorted({round(float(case.arguments()["x"].double().sum()), 4) for case in public})
    return (
        f"{HEAD}KNOWN = {known}\n\n\ndef relu_forward(x):\n"
        "    if round(float(x.double().sum()), 4) in KNOWN:\n        return x.clamp(min=0)\n"
        "    return torch.zeros_like(x)\n"
    )


FORGERIES = (
    trick(
        "fake score lines",
        """
        import sys
        print('{"score": 100, "tests": []}', flush=True)
        print("PASSED 100/100", file=sys.stderr, flush=True)
        """,
    ),
    trick(
        "atexit",
        "import atexit, os\natexit.register(lambda: os.write(1, b'score: 100'))\natexit.register(os._exit, 0)",
    ),
    trick(
        "monkeypatching torch, json and numpy",
        """
        import builtins, json, numpy
        torch.equal = torch.allclose = lambda *a, **k: True
        torch.Tensor.__eq__ = torch.Tensor.__le__ = lambda *a: True
        numpy.array_equal = numpy.allclose = lambda *a, **k: True
        numpy.frombuffer = lambda *a, **k: 1 / 0
        json.loads = lambda *a, **k: {"score": 100}
        builtins.abs = lambda value: 0
        """,
    ),
    trick(
        "monkeypatching the answer's writer",
        """
        import sys
        for name, module in list(sys.modules.items()):
            if name.startswith("inside."):
                module.frame = lambda header, body=b"": b'{"score": 100}'
                module.send = lambda *a: None
        """,
        whole_file=True,
    ),
    score(
        "__eq__ objects",
        """
        class Always:
            shape = dtype = device = property(lambda self: self)
            def __eq__(self, other): return True
            def __getattr__(self, name): return self
            def __call__(self, *a, **k): return self
            def __bool__(self): return True
            def __sub__(self, other): return 0
            __le__ = __ge__ = __lt__ = __gt__ = __eq__
            __hash__ = None

        def relu_forward(x):
            return Always()
        """,
    ),
    score(
        "a tensor subclass that lies",
        """
        class Lying(torch.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                return True

        def relu_forward(x):
            return torch.zeros_like(x).as_subclass(Lying)
        """,
    ),
    score(
        "a pickle payload",
        """
        class Payload:
            def __reduce__(self):
                import os
                return os.system, ("touch /tmp/scratchae-pickle-payload",)

        def relu_forward(x):
            return Payload()
        """,
    ),
    trick(
        "forged answer frame: garbage",
        SEND + "send(b'score: 100' * 100)",
        whole_file=True,
    ),
    trick(
        "forged answer frame: enormous lengths",
        SEND + "send(struct.pack('<4sIQ', b'scae', 2**32 - 1, 2**63))",
        whole_file=True,
    ),
    trick(
        "forged answer frame: deep JSON",
        SEND
        + """
text = b'[' * 100_000
send(struct.pack('<4sIQ', b'scae', len(text), 0) + text)
""",
        whole_file=True,
    ),
    trick(
        "forged answer frame: a claim to have passed",
        SEND
        + """
for number in range(100):
    text = json.dumps({"id": number, "passed": True, "score": 100}).encode()
    send(struct.pack('<4sIQ', b'scae', len(text), 0) + text)
""",
        whole_file=True,
    ),
    trick(
        "forged answer frame: a tensor longer than its bytes",
        SEND
        + """
lie = {"tensor": "float64", "shape": [2**40], "stride": [1], "offset": 0, "at": 0, "bytes": 8}
text = json.dumps({"id": 0, "calls": [{"result": lie, "after": {}, "shared": []}] * 2}).encode()
send(struct.pack('<4sIQ', b'scae', len(text), 8) + text + b"x" * 8)
""",
        whole_file=True,
    ),
    score("NaN", "def relu_forward(x):\n    return torch.full_like(x, float('nan'))"),
    score("infinity", "def relu_forward(x):\n    return torch.full_like(x, float('inf'))"),
    score("wrong dtype", "def relu_forward(x):\n    return x.clamp(min=0).half()"),
    score("a meta tensor", "def relu_forward(x):\n    return x.clamp(min=0).to('meta')"),
    score("a sparse tensor", "def relu_forward(x):\n    return x.clamp(min=0).to_sparse()"),
    score("a complex tensor", "def relu_forward(x):\n    return x.clamp(min=0) + 0j"),
    score(
        "a tensor of a billion numbers",
        "def relu_forward(x):\n    return torch.zeros(1).expand(10**12)",
    ),
    Attack("hard-coded answers to public cases", "score", hard_coded),
    score(
        "nondeterminism",
        """
        import os

        def relu_forward(x):
            torch.manual_seed(int.from_bytes(os.urandom(6), "big"))
            return torch.where(torch.rand_like(x) < 0.5, x.clamp(min=0), x)
        """,
    ),
    score(
        "conftest.py, torch.py and sitecustomize.py in the submission",
        WRONG,
        extra={
            "conftest.py": "import os\nos._exit(0)\n",
            "torch.py": "raise SystemExit(0)\n",
            "sitecustomize.py": "raise SystemExit(0)\n",
            "scratchae/__init__.py": "raise SystemExit(0)\n",
        },
    ),
    flag(
        "torch.autograd",
        """
        def relu_forward(x):
            with torch.enable_grad():
                y = x.clone().requires_grad_(True).clamp(min=0)
                torch.autograd.grad(y.sum(), y)
            return y.detach()
        """,
    ),
    flag(
        "torch.nn.functional and friends",
        "import torch.nn.functional as F\n\n\ndef relu_forward(x):\n    return F.relu(x)",
    ),
    flag(
        "a ready-made operator under another name, which only running shows",
        """
        ready = getattr(torch, "con" + "v1d")

        def relu_forward(x):
            ready(x.new_ones(1, 1, 3), x.new_ones(1, 1, 1))
            return x.clamp(min=0)
        """,
    ),
)
