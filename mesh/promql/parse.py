"""PromQL text to a `syntax` tree. Raises PromqlError with the column and what was expected."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from mesh.promql.syntax import (
    AGGREGATIONS,
    COMPARISONS,
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Expression,
    Matcher,
    Matching,
    Negation,
    Number,
    PromqlError,
    Selector,
    Text,
)

_TOKENS: Final = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+)(?![\w.])
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<sign>=~|!~|==|!=|>=|<=|[-+*/%^()\[\]{},=<>@])""",
    re.VERBOSE,
)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_ESCAPES: Final = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_BINDING: Final = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(COMPARISONS, 3),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
    "^": 7,
}
_UNARY: Final = 6  # binds looser than ^, tighter than the others


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Expression:
    """The expression that `text` is, whole."""
    parser = _Parser(text)
    found = parser.expression(0)
    parser.end()
    return found


def seconds(duration: str) -> float:
    """A duration as Prometheus writes it: `90s`, `1h30m`, `500ms`."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    if not parts or "".join(count + unit for count, unit in parts) != duration:
        raise PromqlError(f"{duration!r} is not a duration: expected one such as 30s, 5m or 1h30m")
    return sum(int(count) * _UNITS[unit] for count, unit in parts)


def _tokens(text: str) -> list[Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise PromqlError(f"column {at + 1}: {text[at]!r} is not understood")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    found.append(Token("end", "the end", len(text)))
    return found


class _Parser:
    """Precedence climbing over the tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _is(self, *texts: str) -> bool:
        return self._token.kind in ("sign", "name") and self._token.text in texts

    def _take(self, *texts: str) -> bool:
        if self._is(*texts):
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(repr(text))

    def _wrong(self, expected: str) -> PromqlError:
        return PromqlError(f"column {self._token.at + 1}: expected {expected}, found {self._token.text!r}")

    def _kind(self, kind: str, expected: str) -> str:
        token = self._token
        if token.kind != kind:
            raise self._wrong(expected)
        self._next += 1
        return token.text

    def end(self) -> None:
        if self._token.kind != "end":
            raise self._wrong("an operator or the end")

    def expression(self, binding: int) -> Expression:
        left = self._prefix()
        while self._token.kind in ("sign", "name") and _BINDING.get(self._token.text, -1) > binding:
            operator = self._token.text
            self._next += 1
            as_bool = operator in COMPARISONS and self._take("bool")
            matching = self._matching(operator)
            # ^ is right-associative
            right = self.expression(_BINDING[operator] - (operator == "^"))
            left = Binary(operator, left, right, matching, as_bool)
        return left

    def _matching(self, operator: str) -> Matching:
        labels: tuple[str, ...] | None = None
        include: tuple[str, ...] = ()
        on, many = False, ""
        if self._is("on", "ignoring"):
            on = self._token.text == "on"
            self._next += 1
            labels = self._labels()
        if self._is("group_left", "group_right") and operator not in SET_OPERATORS:
            many = "left" if self._token.text == "group_left" else "right"
            self._next += 1
            include = self._labels() if self._is("(") else ()
        return Matching(labels, on, many, include)

    def _labels(self) -> tuple[str, ...]:
        self._expect("(")
        found = []
        while not self._take(")"):
            found.append(self._kind("name", "a label"))
            if not self._is(")"):
                self._expect(",")
        return tuple(found)

    def _prefix(self) -> Expression:
        if self._take("-"):
            return Negation(self.expression(_UNARY))
        if self._take("+"):
            return self.expression(_UNARY)
        if self._take("("):
            inner = self.expression(0)
            self._expect(")")
            return inner
        token = self._token
        if token.kind == "number":
            self._next += 1
            return Number(float(token.text))
        if token.kind == "text":
            self._next += 1
            return Text(_unquoted(token.text))
        if self._is("{"):
            return self._selector("")
        name = self._kind("name", "an expression")
        if name.lower() in ("inf", "nan"):
            return Number(float(name))
        if name in AGGREGATIONS and self._is("(", "by", "without"):
            return self._aggregation(name)
        return self._call(name) if self._is("(") else self._selector(name)

    def _aggregation(self, operator: str) -> Aggregation:
        labels, without = self._grouping()
        self._expect("(")
        first, parameter = self.expression(0), None
        if self._take(","):
            parameter, first = first, self.expression(0)
        self._expect(")")
        if labels is None:
            labels, without = self._grouping()
        return Aggregation(operator, first, parameter, labels, without)

    def _grouping(self) -> tuple[tuple[str, ...] | None, bool]:
        if not self._is("by", "without"):
            return None, False
        without = self._token.text == "without"
        self._next += 1
        return self._labels(), without

    def _call(self, name: str) -> Call:
        self._expect("(")
        arguments: list[Expression] = []
        while not self._take(")"):
            arguments.append(self.expression(0))
            if not self._is(")"):
                self._expect(",")
        return Call(name, tuple(arguments))

    def _selector(self, name: str) -> Selector:
        matchers: list[Matcher] = []
        if self._take("{"):
            while not self._take("}"):
                matchers.append(self._matcher())
                if not self._is("}"):
                    self._expect(",")
        window = 0.0
        if self._take("["):
            window = seconds(self._kind("duration", "a duration"))
            self._expect("]")
        if self._is("offset", "@"):
            raise PromqlError(f"column {self._token.at + 1}: {self._token.text} is not supported here")
        return Selector(name, tuple(matchers), window)

    def _matcher(self) -> Matcher:
        label = self._kind("name", "a label")
        operator = self._token.text
        if not self._take("=", "!=", "=~", "!~"):
            raise self._wrong("=, !=, =~ or !~")
        at = self._token.at
        matcher = Matcher(label, operator, _unquoted(self._kind("text", "a value in quotes")))
        try:
            matcher.compiled()
        except re.error as error:
            raise PromqlError(f"column {at + 1}: {matcher.value!r} is not a regular expression: {error}") from error
        return matcher


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], "\\" + found[1]), text[1:-1])
