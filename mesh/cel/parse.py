"""Text → tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from mesh.cel.syntax import Call, CelError, Entry, Has, ListOf, Literal, Name, Node

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?u?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?"}
_WORDS: Final = {"true": True, "false": False}
# How strongly operators of two sides bind.
_BINDS: Final = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
}
_COMPARISON: Final = 3
MAX_LENGTH: Final = 4096
_MAX_DEPTH: Final = 32


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


@lru_cache(256)
def parse(text: str) -> Node:
    """The tree of an expression. Raises CelError."""
    if len(text) > MAX_LENGTH:
        raise CelError(f"is {len(text)} characters long; {MAX_LENGTH} is the limit")
    parser = _Parser([*_tokens(text), _Token("end", "", len(text))])
    tree = parser.expression()
    parser.expect("", "an operator, or the end")
    return tree


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise CelError(f"has {text[position]!r} at character {position + 1}, which begins nothing known")
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match[0], position)
        position = match.end()


class _Parser:
    """By precedence; looks one token ahead."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self) -> _Token:
        token = self._next
        self._position += token.kind != "end"
        return token

    def _took(self, *texts: str) -> str:
        """The next token's text, if it is one of these signs or words; then it is taken."""
        token = self._next
        if token.kind != "string" and token.text in texts and token.text:
            return self._take().text
        return ""

    def expect(self, text: str, wanted: str) -> None:
        token = self._take()
        if token.text != text or token.kind == "string":
            found = f"not {token.text!r}" if token.text else "not its end"
            raise CelError(f"needs {wanted} at character {token.at + 1}, {found}")

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise CelError(f"is nested more than {_MAX_DEPTH} deep")
        condition = self._binary(1)
        if self._took("?"):
            first = self._binary(1)
            self.expect(":", '":" of the condition')
            condition = Call("?:", (condition, first, self.expression()))
        self._depth -= 1
        return condition

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while (strength := _BINDS.get(self._next.text, 0)) >= least and self._next.kind != "string":
            operator = self._take().text
            right = self._binary(strength + 1)
            left = Call(operator, (left, right))
        return left

    def _unary(self) -> Node:
        signs: list[str] = []
        while sign := self._took("!", "-"):
            signs.append(sign)
        node = self._primary()
        for sign in reversed(signs):
            if sign == "!":
                node = Call("!", (node,))
            elif isinstance(node, Literal) and type(node.value) in (int, float):
                node = Literal(-node.value)  # type: ignore[operator]  # numbers
            else:
                raise CelError('"-" is supported before numbers only')
        return node

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "string":
            node: Node = Literal(_unquoted(token.text))
        elif token.kind == "number":
            node = Literal(_number(token.text))
        elif token.kind == "name":
            node = self._named(token.text)
        elif token.text == "(":
            node = self.expression()
            self.expect(")", '")"')
        elif token.text == "[":
            node = ListOf(self._arguments("]"))
        else:
            found = f"not {token.text!r}" if token.text else "not its end"
            raise CelError(f"needs a value at character {token.at + 1}, {found}")
        return self._selected(node)

    def _named(self, name: str) -> Node:
        if name in _WORDS:
            return Literal(_WORDS[name])
        if name == "null":
            raise CelError("null is not supported: ask has(…) whether there is something")
        if not self._took("("):
            return Name(name)
        arguments = self._arguments(")")
        if name != "has":
            return Call(name, arguments)
        if len(arguments) != 1 or not isinstance(arguments[0], (Name, Entry)):
            raise CelError("has(…) takes one attribute or field: has(request.headers.x)")
        return Has(arguments[0])

    def _selected(self, node: Node) -> Node:
        while sign := self._took(".", "["):
            if sign == "[":
                node = Entry(node, self.expression())
                self.expect("]", '"]"')
                continue
            token = self._take()
            if token.kind != "name":
                raise CelError(f"needs a name after the dot at character {token.at + 1}")
            if self._took("("):
                node = Call(token.text, (node, *self._arguments(")")), method=True)
            elif isinstance(node, Name):
                node = Name(f"{node.path}.{token.text}")
            else:
                node = Entry(node, Literal(token.text))
        return node

    def _arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._took(end):
            if found:
                self.expect(",", f'"," or "{end}"')
            found.append(self.expression())
        return tuple(found)


def _number(text: str) -> int | float:
    if text.endswith("u"):
        raise CelError(f"unsigned numbers are not supported: write {text[:-1]}")
    return float(text) if not text.isdigit() else int(text)


def _unquoted(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise CelError(f"the escape \\{match[1]} is not supported")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", replaced, text[1:-1], flags=re.DOTALL)
