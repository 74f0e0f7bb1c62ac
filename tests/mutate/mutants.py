"""What may be changed in a source file, and the changed tree. Pure; deterministic in the order of the source.

Left alone is what cannot matter: log entries, words for people (f-strings, errors that are raised, `__repr__`), annotations,
names under which a memo keeps values, and the sizes that only have to be about so large.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
_SHOWN = 120  # characters of a source
_SIZES = re.compile(r"MAX_|KEPT|PIECE|HEAD_LIMIT|AT_ONCE|_SMALL|SHARED|_AHEAD|OPTIONS")
_MEMO = ("once", "fact", "changed", "read")  # methods whose first argument is a name by which a value is found
_NAMED = ("TypeVar", "NewType", "getLogger")
_WORDS = ("_give_back", "give_back", "release")  # functions that are told why, for the log
Change = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the `number`-th of its file, within the function `qualname` (empty: at the module's level). `change`
    tells it from the others of its function, wherever the lines are: `line` to `last` have its statement."""

    file: str
    number: int
    line: int
    last: int
    qualname: str
    change: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.qualname or 'module'}: {self.change}"


def mutants(file: str, source: str) -> list[Mutant]:
    met: Counter[tuple[str, str]] = Counter()
    found: list[Mutant] = []
    for number, (node, kind, qualname, _, within) in enumerate(_sites(ast.parse(source))):
        change = f"{kind}: {_shown(node)}"
        met[qualname, change] += 1
        if met[qualname, change] > 1:
            change += f" ({met[qualname, change]})"
        found.append(Mutant(file, number, within.lineno, _last_line(within), qualname, change))
    return found


def _last_line(statement: ast.stmt) -> int:
    """Of a compound statement the last one of its head."""
    inner: list[ast.stmt] | None = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if inner is None:
        return statement.end_lineno or statement.lineno
    return max(statement.lineno, getattr(inner[0], "lineno", 0) - 1)


def _shown(node: ast.AST) -> str:
    """Its source in one line; of a compound statement its head."""
    text = ast.unparse(node)
    if isinstance(node, ast.stmt) and hasattr(node, "body"):
        text = text.splitlines()[0]
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def mutated(source: str, number: int) -> ast.Module:
    """The tree with the change of that number in it."""
    tree = ast.parse(source)
    for at, (_, _, _, change, _) in enumerate(_sites(tree)):
        if at == number:
            change()
            return ast.fix_missing_locations(tree)
    raise IndexError(number)


Site = tuple[ast.AST, str, str, Change, ast.stmt]  # what is shown, the kind of change, where, the change, its statement


def _sites(tree: ast.Module) -> Iterator[Site]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            if not _is_size(statement) and not isinstance(statement.value, ast.Subscript):  # a type
                yield from _expressions(statement, "value", "", statement)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _definition(statement, "")


def _is_size(statement: ast.Assign | ast.AnnAssign) -> bool:
    target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
    return isinstance(target, ast.Name) and _SIZES.search(target.id) is not None


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, outer: str) -> Iterator[Site]:
    qualname = f"{outer}.{node.name}" if outer else node.name
    if isinstance(node, ast.ClassDef):
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _definition(each, qualname)
        return
    if node.name in ("__repr__", "__str__"):
        return
    yield from _block(node, "body", qualname)


def _block(owner: ast.AST, field: str, qualname: str) -> Iterator[Site]:
    block: list[ast.stmt] = getattr(owner, field)
    for at, statement in enumerate(block):
        if not _is_skipped(statement):
            if isinstance(statement, ast.Expr | ast.AugAssign | ast.Delete) or _sets_attribute(statement):
                yield statement, "statement left out", qualname, _replaced(block, at, ast.Pass()), statement
            if isinstance(statement, ast.Break):
                yield statement, "break for continue", qualname, _replaced(block, at, ast.Continue()), statement
            if isinstance(statement, ast.Continue):
                yield statement, "continue for break", qualname, _replaced(block, at, ast.Break()), statement
            yield from _parts(statement, qualname)


def _is_skipped(statement: ast.stmt) -> bool:
    """Prose, log entries, and what only says what holds anyway."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return True
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "log":
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
            yield from _expressions(statement, field, qualname, statement)


def _expressions(owner: ast.AST, field: str, qualname: str, within: ast.stmt) -> Iterator[Site]:
    """`within` is the statement, by which constants are shown."""
    value = getattr(owner, field)
    if isinstance(value, list):
        for at, each in enumerate(value):
            if isinstance(each, ast.AST):
                yield from _expression(each, _setter(value, at), qualname, within)
    elif isinstance(value, ast.AST):
        yield from _expression(value, lambda new: setattr(owner, field, new), qualname, within)


def _expression(node: ast.AST, put: Callable[[ast.expr], None], qualname: str, within: ast.stmt) -> Iterator[Site]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        other = _COMPARES[type(node.ops[0])]
        yield node, f"{type(node.ops[0]).__name__} for {other.__name__}", qualname, _set(node.ops, 0, other()), within
    elif isinstance(node, ast.BoolOp):
        for at in range(len(node.values)):
            left = [value for number, value in enumerate(node.values) if number != at]
            rest = left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
            yield node, f"operand {at + 1} left out", qualname, _put(put, rest), within
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, "not left out", qualname, _put(put, node.operand), within
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        other_op = _OPERATORS[type(node.op)]
        yield (
            node,
            f"{type(node.op).__name__} for {other_op.__name__}",
            qualname,
            _attribute(node, "op", other_op()),
            within,
        )
    elif isinstance(node, ast.IfExp):
        yield node, "condition turned", qualname, _attribute(node, "test", ast.UnaryOp(ast.Not(), node.test)), within
    elif isinstance(node, ast.Constant):
        yield from _constant(node, put, qualname, within)
    if isinstance(node, ast.JoinedStr):
        return  # words for people, for the most part
    if isinstance(node, ast.Call):
        yield from _call(node, qualname, within)
        return
    for field, _ in ast.iter_fields(node):
        if field not in ("annotation", "slice") or isinstance(node, ast.Subscript):
            yield from _expressions(node, field, qualname, within)


def _call(node: ast.Call, qualname: str, within: ast.stmt) -> Iterator[Site]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _NAMED:
        return
    yield from _expressions(node, "func", qualname, within)
    if name not in _WORDS:
        named = name in _MEMO or name == "cast"
        for at, argument in enumerate(node.args):
            if not (at == 0 and named and isinstance(argument, ast.Constant | ast.Tuple)):
                yield from _expression(argument, _setter(node.args, at), qualname, within)
    yield from _expressions(node, "keywords", qualname, within)


def _constant(node: ast.Constant, put: Callable[[ast.expr], None], qualname: str, within: ast.stmt) -> Iterator[Site]:
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
    yield within, f"another constant than {value!r}", qualname, _put(put, ast.Constant(other)), within


def _setter(block: list[Any], at: int) -> Callable[[ast.expr], None]:
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
