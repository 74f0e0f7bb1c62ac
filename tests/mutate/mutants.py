"""What may be changed in a source file, and the changed tree. Pure; deterministic in the order of the source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
Change = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the `number`-th of its file, within the function `qualname` (empty: at the module's level)."""

    file: str
    number: int
    line: int
    kind: str
    qualname: str
    text: str  # the source before the change

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.kind}: {self.text}"


def mutants(file: str, source: str) -> list[Mutant]:
    tree = ast.parse(source)
    return [
        Mutant(file, number, node.lineno, kind, qualname, " ".join(ast.unparse(node).split())[:100])
        for number, (node, kind, qualname, _) in enumerate(_sites(tree))
    ]


def mutated(source: str, number: int) -> ast.Module:
    """The tree with the change of that number in it."""
    tree = ast.parse(source)
    for at, (_, _, _, change) in enumerate(_sites(tree)):
        if at == number:
            change()
            return ast.fix_missing_locations(tree)
    raise IndexError(number)


Site = tuple[ast.stmt | ast.expr, str, str, Change]


def _sites(tree: ast.Module) -> Iterator[Site]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            yield from _expressions(statement, "value", "")
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _definition(statement, "")


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, outer: str) -> Iterator[Site]:
    qualname = f"{outer}.{node.name}" if outer else node.name
    if isinstance(node, ast.ClassDef):
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _definition(each, qualname)
        return
    yield from _block(node, "body", qualname)


def _block(owner: ast.AST, field: str, qualname: str) -> Iterator[Site]:
    block: list[ast.stmt] = getattr(owner, field)
    for at, statement in enumerate(block):
        if not _is_skipped(statement):
            if isinstance(statement, ast.Expr | ast.AugAssign | ast.Delete) or _sets_attribute(statement):
                yield statement, "statement left out", qualname, _replaced(block, at, ast.Pass())
            if isinstance(statement, ast.Break):
                yield statement, "break for continue", qualname, _replaced(block, at, ast.Continue())
            if isinstance(statement, ast.Continue):
                yield statement, "continue for break", qualname, _replaced(block, at, ast.Break())
            yield from _parts(statement, qualname)


def _is_skipped(statement: ast.stmt) -> bool:
    """Prose, and what only says what holds anyway."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return True
    return isinstance(statement, ast.Assert | ast.Raise | ast.Import | ast.ImportFrom | ast.Pass)


def _sets_attribute(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute | ast.Subscript)


def _parts(statement: ast.stmt, qualname: str) -> Iterator[Site]:
    for field, value in ast.iter_fields(statement):
        if field in ("body", "orelse", "finalbody") and isinstance(value, list):
            yield from _block(statement, field, qualname)
        elif field == "handlers":
            for handler in value:
                yield from _block(handler, "body", qualname)
        elif field == "cases":
            for case in value:
                yield from _block(case, "body", qualname)
        elif field not in ("annotation", "returns", "decorator_list", "args", "type_comment"):
            yield from _expressions(statement, field, qualname)


def _expressions(owner: ast.AST, field: str, qualname: str) -> Iterator[Site]:
    value = getattr(owner, field)
    if isinstance(value, list):
        for at, each in enumerate(value):
            if isinstance(each, ast.AST):
                yield from _expression(each, _setter(value, at), qualname)
    elif isinstance(value, ast.AST):
        yield from _expression(value, lambda new: setattr(owner, field, new), qualname)


def _expression(node: ast.AST, put: Callable[[ast.expr], None], qualname: str) -> Iterator[Site]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        other = _COMPARES[type(node.ops[0])]
        yield node, f"{type(node.ops[0]).__name__} for {other.__name__}", qualname, _set(node.ops, 0, other())
    elif isinstance(node, ast.BoolOp):
        for at in range(len(node.values)):
            left = [value for number, value in enumerate(node.values) if number != at]
            rest = left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
            yield node, f"operand {at + 1} left out", qualname, _put(put, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, "not left out", qualname, _put(put, node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        other_op = _OPERATORS[type(node.op)]
        yield node, f"{type(node.op).__name__} for {other_op.__name__}", qualname, _attribute(node, "op", other_op())
    elif isinstance(node, ast.IfExp):
        yield node, "condition turned", qualname, _attribute(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant):
        yield from _constant(node, put, qualname)
    if isinstance(node, ast.JoinedStr):
        return  # words for people, for the most part
    for field, _ in ast.iter_fields(node):
        if field not in ("annotation", "slice") or isinstance(node, ast.Subscript):
            yield from _expressions(node, field, qualname)


def _constant(node: ast.Constant, put: Callable[[ast.expr], None], qualname: str) -> Iterator[Site]:
    value = node.value
    other: object
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, int | float):
        other = value + 1
    elif isinstance(value, str):
        other = value + "mutant"
    elif isinstance(value, bytes):
        other = value + b"mutant"
    else:
        return
    yield node, "another constant", qualname, _put(put, ast.Constant(other))


def _setter(block: list[ast.AST], at: int) -> Callable[[ast.expr], None]:
    def put(new: ast.expr) -> None:
        block[at] = new

    return put


def _set(block: list[ast.cmpop], at: int, new: ast.cmpop) -> Change:
    def change() -> None:
        block[at] = new

    return change


def _replaced(block: list[ast.stmt], at: int, new: ast.stmt) -> Change:
    def change() -> None:
        block[at] = ast.copy_location(new, block[at])

    return change


def _put(put: Callable[[ast.expr], None], new: ast.expr) -> Change:
    return lambda: put(new)


def _attribute(node: ast.AST, name: str, new: ast.AST) -> Change:
    return lambda: setattr(node, name, new)
