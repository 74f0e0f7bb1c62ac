"""JSON data → a protobuf message, in a third of the time that protobuf's own `ParseDict` takes.

A message's constructor takes nested dicts and fills them in in C. So the data only has to be put into that form: names as
the protobufs have them, and what has a JSON form of its own (Duration, the wrappers, Any) as what it consists of.
How is worked out once a message type. Whatever is not certain to be read as `ParseDict` reads it is left to `ParseDict`,
mistakes above all: it knows what to say.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from sidecar.config.rules import WRAPPERS
from sidecar.config.types import import_type

Convert = Callable[[Any], Any]

# Seconds of nine digits are within what a Duration may be.
_DURATION: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?s")


class UnusualError(Exception):
    """What `ParseDict` has to judge."""


class _Field(NamedTuple):
    """`convert` is None for values that the constructor takes as they are, and checks."""

    name: str
    convert: Convert | None
    oneof: str


def construct(data: Any, kind: type[Any]) -> Any:
    """A message of this class; UnusualError when it takes `ParseDict` to say what the data means."""
    try:
        return kind(**_message(kind.DESCRIPTOR)(data))
    except (KeyError, TypeError, ValueError) as error:
        raise UnusualError from error


@functools.cache
def _message(descriptor: Descriptor) -> Convert:
    fields: dict[str, _Field] = {}

    def convert(data: Any) -> dict[str, Any]:
        if not fields:
            fields.update(_fields(descriptor))  # not before it is needed: types contain themselves
        if type(data) is not dict:
            raise UnusualError
        found: dict[str, Any] = {}
        chosen = set()
        for key, value in data.items():
            name, inner, oneof = fields[key]
            if value is None or name in found or oneof in chosen:
                raise UnusualError
            if oneof:
                chosen.add(oneof)
            found[name] = value if inner is None else inner(value)
        return found

    return convert


def _fields(descriptor: Descriptor) -> Mapping[str, _Field]:
    """By both of a field's spellings."""
    fields = {}
    for each in descriptor.fields:
        oneof = each.containing_oneof
        field = _Field(each.name, _converter(each), "" if oneof is None else oneof.name)
        fields[each.name] = fields[each.json_name] = field
    return fields


def _converter(field: FieldDescriptor) -> Convert | None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return _map(kind.fields_by_name["key"], kind.fields_by_name["value"])
    one = _single(field)
    if not field.is_repeated:
        return one
    return _unusual if one is _struct else _list(one)


def _single(field: FieldDescriptor) -> Convert | None:
    if field.message_type is not None:
        return _special(field.message_type) or _message(field.message_type)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _exactly(bool)
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return _finite
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _unusual
    return None


def _special(kind: Descriptor) -> Convert | None:
    """Messages with a JSON form of their own."""
    if kind.full_name in WRAPPERS:
        return _wrapped(_single(kind.fields_by_name["value"]))
    return _SPECIAL.get(str(kind.name), _unusual) if kind.file.package == "google.protobuf" else None


def _unusual(_value: Any) -> Any:
    raise UnusualError


def _exactly(kind: type) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            raise UnusualError
        return value

    return convert


def _finite(value: Any) -> Any:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UnusualError
    return value


def _list(one: Convert | None) -> Convert:
    def convert(values: Any) -> list[Any]:
        if type(values) is not list or None in values:
            raise UnusualError
        return values if one is None else [one(each) for each in values]

    return convert


def _map(key: FieldDescriptor, value: FieldDescriptor) -> Convert:
    if key.type != FieldDescriptor.TYPE_STRING:
        return _unusual
    kind = value.message_type
    one = _entries if kind is not None and kind.full_name == "google.protobuf.Struct" else _single(value)

    def convert(values: Any) -> dict[str, Any]:
        if type(values) is not dict or None in values.values():
            raise UnusualError
        return values if one is None else {name: one(each) for name, each in values.items()}

    return convert


def _wrapped(one: Convert | None) -> Convert:
    return (lambda value: {"value": value}) if one is None else lambda value: {"value": one(value)}


def _duration(value: Any) -> dict[str, int]:
    match = _DURATION.fullmatch(value)
    if match is None:
        raise UnusualError
    seconds, fraction = match.groups()
    return {"seconds": int(seconds), "nanos": int(fraction.ljust(9, "0")) if fraction else 0}


def _struct(value: Any) -> Any:
    """The constructor takes a Struct as plain data."""
    if type(value) is not dict:
        raise UnusualError
    return _checked(value)


def _checked(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        for each in value.values():
            _checked(each)
    elif kind is list:
        for each in value:
            _checked(each)
    elif kind not in (str, bool, int) and (kind is not float or not math.isfinite(value)):
        raise UnusualError
    return value


def _entries(value: Any) -> dict[str, Any]:
    """A Struct that is a map's value: there the constructor takes it as the message that it is."""
    return {"fields": {name: {_KINDS[type(each)]: each} for name, each in _struct(value).items()}}


_KINDS: Final[dict[type, str]] = {
    str: "string_value",
    bool: "bool_value",
    int: "number_value",
    float: "number_value",
    dict: "struct_value",
    list: "list_value",
}


def _any(value: Any) -> dict[str, Any]:
    """A google.protobuf.Any of a type that is known here."""
    if type(value) is not dict:
        raise UnusualError
    url = value.get("@type")
    name = url.rpartition("/")[2] if type(url) is str else ""
    if not name or not import_type(name):
        raise UnusualError
    kind = descriptor_pool.Default().FindMessageTypeByName(name)
    if kind.file.package == "google.protobuf":
        raise UnusualError
    rest = {key: each for key, each in value.items() if key != "@type"}
    return {"type_url": url, "value": GetMessageClass(kind)(**_message(kind)(rest)).SerializeToString()}


_SPECIAL: Final[dict[str, Convert]] = {
    "Any": _any,
    "Duration": _duration,
    "Struct": _struct,
}
