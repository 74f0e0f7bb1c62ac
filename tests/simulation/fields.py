"""Every field of the API, where documents set it, and what those documents are without it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import islice
from typing import Any, Final, NamedTuple

from mesh.istio import refused
from mesh.istio.kinds import KINDS
from mesh.istio.model import Message
from mesh.istio.reference import messages, values
from mesh.istio.resource import Resource
from mesh.istio.schema import parse

MOST_CHANGES: Final = 12  # tries to have a required field say something else

Step = tuple[str | int, ...]


class Field(NamedTuple):
    """A field of a message as it stands in a kind, or one value of it that has a name."""

    kind: str
    message: str
    name: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" if self.value else self.name


class Use(NamedTuple):
    """Where a document sets a field."""

    field: Field
    path: Step


# ── what the reference has ────────────────────────────────────────────────────────────────────────────────────────────


def reference() -> list[Field]:
    """Every field of every kind, and every named value, that is to have an effect."""
    return [field for kind in KINDS for field in all_fields(kind) if not no_effect(field)]


def all_fields(kind: str) -> Iterator[Field]:
    for message in messages(KINDS[kind].model):
        for name, info in message.model_fields.items():
            alias = info.alias or name
            yield Field(kind, message.__name__, alias)
            for value in values(info.annotation):
                yield Field(kind, message.__name__, alias, value)


def no_effect(field: Field) -> str:
    """The reason."""
    return refused.no_effect(*field)


# ── what a case sets ──────────────────────────────────────────────────────────────────────────────────────────────────


def uses(resource: Resource) -> Iterator[Use]:
    """Each field that a document sets."""
    kind = resource.key.kind
    start: Step = () if KINDS[kind].whole else ("spec",)
    for message, path in [(resource.spec, start), *below(resource.spec, start)]:
        yield from _set(kind, message, path)


def _set(kind: str, message: Message, path: Step) -> Iterator[Use]:
    for name, info in type(message).model_fields.items():
        if name in message.model_fields_set:
            alias = info.alias or name
            field, value = Field(kind, type(message).__name__, alias), getattr(message, name)
            yield Use(field, (*path, alias))
            several = isinstance(value, tuple)
            for index, item in enumerate(value if several else (value,)):
                if isinstance(item, Enum) and item.value:
                    yield Use(field._replace(value=str(item.value)), (*path, alias, *((index,) if several else ())))


def below(value: Any, path: Step) -> Iterator[tuple[Message, Step]]:
    """The messages within something that a document has, each with its place."""
    inner: list[tuple[Any, Step]] = []
    if isinstance(value, Message):
        fields = type(value).model_fields.items()
        given = value.model_fields_set
        inner = [(getattr(value, name), (*path, info.alias or name)) for name, info in fields if name in given]
    elif isinstance(value, Mapping):
        inner = [(item, (*path, key)) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        inner = [(item, (*path, index)) for index, item in enumerate(value)]
    for item, place in inner:
        if isinstance(item, Message):
            yield item, place
        yield from below(item, place)


# ── what it is without ────────────────────────────────────────────────────────────────────────────────────────────────


def otherwise(resource: Resource, use: Use) -> Iterator[Resource]:
    """The resource without what is set there. Where that is refused, and for a named value, with something else there;
    where nothing else may be there either, without the message that it is in."""
    without = _parsed(_changed(resource.document, use.path, None))
    if without is not None:
        yield without
    if without is not None and not use.field.value:
        return
    others = 0
    for value in islice(_others(_at(resource.document, use.path), use.field), MOST_CHANGES):
        if (changed := _parsed(_changed(resource.document, use.path, value))) is not None:
            others += 1
            yield changed
    if not others and len(use.path) > 1:
        above = _parsed(_changed(resource.document, use.path[:-1], None))
        yield from () if above is None else (above,)


def _parsed(document: Mapping[str, Any]) -> Resource | None:
    return parse(document)[0]


def _at(document: Any, path: Step) -> Any:
    for step in path:
        document = document[step]
    return document


def _changed(document: Mapping[str, Any], path: Step, value: Any) -> dict[str, Any]:
    """A copy in which this is in that place; None takes it away."""
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    *above, last = path
    place = _at(changed, tuple(above))
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


def _others(value: Any, field: Field) -> Iterator[Any]:
    if field.value:
        named = (other.value for other in all_fields(field.kind) if other[:3] == field[:3])
        yield from (value for value in named if value not in ("", field.value))
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, str):
        yield from _other_texts(value, field)
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1, value + 2)
    elif isinstance(value, dict):
        yield from ({k: v for k, v in value.items() if k != key} for key in value)
        yield from ({f"{k}x" if k == key else k: v for k, v in value.items()} for key in value)
        yield from ({**value, key: other} for key in value for other in islice(_others(value[key], field), 3))
    elif isinstance(value, list):
        yield from (value[1:], value[:-1])
        yield from ([*value[:n], other, *value[n + 1 :]] for n, v in enumerate(value) for other in _others(v, field))


def _other_texts(value: str, field: Field) -> Iterator[str]:
    named = [other.value for other in all_fields(field.kind) if other[1:3] == field[1:3] and other.value]
    if named:
        yield from (name for name in named if name != value)
    else:
        yield from (f"{value}x", f"x{value}", "9s", "10.9.9.9", "x", "v2", "INTERNAL", "other/*", "true", "8")
