"""Tree → function. An expression that asks for what is not there has no value: None, which `&&` and `||` pass on only
where the other side does not decide (CEL's rule for errors)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import re2

from mesh.cel.check import seconds_of
from mesh.cel.syntax import Call, Entry, Has, ListOf, Literal, Name, Node

Evaluated = Callable[[Any], Any]


class Source(Protocol):
    """Where attributes come from. Both are asked once, when an expression is compiled."""

    def attribute(self, path: str) -> Evaluated | None:
        """What reads an attribute of a subject; None where there is none of that name."""

    def entries(self, path: str) -> Callable[[Any, str], str | None]:
        """What reads an entry of a map."""


def compile_tree(tree: Node, source: Source) -> Evaluated:
    """A function of the subject; the tree was checked."""
    return _Compiler(source).of(tree)


class _Compiler:
    def __init__(self, source: Source) -> None:
        self._source = source

    def of(self, node: Node) -> Evaluated:
        match node:
            case Literal(value):
                return lambda _x: value
            case ListOf(items):
                parts = [self.of(item) for item in items]
                return lambda x: [part(x) for part in parts]
            case Name(path):
                return self._name(path)
            case Entry(Name(path), key):
                return self._entry(path, self.of(key))
            case Has(target):
                return _is_there(self.of(target))
            case Call("in", (item, Name(path))):
                return _is_there(self._entry(path, self.of(item)))
            case Call(name, arguments):
                return _FUNCTIONS[name](*(self.of(argument) for argument in arguments))
        raise TypeError(node)

    def _name(self, path: str) -> Evaluated:
        found = self._source.attribute(path)
        if found is not None:
            return found
        owner, _, last = path.rpartition(".")
        return self._entry(owner, lambda _x: last)

    def _entry(self, path: str, key: Evaluated) -> Evaluated:
        read = self._source.entries(path)
        return lambda x: None if (name := key(x)) is None else read(x, name)


def _is_there(value: Evaluated) -> Evaluated:
    return lambda x: value(x) is not None


def _and(left: Evaluated, right: Evaluated) -> Evaluated:
    def both(x: Any) -> Any:
        first = left(x)
        if first is False:
            return False
        second = right(x)
        return second if first or second is False else None

    return both


def _or(left: Evaluated, right: Evaluated) -> Evaluated:
    def either(x: Any) -> Any:
        first = left(x)
        if first:
            return True
        second = right(x)
        return second if first is False or second else None

    return either


def _not(value: Evaluated) -> Evaluated:
    return lambda x: None if (found := value(x)) is None else not found


def _condition(condition: Evaluated, first: Evaluated, last: Evaluated) -> Evaluated:
    def chosen(x: Any) -> Any:
        found = condition(x)
        if found is None:
            return None
        return first(x) if found else last(x)

    return chosen


def _strict(function: Callable[..., Any]) -> Callable[..., Evaluated]:
    """An operation that has no value where an operand has none."""

    def made(*operands: Evaluated) -> Evaluated:
        if len(operands) == 2:
            left, right = operands

            def of_two(x: Any) -> Any:
                a, b = left(x), right(x)
                return None if a is None or b is None else function(a, b)

            return of_two
        (only,) = operands
        return lambda x: None if (a := only(x)) is None else function(a)

    return made


def _matches(text: Evaluated, pattern: Evaluated) -> Evaluated:
    """As RE2 has it; anywhere in the text. The pattern is a literal."""
    search = re2.compile(pattern(None)).search
    return lambda x: None if (found := text(x)) is None else search(found) is not None


def _duration(text: Evaluated) -> Evaluated:
    seconds = seconds_of(text(None))
    return lambda _x: seconds


def _int(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.removeprefix("-").isdecimal() and value.isascii() else None
    return int(value)


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in(item: Any, items: Any) -> bool:
    return item in items


_FUNCTIONS: Final[Mapping[str, Callable[..., Evaluated]]] = {
    "&&": _and,
    "||": _or,
    "!": _not,
    "?:": _condition,
    "==": _strict(operator.eq),
    "!=": _strict(operator.ne),
    "<": _strict(operator.lt),
    "<=": _strict(operator.le),
    ">": _strict(operator.gt),
    ">=": _strict(operator.ge),
    "+": _strict(operator.add),
    "in": _strict(_in),
    "startsWith": _strict(str.startswith),
    "endsWith": _strict(str.endswith),
    "contains": _strict(str.__contains__),
    "matches": _matches,
    "size": _strict(len),
    "string": _strict(_string),
    "int": _strict(_int),
    "duration": _duration,
}
