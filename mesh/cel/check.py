"""Whether a tree can be evaluated: every name, function and type in it; pure.

Types are checked here, so that a comparison which never holds is an error for who writes it, not a request that is never
logged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import re2

from mesh.cel.syntax import Call, CelError, Entry, Has, ListOf, Literal, Name, Node


class Type(StrEnum):
    """`MAP` has strings for keys and values."""

    STRING = "a string"
    INT = "a whole number"
    DOUBLE = "a number with a point"
    BOOL = "true or false"
    MAP = "a map"
    DURATION = "a duration"
    LIST = "a list"


Attributes = Mapping[str, Type]
_ORDERED: Final = (Type.STRING, Type.INT, Type.DOUBLE, Type.DURATION)
_TEXT_FUNCTIONS: Final = ("startsWith", "endsWith", "contains", "matches")
FUNCTIONS: Final = (*_TEXT_FUNCTIONS, "size", "string", "int", "duration", "has")


def check(tree: Node, attributes: Attributes, *, conversions: bool = True) -> Type:
    """The type of an expression's value. Raises CelError. Without `conversions` there is no string(…) and no joining
    of strings: Envoy has none in the filters of access logs."""
    return _Checker(attributes, conversions).type_of(tree)


class _Checker:
    def __init__(self, attributes: Attributes, conversions: bool) -> None:
        self._attributes = attributes
        self._conversions = conversions

    def type_of(self, node: Node) -> Type:
        match node:
            case Literal(value):
                return _LITERALS[type(value)]
            case ListOf(items):
                return self._list(items)
            case Name(path):
                return self._name(path)
            case Entry(of, key):
                self._need(of, Type.MAP, "what a key is asked of")
                self._need(key, Type.STRING, "a key")
                return Type.STRING
            case Has(target):
                self.type_of(target)
                return Type.BOOL
            case Call():
                return self._call(node)

    def _name(self, path: str) -> Type:
        found = self._attributes.get(path)
        if found is not None:
            return found
        owner = path.rpartition(".")[0]
        if self._attributes.get(owner) is Type.MAP:
            return Type.STRING
        near = difflib.get_close_matches(path, self._attributes, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise CelError(f"{path} is no attribute that is supported here{hint}")

    def _list(self, items: tuple[Node, ...]) -> Type:
        types = {self.type_of(item) for item in items}
        if len(types) > 1 or not types <= {Type.STRING, Type.INT}:
            raise CelError("a list has strings, or whole numbers, and not both")
        return Type.LIST

    def _need(self, node: Node, wanted: Type, what: str) -> None:
        found = self.type_of(node)
        if found is not wanted:
            raise CelError(f"{what} must be {wanted}, not {found}")

    def _call(self, call: Call) -> Type:
        name, arguments = call.function, call.arguments
        if name in _OPERATORS:
            return _OPERATORS[name](self, arguments)
        if call.method != (name in _TEXT_FUNCTIONS) and not (call.method and name == "size"):
            known = ", ".join(FUNCTIONS)
            raise CelError(f"{'.' if call.method else ''}{name}(…) is not supported; there is {known}")
        return self._text_function(name, arguments) if name in _TEXT_FUNCTIONS else self._function(name, arguments)

    def _text_function(self, name: str, arguments: tuple[Node, ...]) -> Type:
        self._count(name, arguments, 2)
        self._need(arguments[0], Type.STRING, f"what {name}(…) is called on")
        self._need(arguments[1], Type.STRING, f"what {name}(…) is given")
        if name == "matches":
            pattern = arguments[1]
            if not isinstance(pattern, Literal):
                raise CelError("matches(…) takes a literal")
            _checked_pattern(str(pattern.value))
        return Type.BOOL

    def _function(self, name: str, arguments: tuple[Node, ...]) -> Type:
        if name not in FUNCTIONS:
            raise CelError(f"{name}(…) is not supported; there is {', '.join(FUNCTIONS)}")
        self._count(name, arguments, 1)
        argument, found = arguments[0], self.type_of(arguments[0])
        if name == "size":
            if found not in (Type.STRING, Type.LIST):
                raise CelError(f"size(…) is of a string or a list, not of {found}")
            return Type.INT
        if name == "duration":
            if not isinstance(argument, Literal) or seconds_of(argument.value) is None:
                raise CelError('duration(…) takes a literal such as "1.5s" or "100ms"')
            return Type.DURATION
        if name == "string" and not self._conversions:
            raise CelError("string(…) is not supported here: Envoy has it not in filters of access logs")
        if found not in (Type.STRING, Type.INT, Type.DOUBLE, *([Type.BOOL] if name == "string" else ())):
            raise CelError(f"{name}(…) cannot be made of {found}")
        return Type.STRING if name == "string" else Type.INT

    def _count(self, name: str, arguments: tuple[Node, ...], count: int) -> None:
        if len(arguments) != count:
            raise CelError(f"{name}(…) takes {count - (name in _TEXT_FUNCTIONS)} argument, not {len(arguments)}")

    # ── operators ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _logic(self, arguments: tuple[Node, ...]) -> Type:
        for each in arguments:
            self._need(each, Type.BOOL, "each side of && and ||, and what ! stands before,")
        return Type.BOOL

    def _equal(self, arguments: tuple[Node, ...]) -> Type:
        return self._comparison(arguments, (*_ORDERED, Type.BOOL))

    def _ordered(self, arguments: tuple[Node, ...]) -> Type:
        return self._comparison(arguments, _ORDERED)

    def _comparison(self, arguments: tuple[Node, ...], comparable: tuple[Type, ...]) -> Type:
        left, right = (self.type_of(each) for each in arguments)
        if left is not right or left not in comparable:
            raise CelError(f"{left} cannot be compared with {right}")
        return Type.BOOL

    def _in(self, arguments: tuple[Node, ...]) -> Type:
        item, container = arguments
        found = self.type_of(container)
        if found is Type.MAP:
            self._need(item, Type.STRING, "a key")
        elif not isinstance(container, ListOf):
            raise CelError(f'"in" asks a list or a map, not {found}')
        elif container.items and self.type_of(item) is not self.type_of(container.items[0]):
            raise CelError(f"{self.type_of(item)} is never in a list of others")
        return Type.BOOL

    def _condition(self, arguments: tuple[Node, ...]) -> Type:
        self._need(arguments[0], Type.BOOL, "what stands before ?")
        first, last = (self.type_of(each) for each in arguments[1:])
        if first is not last:
            raise CelError(f"both answers of ?: must be of one type, not {first} and {last}")
        return first

    def _joined(self, arguments: tuple[Node, ...]) -> Type:
        if not self._conversions:
            raise CelError('"+" is not supported here: Envoy has it not in filters of access logs')
        for each in arguments:
            self._need(each, Type.STRING, 'each side of "+"')
        return Type.STRING

    def _arithmetic(self, _arguments: tuple[Node, ...]) -> Type:
        raise CelError('arithmetic ("-", "*", "/", "%") is not supported')


_LITERALS: Final[Mapping[type, Type]] = {str: Type.STRING, int: Type.INT, float: Type.DOUBLE, bool: Type.BOOL}
_Operator = Callable[[_Checker, tuple[Node, ...]], Type]
_OPERATORS: Final[Mapping[str, _Operator]] = {
    **dict.fromkeys(("&&", "||", "!"), _Checker._logic),
    **dict.fromkeys(("==", "!="), _Checker._equal),
    **dict.fromkeys(("<", "<=", ">", ">="), _Checker._ordered),
    "in": _Checker._in,
    "?:": _Checker._condition,
    "+": _Checker._joined,
    **dict.fromkeys(("-", "*", "/", "%"), _Checker._arithmetic),
}


def _checked_pattern(pattern: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise CelError(f"{pattern!r} is not a regular expression that RE2 understands: {error}") from None


_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def seconds_of(text: object) -> float | None:
    """Seconds of a duration's text, None for what is none."""
    if not isinstance(text, str) or not re.fullmatch(r"-?(\d+(\.\d+)?(h|ms|m|s|us|ns))+", text, re.ASCII):
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)", text))
    return -total if text.startswith("-") else total
