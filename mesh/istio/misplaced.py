"""Where a field belongs that is unknown where it is written: one level deeper, or one level up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel

_FEW: Final = 3  # so many places can still be listed


def belongs(name: str, model: type[BaseModel], every: Iterable[type[BaseModel]]) -> str:
    """`; it belongs in http` for a field that a message below the model knows, `; it belongs one level up, beside route`
    for one that a message (of `every`) which holds the model knows, else an empty string. Nothing is said where it could
    be in many places."""
    below = [field for field, inner in _messages(model).items() if any(name in _names(each) for each in inner)]
    if below:
        return f"; it belongs in {_either(below)}" if len(below) <= _FEW else ""
    above = {
        field
        for holder in every
        for field, inner in _messages(holder).items()
        if model in inner and name in _names(holder)
    }
    return f"; it belongs one level up, beside {above.pop()}" if len(above) == 1 else ""


def _either(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def in_section(name: str, sections: Mapping[str, type[BaseModel]]) -> str:
    """The same for a field beside the sections of a document (`metadata`, `spec`)."""
    found = [section for section, model in sections.items() if name in _names(model)]
    return f"; it belongs in {found[0]}" if len(found) == 1 else ""


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


@cache
def _messages(model: type[BaseModel]) -> Mapping[str, tuple[type[BaseModel], ...]]:
    """The fields that hold messages, or lists or mappings of them, with the classes of those."""
    held = {field.alias or name: tuple(_within(field.annotation)) for name, field in model.model_fields.items()}
    return {name: inner for name, inner in held.items() if inner}


def _within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _within(part)
