"""Finished spans as OTLP's protobuf (https://github.com/open-telemetry/opentelemetry-proto, trace/v1/trace.proto), without a
message object in between: a span has two dozen attributes, and each would be three objects.

An ExportTraceServiceRequest has one ResourceSpans of one ScopeSpans here. Fields may come in any order, and those of a
repeated one are written one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.telemetry.semantics import Names, attributes
from sidecar.telemetry.trace import CLIENT, Attribute, Span

# A field's number and how it is written, as one byte: `number << 3 | type`.
_BYTES: Final = 2
_TRACE_ID, _SPAN_ID, _PARENT_ID, _NAME = b"\x0a\x10", b"\x12\x08", b"\x22\x08", b"\x2a"
_KIND_SERVER, _KIND_CLIENT = b"\x30\x02", b"\x30\x03"
_START, _END = b"\x39", b"\x41"
_ATTRIBUTES: Final = 9
_STATUS_ERROR = b"\x7a\x02\x18\x02"
_BOOL, _INT = b"\x10", b"\x18"
_ONE_BYTE: Final = 0x80
_LENGTHS: Final = [bytes([n]) for n in range(_ONE_BYTE)]
# Attributes that are kept: their names come from the code and the configuration.
_MOST_KEYS: Final = 1000


def varint(number: int) -> bytes:
    """An integer as protobuf has it; a negative one is that of 64 bits."""
    if 0 <= number < _ONE_BYTE:
        return _LENGTHS[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    made = bytearray()
    while number >= _ONE_BYTE:
        made.append(number & 0x7F | _ONE_BYTE)
        number >>= 7
    made.append(number)
    return bytes(made)


def field(number: int, content: bytes) -> bytes:
    """A field that is bytes, text or a message."""
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


class SpanEncoder:
    """Spans whose attributes have the names of `names`. Most attributes of a proxy's spans say what they said the last time:
    how each was written then is kept."""

    __slots__ = ("_last", "_names")

    def __init__(self, names: Names) -> None:
        self._names = names
        self._last: dict[str, tuple[Attribute, bytes]] = {}

    def encode(self, span: Span) -> bytes:
        """A `Span` message."""
        parts = [_TRACE_ID, bytes.fromhex(span.trace_id), _SPAN_ID, bytes.fromhex(span.span_id)]
        if span.parent_id:
            parts += (_PARENT_ID, bytes.fromhex(span.parent_id))
        name = span.name.encode()
        parts += (_NAME, varint(len(name)), name, _KIND_CLIENT if span.kind == CLIENT else _KIND_SERVER)
        parts += (_START, span.start.to_bytes(8, "little"), _END, span.end.to_bytes(8, "little"))
        for key, value in attributes(span, self._names).items():
            last = self._last.get(key)
            if last is not None and last[0] == value and type(last[0]) is type(value):  # True == 1
                parts.append(last[1])
            else:
                parts.append(self._attribute(key, value))
        if span.error:
            parts.append(_STATUS_ERROR)
        return b"".join(parts)

    def _attribute(self, key: str, value: Attribute) -> bytes:
        if key not in self._last and len(self._last) >= _MOST_KEYS:
            self._last.clear()
        made = field(_ATTRIBUTES, key_value(key, value))
        self._last[key] = value, made
        return made


def key_value(key: str, value: Attribute) -> bytes:
    """A `KeyValue` message."""
    if isinstance(value, str):
        any_value = field(1, value.encode("utf-8", "replace"))
    else:
        any_value = (_BOOL if isinstance(value, bool) else _INT) + varint(int(value))
    return field(1, key.encode()) + field(2, any_value)


def resource(values: Mapping[str, Attribute]) -> bytes:
    """A `Resource` message."""
    return b"".join([field(1, key_value(key, value)) for key, value in values.items()])


def export_request(whose: bytes, scope: bytes, spans: Iterable[bytes]) -> bytes:
    """An ExportTraceServiceRequest of a `Resource`, an `InstrumentationScope` and `Span`s."""
    inside = b"".join([field(1, scope), *[field(2, span) for span in spans]])
    return field(1, field(1, whose) + field(2, inside))
