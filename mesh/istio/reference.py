"""The reference page of the API as this mesh has it, made from the models and the table of refusals."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, get_args

from mesh.istio.kinds import KINDS, Kind
from mesh.istio.model import Message
from mesh.istio.reasons import reason
from mesh.istio.refused import NARROWED, REFUSED, REFUSED_KINDS, no_effect

HEAD: Final = """# The API

Every kind, message and field, made from the code by `make docs`. What is not listed is refused, with its place and the
nearest name; what Istio knows and this mesh does not implement is refused by its name. A field that is accepted and has no
effect says why. [What shows each field](istio-api-cases.md) names, for each of them, the case in which it changes what
becomes of a request.
"""


def markdown() -> str:
    """The whole page: a table a kind, a row a message."""
    lines = [HEAD]
    for kind in KINDS.values():
        lines += [f"### {kind.name}", "", _api_versions(kind), ""]
        if kind.note:
            lines += [f"{kind.note.capitalize()}: what else it has is left alone.", ""]
        lines += ["| Message | Fields | Refused, not implemented yet |", "|---|---|---|"]
        lines += [_row(kind.name, message) for message in messages(kind.model)]
        lines += [""]
    lines += ["### Kinds not implemented yet", "", "| API group | Kinds |", "|---|---|"]
    lines += [f"| {f'`{group}`' if group else 'core'} | {', '.join(names)} |" for group, names in REFUSED_KINDS.items()]
    return "\n".join(lines) + "\n"


def messages(model: type[Message]) -> list[type[Message]]:
    """A message and all those below it, each once, in the order of the fields."""
    found: list[type[Message]] = [model]
    for message in found:
        for field in message.model_fields.values():
            found += [inner for inner in _types(field.annotation) if issubclass(inner, Message) and inner not in found]
    return found


def _api_versions(kind: Kind) -> str:
    return f"`apiVersion`: {', '.join(f'`{version}`' for version in kind.api_versions)}"


def _row(kind: str, message: type[Message]) -> str:
    name = message.__name__
    fields = [_field(kind, message, key, field.alias or key) for key, field in message.model_fields.items()]
    refused = [_refused(name, row) for row in REFUSED.get(name, ())]
    return f"| {name} | {', '.join(fields)} | {', '.join(refused)} |"


def _refused(message: str, row: str) -> str:
    why = reason(message, row)
    return f"`{row.replace('=', ': ')}` ({why})" if why else f"`{row.replace('=', ': ')}`"


def _field(kind: str, message: type[Message], key: str, alias: str) -> str:
    name = message.__name__
    of_all = no_effect(kind, name, alias)
    notes = []
    for value in values(message.model_fields[key].annotation):
        why = "" if of_all else no_effect(kind, name, alias, value)
        notes.append(f"`{value}`: no effect, {why}" if why else f"`{value}`")
    if note := NARROWED.get(name, {}).get(alias):
        notes.append(note)
    if of_all:
        notes.append(f"no effect: {of_all}")
    return f"`{alias}` ({', '.join(notes)})" if notes else f"`{alias}`"


def values(annotation: Any) -> Iterator[str]:
    for inner in _types(annotation):
        if issubclass(inner, Enum):
            yield from (member.value for member in inner if member.value)


def _types(annotation: Any) -> Iterator[type]:
    """The classes in an annotation, inside of its optionals, lists and mappings."""
    if arguments := get_args(annotation):
        for argument in arguments:
            yield from _types(argument)
    elif isinstance(annotation, type):
        yield annotation
