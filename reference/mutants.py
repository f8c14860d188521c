"""Mutants: a source file with one small mistake, made from its syntax tree, one for every place.

They are made by rules, thousands of them, and have no sentence. So they are not rows of the catalogue
of mistakes, whose old and new text a person has written.

Not mutated are docstrings, type hints, decorators, imports, the text of a `raise` (the whole statement
is deleted, though), f-strings, `repr`, and `strict=` of a zip, which only guards against ourselves.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

ARITHMETIC = {
    **{ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Div], ast.Div: [ast.Mult]},
    **{ast.Pow: [ast.Mult], ast.MatMult: [ast.Mult]},
    **{ast.FloorDiv: [ast.Div, ast.Mult], ast.Mod: [ast.FloorDiv, ast.Mult]},
}
COMPARISONS = {  # the border, and the opposite
    **{ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt]},
    **{ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt]},
    **{ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is]},
    **{ast.In: [ast.NotIn], ast.NotIn: [ast.In]},
}
OPPOSITES = {"max": "min", "min": "max", "all": "any", "any": "all", "maximum": "minimum"}
NOT_MUTATED = {"annotation", "returns", "decorator_list", "exc"}  # fields of syntax nodes
NO_VALUE = {"self", "torch", "math", "copy"}  # what stands before the dot of a plain function


@dataclass(frozen=True)
class Mutant:
    """file: its path below scratchae/. line, text: the place. what: "old → new". source: the new file."""

    file: str
    line: int
    text: str
    what: str
    source: str


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return all mutants of a file, in the order of its lines. No two have the same text."""
    tree, lines = ast.parse(source), source.splitlines()
    doomed = deletable(tree)
    seen, found, alike = {ast.unparse(tree)}, [], Counter()
    for parent, name, index, node in places(tree):
        news = list(replacements(node, parent, name))
        if id(node) in doomed:
            news.append(ast.Pass())
        for new in news:
            whole = parent if isinstance(node, ast.Constant) else None
            before = shown(whole, index, node)
            put(parent, name, index, new)
            text, after = ast.unparse(ast.fix_missing_locations(tree)), shown(whole, index, new)
            put(parent, name, index, node)
            if text not in seen:
                seen.add(text)
                line, what = lines[node.lineno - 1].strip(), f"{before} → {after}"
                alike[line, what] += 1
                what += f" [{alike[line, what]}]" if alike[line, what] > 1 else ""
                found.append(Mutant(file, node.lineno, line, what, text))
    return sorted(found, key=lambda mutant: mutant.line)


def shown(parent: ast.AST | None, index: int | None, node: ast.AST) -> str:
    """Return the text of a node, with the expression around it if parent is given."""
    if isinstance(parent, ast.arguments):  # the default of an argument; those are the last ones
        return f"{(parent.args[-len(parent.defaults) :])[index].arg}={ast.unparse(node)}"
    if isinstance(parent, ast.expr | ast.keyword):
        return ast.unparse(parent)
    return "nothing" if isinstance(node, ast.Pass) else ast.unparse(node)


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Yield (parent, field, index in the field's list or None, node) of all that may be replaced."""
    for name, value in ast.iter_fields(node):
        if name in NOT_MUTATED:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not left_out(child):
                if isinstance(child, ast.expr | ast.stmt):
                    yield node, name, index, child
                yield from places(child)


def left_out(node: ast.AST) -> bool:
    """Whether a node is not mutated: an import, a docstring, a text for people."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.FunctionDef(name="__repr__" | "extra_repr") | ast.keyword(arg="strict"):
            return True
    return False


def put(parent: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node


def deletable(tree: ast.AST) -> set[int]:
    """Return the ids of the statements that can be deleted without leaving a name unbound."""
    found = set()
    for owner in ast.walk(tree):
        names: Counter = Counter()
        if isinstance(owner, ast.FunctionDef):
            names.update(a.arg for a in ast.walk(owner.args) if isinstance(a, ast.arg))
            stores = (n for n in ast.walk(owner) if isinstance(n, ast.Name))
            names.update(n.id for n in stores if isinstance(n.ctx, ast.Store))
        elif not isinstance(owner, ast.ClassDef):
            continue
        for node in ast.walk(owner) if isinstance(owner, ast.FunctionDef) else owner.body:
            match node:
                case ast.Expr() | ast.AugAssign() | ast.Raise():
                    found.add(id(node))
                case ast.Return() if node is not owner.body[-1]:
                    found.add(id(node))
                case ast.Assign(targets=[target]) | ast.AnnAssign(target=target, value=ast.expr()):
                    bound = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)} - {"self"}
                    if isinstance(owner, ast.ClassDef) or all(names[name] > 1 for name in bound):
                        found.add(id(node))
    return found


def replacements(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST]:
    """Yield what may replace the node."""
    if field in ("test", "ifs") and not isinstance(node, ast.Compare):
        yield ast.UnaryOp(ast.Not(), node)
    match node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            yield from (changed(node, op=other()) for other in ARITHMETIC[type(op)])
            yield left
            if isinstance(op, ast.Add | ast.Mult):
                yield right
            else:
                yield changed(node, left=right, right=left)
            if isinstance(op, ast.Sub):
                yield ast.UnaryOp(ast.USub(), right)
        case ast.AugAssign(target=target, op=op, value=value):
            yield from (changed(node, op=other()) for other in ARITHMETIC[type(op)])
            yield ast.Assign([target], value)
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    yield changed(node, ops=[*ops[:i], other(), *ops[i + 1 :]])
        case ast.BoolOp(op=op, values=values):
            yield changed(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for i in range(len(values)):
                rest = values[:i] + values[i + 1 :]
                yield rest[0] if len(rest) == 1 else changed(node, values=rest)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield from (ast.Constant(n) for n in ({value + 1, 0} if value == 1 else {value + 1}))
        case ast.Constant(value=float(value)):
            yield ast.Constant(2 * value or 1.0)
        case ast.Slice():
            one = ast.Constant(1)
            for end in ("lower", "upper"):
                if bound := getattr(node, end):
                    yield changed(node, **{end: None})
                    if not isinstance(bound, ast.Constant):
                        yield changed(node, **{end: ast.BinOp(bound, ast.Add(), one)})
        case ast.Attribute(attr="T" | "mT", value=value):
            yield value
        case ast.Return(value=ast.Tuple(elts=parts)):
            for i in range(len(parts)):
                some = ast.Tuple([*parts[:i], ast.Constant(None), *parts[i + 1 :]], ast.Load())
                yield changed(node, value=some)
        case ast.Call():
            yield from of_call(node, in_statement=isinstance(parent, ast.Expr))


def of_call(call: ast.Call, in_statement: bool) -> Iterator[ast.AST]:
    """Yield a call's opposite, without a keyword, with two arguments swapped, and its bare value."""
    func, args, keywords = call.func, call.args, call.keywords
    name = func.attr if isinstance(func, ast.Attribute) else func.id
    if name in OPPOSITES:
        other = OPPOSITES[name]
        new = changed(func, attr=other) if isinstance(func, ast.Attribute) else ast.Name(other)
        yield changed(call, func=new)
    if name == "range":
        yield changed(call, args=[*args[:-1], ast.BinOp(args[-1], ast.Sub(), ast.Constant(1))])
        if len(args) == 1:
            yield changed(call, args=[ast.Constant(1), *args])
    for i in range(len(keywords)):
        if keywords[i].arg != "strict":
            yield changed(call, keywords=keywords[:i] + keywords[i + 1 :])
    for i in range(len(args) - 1):
        if isinstance(args[i], ast.Name) and isinstance(args[i + 1], ast.Name):
            yield changed(call, args=[*args[:i], args[i + 1], args[i], *args[i + 2 :]])
    of_value = isinstance(func, ast.Attribute) and not (
        isinstance(func.value, ast.Name) and func.value.id in NO_VALUE
    )
    of_super = of_value and isinstance(func.value, ast.Call) and name == "__init__"
    if of_value and not in_statement and not of_super:
        yield func.value
    only = len(args) == 1 and not isinstance(args[0], ast.Starred) and not name[0].isupper()
    if not of_value and not in_statement and (only or name == "remember"):
        yield args[0]


def changed(node: ast.AST, **fields) -> ast.AST:
    """Return a shallow copy of the node with other values in some fields."""
    return type(node)(**{**dict(ast.iter_fields(node)), **fields})
