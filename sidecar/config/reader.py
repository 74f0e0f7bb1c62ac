"""Reads a protobuf message so that nothing in it is ignored in silence.

A `Reader` hands out the set fields of one message and remembers which were asked for. `finish()` on the first reader of
a resource looks at all that were opened on the way and raises one ConfigError with everything that is wrong: what the
compilers reported, what breaks the messages' own rules (`rules.py`), and every set field that nobody read and that is not
on the list of fields without effect (`no_effect.py`).

A field is read once: whoever reads it again would be told that it is not set, and is told of the mistake instead.

A scalar that is set to its default is not distinguishable from one that is not set: protobuf does not say.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

from google.protobuf.json_format import MessageToDict
from google.protobuf.unknown_fields import UnknownFieldSet

from mesh.errors import ConfigError, Problem
from sidecar.config.model import MILLION
from sidecar.config.no_effect import NO_EFFECT
from sidecar.config.rules import MessageRules, rules_of, seconds_of
from sidecar.config.types import import_type

NOTHING: frozenset[str] = frozenset()

_TYPED_STRUCTS = frozenset(("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"))

# In the place of a value that was read.
_READ: Final = object()

# What one unit of a FractionalPercent's denominator is in parts per million: HUNDRED, TEN_THOUSAND, MILLION.
UNITS = (MILLION // 100, MILLION // 10_000, 1)


T = TypeVar("T")

# What messages compiled to that somebody still uses, by how they were compiled and their bytes.
_interned: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()


class _Resource:
    """What all readers of one resource share. `fresh` is what it had interned and nobody knew, `repeated` where the same
    was met again."""

    __slots__ = ("fresh", "problems", "readers", "repeated", "timeless")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.readers: list[Reader] = []
        self.fresh: dict[tuple[Any, ...], Any] = {}
        self.repeated: list[tuple[Reader, Any, str, int | None, tuple[Any, ...]]] = []
        self.timeless = True


class Reader:
    """One message of a resource. Every method that takes a field name marks that field as read."""

    __slots__ = ("_fields", "_index", "_message", "_name", "_parent", "_resource", "_rules")

    def __init__(self, message: Any, name: str = "", parent: Reader | None = None, index: Any = None) -> None:
        self._message = message
        self._name = name
        self._parent = parent
        self._index = index
        self._resource: _Resource = parent._resource if parent is not None else _Resource()
        self._resource.readers.append(self)
        self._rules = rules = rules_of(message.DESCRIPTOR)
        names = rules.names
        self._fields: dict[str, Any] = {names[field]: value for field, value in message.ListFields()}
        if rules.any:
            self._check(rules)

    # ── where, and what is wrong ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def path(self) -> str:
        """The field path of this message from the resource's root."""
        name = self._name
        if self._index is not None:
            name += f"[{self._index}]" if isinstance(self._index, int) else f'["{self._index}"]'
        above = self._parent.path if self._parent is not None else ""
        return f"{above}.{name}" if above and name else above or name

    @property
    def type(self) -> str:
        """The message's full type name."""
        return str(self._message.DESCRIPTOR.full_name)

    @property
    def message(self) -> Any:
        """The message itself, for its bytes; fields read from it are not marked."""
        return self._message

    def problem(self, message: str, field: str = "") -> None:
        """Reports something wrong with this message, or with one of its fields."""
        self._resource.problems.append(Problem(message, field=self._path_of(field)))

    def refuse(self, field: str, why: str = "is not implemented") -> None:
        """Reports a field if it is set: known, read on purpose, and not to be had."""
        if self._take(field) is not None:
            self.problem(why, field)

    def finish(self) -> None:
        """Raises ConfigError with everything wrong in the whole resource. Called once, on its first reader."""
        resource = self._resource
        for reader in resource.readers:
            reader._report_unread()
        if resource.problems and resource.repeated:
            self._read_repeated()
        resource.readers.clear()  # they refer to each other: nothing is left to the garbage collector
        resource.repeated.clear()
        if resource.problems:
            raise ConfigError(*resource.problems)
        if resource.timeless:
            _interned.update(resource.fresh)

    def _read_repeated(self) -> None:
        """What is wrong with a message is wrong in every place that it is in."""
        resource = self._resource
        repeated, resource.repeated, resource.fresh = resource.repeated, [], {}
        done = len(resource.readers)
        for parent, message, name, index, (compiler, context, _) in repeated:
            resource.fresh.clear()
            compiler(type(self)(message, name, parent, index), *context)
        for reader in resource.readers[done:]:
            reader._report_unread()

    def _path_of(self, field: str) -> str:
        path = self.path
        return f"{path}.{field}" if path and field else path or field

    def _check(self, rules: MessageRules) -> None:
        fields = self._fields
        checks = rules.checks
        for name, value in fields.items():
            if name in checks and (says := checks[name](value)):
                self.problem(says, name)
        for name, says in rules.missing:
            if name not in fields:
                self.problem(says, name)
        for name, members in rules.oneofs:
            if fields.keys().isdisjoint(members):
                self.problem(f"needs one of {', '.join(sorted(members))}", name)

    def _report_unread(self) -> None:
        unread = [name for name, value in self._fields.items() if value is not _READ]
        if unread:
            accepted = NO_EFFECT.get(self.type, NOTHING)
            for name in unread:
                if name not in accepted:
                    self.problem("is not implemented", name)

    def skip(self) -> None:
        """Marks all fields of this message: the caller knows that none of them can matter."""
        self._fields.clear()

    # ── plain values ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, name: str) -> Any:
        value = self._fields.get(name)
        if value is None:
            if name not in self._rules.known:
                raise KeyError(f"{self.type} has no field {name}")
        elif value is _READ:
            self.problem("is read twice, the second time in vain: a fault of this program", name)
            return None
        else:
            self._fields[name] = _READ
        return value

    def has(self, name: str) -> bool:
        """Whether the field is set and not read yet; does not mark it."""
        return self._fields.get(name, _READ) is not _READ

    def one_of(self, *names: str) -> str:
        """The first of these fields that is set, or ''. Does not mark it."""
        return next((name for name in names if self.has(name)), "")

    def text(self, name: str, default: str = "") -> str:
        """A string, or a StringValue."""
        value = self._take(name)
        if value is None:
            return default
        return value if type(value) is str else str(value.value)

    def octets(self, name: str) -> bytes:
        value = self._take(name)
        return b"" if value is None else bytes(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """A bool, or a BoolValue."""
        value = self._take(name)
        if value is None:
            return default
        return value if type(value) is bool else bool(value.value)

    def number(self, name: str, default: int = 0) -> int:
        """An integer, or its wrapper."""
        value = self._take(name)
        if value is None:
            return default
        return value if type(value) is int else int(value.value)

    def real(self, name: str, default: float = 0.0) -> float:
        """A double, or its wrapper."""
        value = self._take(name)
        if value is None:
            return default
        return value if type(value) is float else float(value.value)

    def optional_number(self, name: str) -> int | None:
        """An integer's wrapper, None when it is not set."""
        return self.number(name) if self.has(name) else self._take(name)

    def seconds(self, name: str, default: float = 0.0) -> float:
        """A Duration; a negative one is a problem, as for Envoy."""
        value = self._take(name)
        if value is None:
            return default
        amount = seconds_of(value)
        if amount < 0:
            self.problem(f"is {amount:g}s, must not be negative", name)
        return amount

    def optional_seconds(self, name: str) -> float | None:
        """A Duration, None when it is not set."""
        return self.seconds(name) if self.has(name) else self._take(name)

    def percent(self, name: str, default: float) -> float:
        """A Percent, 0 to 100."""
        value = self._take(name)
        if value is None:
            return default
        if not 0.0 <= value.value <= 100.0:
            self.problem(f"is {value.value:g} %, must be between 0 and 100", name)
        return float(value.value)

    def chance(self, name: str, default: int) -> int:
        """A Percent or a FractionalPercent, as parts per million."""
        value = self._fields.get(name)
        if value is None or value is _READ or value.DESCRIPTOR.name == "Percent":
            return round(self.percent(name, default * 100 / MILLION) * MILLION / 100)
        reader = self.child(name)
        if reader is None:
            return default
        units = reader.enum_number("denominator")
        return min(reader.number("numerator") * UNITS[min(units, 2)], MILLION)

    def enum_number(self, name: str) -> int:
        return int(self._take(name) or 0)

    def enum(self, name: str) -> str:
        """The name of an enum's value, the first one's when it is not set."""
        number = self.enum_number(name)
        return self._rules.enums[name].get(number) or str(number)

    def only(self, name: str, *accepted: Any, why: str = "") -> None:
        """A field of which only these values are implemented: scalars, wrappers, Durations (as seconds), enum names."""
        if not self.has(name):
            self._take(name)
            return
        field = self._message.DESCRIPTOR.fields_by_name[name]
        if field.enum_type is not None:
            value: Any = self.enum(name)
        else:
            value = self._take(name)
            if hasattr(value, "DESCRIPTOR"):
                value = value.value if hasattr(value, "value") else seconds_of(value)
        if value not in accepted:
            known = " or ".join(shown(each) for each in accepted)
            self.problem(why or f"{shown(value)} is not implemented, only {known} is", name)

    def word(self, name: str, *accepted: str) -> str:
        """An enum of which only these values are implemented."""
        value = self.enum(name)
        if value not in accepted:
            self.problem(f"{value} is not implemented, only {' or '.join(accepted)} is", name)
        return value

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def child(self, name: str) -> Reader | None:
        """A message, or None when it is not set."""
        value = self._take(name)
        return None if value is None else type(self)(value, name, self)

    def children(self, name: str) -> list[Reader]:
        """A repeated message, in order."""
        values = self._take(name)
        return [] if values is None else [type(self)(value, name, self, index) for index, value in enumerate(values)]

    def interned(self, name: str, compiler: Callable[..., T], *context: Any) -> T | None:
        """What `compiler(reader, *context)` makes of a message, None when it is not set. The same message is compiled once:
        what comes of it is shared, within a resource and with its next version."""
        value = self._take(name)
        return None if value is None else self._intern(value, name, None, compiler, context)

    def all_interned(self, name: str, compiler: Callable[..., T], *context: Any) -> tuple[T, ...]:
        """The same for a repeated message."""
        values = self._take(name)
        if values is None:
            return ()
        return tuple([self._intern(value, name, index, compiler, context) for index, value in enumerate(values)])

    def _intern(
        self, message: Any, name: str, index: int | None, compiler: Callable[..., T], context: tuple[Any, ...]
    ) -> T:
        key = (compiler, context, message.SerializeToString(deterministic=True))
        found: T | None = _interned.get(key)
        if found is None:
            resource = self._resource
            found = resource.fresh.get(key)
            if found is None:
                found = resource.fresh[key] = compiler(type(self)(message, name, self, index), *context)
            else:
                resource.repeated.append((self, message, name, index, key))
        return found

    def from_outside(self) -> None:
        """What is compiled depends on something that is not in the message: it is compiled anew next time."""
        self._resource.timeless = False

    def values(self, name: str) -> tuple[Any, ...]:
        """A repeated scalar."""
        values = self._take(name)
        return () if values is None else tuple(values)

    def entries(self, name: str) -> Iterator[tuple[str, Reader]]:
        """A map from strings to messages, ordered by key (protobuf's own order is random)."""
        values = self._take(name)
        for key in sorted(values or ()):
            yield key, type(self)(values[key], name, self, key)

    def struct(self, name: str) -> Mapping[str, Any]:
        """A google.protobuf.Struct as plain data; whole numbers are ints."""
        value = self._take(name)
        return {} if value is None else plain(value)

    def metadata(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """An envoy.config.core.v3.Metadata: its `filter_metadata` as plain data."""
        reader = self.child(name)
        if reader is None:
            return {}
        values = reader._take("filter_metadata")
        return {} if values is None else {key: plain(values[key]) for key in sorted(values)}

    def unpacked(self, name: str = "typed_config") -> tuple[str, Reader | None]:
        """A google.protobuf.Any: its type's name, and a reader of the message; ('', None) when it is not set, and
        (name, None) when the type is unknown here. What to do about an unknown type is the caller's decision."""
        value = self._take(name)
        return ("", None) if value is None else unpack(value, name, self)

    def typed_struct(self, wanted: str, name: str = "typed_config") -> Mapping[str, Any] | None:
        """The values of a TypedStruct, in a google.protobuf.Any, that stands for the type `wanted`; None, without marking
        the field, for anything else."""
        value = self._fields.get(name)
        if value is None or value is _READ or value.type_url.rpartition("/")[2] not in _TYPED_STRUCTS:
            return None
        from google.protobuf.message import DecodeError
        from xds.type.v3.typed_struct_pb2 import TypedStruct

        message = TypedStruct()
        try:
            message.ParseFromString(value.value)
        except DecodeError:
            return None  # `unpacked` says what is wrong
        if message.type_url.rpartition("/")[2] != wanted:
            return None
        self._take(name)
        return plain(message.value)

    def opened(self) -> tuple[str, Reader | None]:
        """The same for a reader that stands on the Any itself (an entry of a map, say)."""
        fields, self._fields = self._fields, {}
        return unpack(self._message, "", self) if fields else ("", None)


def unpack(value: Any, name: str, parent: Reader) -> tuple[str, Reader | None]:
    """Opens a google.protobuf.Any; also a TypedStruct, the form that a type unknown to its sender takes."""
    from google.protobuf import descriptor_pool
    from google.protobuf.message import DecodeError
    from google.protobuf.message_factory import GetMessageClass

    type_name = value.type_url.rpartition("/")[2]
    if not import_type(type_name):
        return type_name, None
    try:
        message: Any = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(type_name))()
        message.ParseFromString(value.value)
    except DecodeError as error:
        parent.problem(f"is not a {type_name}: {error}", name)
        return type_name, None
    if type_name in _TYPED_STRUCTS:
        return str(message.type_url).rpartition("/")[2], None
    for field in unknown_fields(message):
        parent.problem(f"has field number {field}, which {type_name} does not have", name)
    return type_name, type(parent)(message, name, parent)


def unknown_fields(message: Any) -> list[int]:
    """Field numbers that this message or one below it was sent with and that its type does not know."""
    trimmed = type(message)()
    trimmed.CopyFrom(message)
    trimmed.DiscardUnknownFields()
    if trimmed.ByteSize() == message.ByteSize():
        return []
    found = {each.field_number for each in cast(Iterable[Any], UnknownFieldSet(message))}
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for each in value if field.is_repeated else (value,):
            found.update(unknown_fields(each))
    return sorted(found)


def plain(message: Any) -> dict[str, Any]:
    """A message (a Struct, mostly) as JSON data, with whole numbers as ints."""
    data = MessageToDict(message, preserving_proto_field_name=True)
    return {key: _tidy(value) for key, value in data.items()}


def _tidy(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else value
    if isinstance(value, list):
        return [_tidy(each) for each in value]
    if isinstance(value, dict):
        return {key: _tidy(each) for key, each in value.items()}
    return value


_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)


def is_ip(text: str) -> bool:
    """Whether the text is an IP address, and no name."""
    if _IPV4.fullmatch(text):  # a fifth of the time, and most of them are
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def shown(value: Any) -> str:
    """A value as the configuration spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
