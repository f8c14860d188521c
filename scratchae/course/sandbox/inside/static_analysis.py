"""Static analysis: what can be learned from a source without running it.

It runs in a child, because parsing can crash.

policy: things that a hand-written layer does not need, with their lines. fingerprints: hashes of short
sequences of syntax nodes, without names; the grader uses them to find submissions that are nearly the
same. unwritten: functions that only raise NotImplementedError.
"""

from __future__ import annotations

import ast
import hashlib

MODULES = (
    "torch.autograd",
    "torch.nn",
    "torch.optim",
    "torch.func",
    "torch._C",
    "ctypes",
    "inspect",
)
TAUGHT = {
    *("autograd", "enable_grad", "requires_grad_", "requires_grad", "vjp", "jacrev", "grad_fn"),
    *("conv2d", "conv_transpose2d", "convolution", "unfold_copy", "im2col", "col2im", "fold"),
    *("batch_norm", "native_batch_norm", "mse_loss", "threshold_backward", "tanh_backward"),
    *("conv1d", "conv3d", "native_layer_norm", "_fused_adam_", "_fused_sgd_"),
}
REACHING = {"eval", "exec", "compile", "__import__", "globals", "_getframe", "__builtins__"}
RUN, MAX_FINGERPRINTS = 12, 400  # syntax nodes in a sequence; hashes that are kept for a file


def analyse_files(header: dict) -> dict:
    """Return {"analyse": {file: {"error", "policy", "fingerprints", "unwritten"}}} for the files in a job."""
    return {"analyse": {name: analyse(source) for name, source in header["files"].items()}}


def analyse(source: str) -> dict:
    try:
        tree = ast.parse(source)
        found = {
            "policy": policy(tree)[:20],
            "fingerprints": fingerprints(tree),
            "unwritten": unwritten(tree),
        }
        return {"error": "", **found}
    except SyntaxError as error:
        line = f" in line {error.lineno}" if error.lineno else ""
        return {"error": f"a syntax error{line}"}
    except (ValueError, RecursionError, MemoryError):
        return {"error": "it is nested too deeply, or contains a byte that is not text"}


def unwritten(tree: ast.Module) -> list[str]:
    """Return the top-level functions whose whole body raises NotImplementedError."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            body = node.body[1 if ast.get_docstring(node) else 0 :]
            raises = len(body) == 1 and isinstance(body[0], ast.Raise)
            if raises and "NotImplementedError" in ast.dump(body[0]):
                found.append(node.name)
    return found[:100]


def policy(tree: ast.AST) -> list[str]:
    """Return a sentence for everything that hand-written code does not need."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.stmt):
            continue
        line, names = node.lineno, []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [dotted(node)]
            if node.attr in TAUGHT:
                found.add((line, f"uses .{node.attr}"))
        elif isinstance(node, ast.Name) and node.id in REACHING:
            found.add((line, f"uses {node.id}"))
        elif isinstance(node, ast.Constant) and node.value in TAUGHT | set(MODULES):
            found.add((line, f"has the name {node.value!r} as a text"))
        hits = {m for m in MODULES for name in names if f"{name}.".startswith(f"{m}.")}
        found |= {(line, f"reaches for {module}") for module in hits}
    return [f"line {line} {what}" for line, what in sorted(found)]


def dotted(node: ast.expr) -> str:
    """Return a.b.c as text, or "" for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def fingerprints(tree: ast.AST) -> list[int]:
    """Return the smallest hashes of all sequences of RUN nodes in the functions' bodies without docstrings."""
    found = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        body = function.body[1 if ast.get_docstring(function) else 0 :]
        kinds = [kind_of(node) for statement in body for node in in_order(statement)]
        for i in range(max(1, len(kinds) - RUN + 1)):
            digest = hashlib.blake2b(" ".join(kinds[i : i + RUN]).encode(), digest_size=6).digest()
            found.add(int.from_bytes(digest, "big"))
    return sorted(found)[:MAX_FINGERPRINTS]


def in_order(node: ast.AST):
    """Yield the nodes of a tree in the order of the source, without the contexts of names."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr_context):
            yield from in_order(child)


def kind_of(node: ast.AST) -> str:
    """Return the kind of a node, with what renaming does not change: attributes and constants."""
    if isinstance(node, ast.Attribute):
        return f"Attribute:{node.attr}"
    if isinstance(node, ast.Constant):
        return f"Constant:{str(node.value)[:40]}"
    return type(node).__name__
