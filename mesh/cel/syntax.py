"""What an expression is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """An attribute: `request.headers`. Its parts are joined by dots, however they were written."""

    path: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What a map has under a key: `request.headers['x']`, `request.headers.x`."""

    of: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Has:
    """`has(a.b)`."""

    target: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator (`==`, `&&`, `!`, `?:`); a method's first argument is what it is called on."""

    function: str
    arguments: tuple[Node, ...]
    method: bool = False


Node = Literal | ListOf | Name | Entry | Has | Call


class CelError(ValueError):
    """Why a text is no expression, or not one of those that are supported, in words."""
