"""Finished spans as OTLP's protobuf (https://github.com/open-telemetry/opentelemetry-proto, trace/v1/trace.proto), without a
message object in between: a span has two dozen attributes, and each would be three objects.

An ExportTraceServiceRequest has one ResourceSpans of one ScopeSpans here. Fields may come in any order, and those of a
repeated one are written one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mesh.protobuf import delimited, varint
from sidecar.telemetry.semantics import Names, attributes
from sidecar.telemetry.trace import CLIENT, Attribute, Span

# Protobuf keys: a field's number << 3, and how it is written. Of ids with their length.
_TRACE_ID, _SPAN_ID, _PARENT_ID, _NAME = b"\x0a\x10", b"\x12\x08", b"\x22\x08", b"\x2a"
_KIND_SERVER, _KIND_CLIENT = b"\x30\x02", b"\x30\x03"
_START, _END = b"\x39", b"\x41"
_ATTRIBUTES = b"\x4a"
_STATUS_ERROR = b"\x7a\x02\x18\x02"
_STRING, _BOOL, _INT = b"\x0a", b"\x10", b"\x18"
_FIRST, _SECOND = b"\x0a", b"\x12"  # of any message, where it is text, bytes or a message
# Attributes that are kept: their names come from the code and the configuration.
_MOST_KEYS: Final = 1000


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
        parts += (delimited(_NAME, span.name.encode()), _KIND_CLIENT if span.kind == CLIENT else _KIND_SERVER)
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
        made = delimited(_ATTRIBUTES, key_value(key, value))
        self._last[key] = value, made
        return made


def key_value(key: str, value: Attribute) -> bytes:
    """A `KeyValue` message."""
    if isinstance(value, str):
        any_value = delimited(_STRING, value.encode("utf-8", "replace"))
    else:
        any_value = (_BOOL if isinstance(value, bool) else _INT) + varint(int(value))
    return delimited(_FIRST, key.encode()) + delimited(_SECOND, any_value)


def resource(values: Mapping[str, Attribute]) -> bytes:
    """A `Resource` message."""
    return b"".join([delimited(_FIRST, key_value(key, value)) for key, value in values.items()])


def scope(name: str, version: str) -> bytes:
    """An `InstrumentationScope` message."""
    return delimited(_FIRST, name.encode()) + delimited(_SECOND, version.encode())


def export_request(whose: bytes, by: bytes, spans: Iterable[bytes]) -> bytes:
    """An ExportTraceServiceRequest of a `Resource`, an `InstrumentationScope` and `Span`s."""
    inside = b"".join([delimited(_FIRST, by), *[delimited(_SECOND, span) for span in spans]])
    return delimited(_FIRST, delimited(_FIRST, whose) + delimited(_SECOND, inside))
