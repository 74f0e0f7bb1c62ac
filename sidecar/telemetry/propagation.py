"""Trace context on the wire: W3C traceparent, and B3 in one header or several.

`extract` reads what a request brought (W3C first, as its ids go on under every format), `inject` writes the context of this
hop in the formats that came in, and traceparent always. tracestate passes
untouched if it can be one, and if it came with a traceparent (https://www.w3.org/TR/trace-context-2/).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from sidecar.http.headers import Headers, drop, get, put

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_B3 = re.compile(rb"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-([0-9a-f]{16}))?)?")
_HEX_TRACE = re.compile(rb"[0-9a-f]{16}|[0-9a-f]{32}")
_HEX_SPAN = re.compile(rb"[0-9a-f]{16}")
_STATE_KEY = rb"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_STATE_VALUE = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_STATE_MEMBER = re.compile(rb"(" + _STATE_KEY + rb")=" + _STATE_VALUE)
_STATE_MEMBERS = 32
_DASH = ord("-")
_FLAGS = (b"-00", b"-01", b"-02", b"-03")  # sampled, and 2 for an id that is random
_NO_TRACE = b"0" * 32
_NO_SPAN = b"0" * 16

# Formats a request came with, and that it goes on with besides traceparent.
B3_SINGLE = 1
B3_MULTI = 2

# One system call for this many random bytes.
_POOL_BYTES = 4096


class TraceContext:
    """One hop's place in a trace; ids are lower-case hex. `parent_id` is empty in a trace that begins here."""

    __slots__ = ("answer", "b3", "debug", "operation", "parent_id", "random", "sampled", "span_id", "trace_id")

    def __init__(self, trace_id: bytes, span_id: bytes, parent_id: bytes, sampled: bool, random: bool = False) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.sampled = sampled
        self.random = random  # who began the trace says that its id is
        self.b3 = 0
        self.debug = False
        self.operation = ""  # what the peer calls this request (x-envoy-decorator-operation)
        self.answer = b""  # what the peer is to call it


class Inherited:
    """What a request brought. `sampled` None: the decision is ours; ids empty: the trace begins here."""

    __slots__ = ("b3", "debug", "random", "sampled", "span_id", "trace_id")

    def __init__(
        self, trace_id: bytes = b"", span_id: bytes = b"", sampled: bool | None = None, random: bool = False
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.random = random
        self.b3 = 0
        self.debug = False


class RandomIds:
    """Random hex digits from a buffer; an all-zero id, which the standards forbid, is not worth a test at 2⁻⁶⁴."""

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def digits(self, count: int) -> bytes:
        at = self._at
        end = at + count
        if end > len(self._pool):
            self._pool = os.urandom(_POOL_BYTES).hex().encode()
            at, end = 0, count
        self._at = end
        return self._pool[at:end]


def go_on(value: bytes, span_id: bytes) -> TraceContext | None:
    """The next hop of a traceparent of version 00, as every request inside a mesh has one: the quick way past `extract`.
    None for any other value."""
    if len(value) != 55 or not value.startswith(b"00-") or value[35] != _DASH or value[52] != _DASH:
        return None
    trace_id, parent_id = value[3:35], value[36:52]
    if value.translate(None, b"0123456789abcdef") != b"---" or trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, parent_id, value[54] in b"13579bdf", value[54] in b"2367abef")


def parse_traceparent(value: bytes) -> Inherited | None:
    """The context of a traceparent header, None for what is none (W3C Trace Context, section 3.2)."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    bits = int(flags, 16)
    return Inherited(trace_id, span_id, bool(bits & 1), bool(bits & 2))


def is_tracestate(value: bytes) -> bool:
    """Whether it is a tracestate (section 3.3): members with keys that differ, no more than may be, in no odd characters."""
    members = [member for part in value.split(b",") if (member := part.strip(b" \t"))]
    found = [_STATE_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match is not None}
    return len(members) <= _STATE_MEMBERS and len(keys) == len(members)


def parse_b3(value: bytes) -> Inherited | None:
    """The context of a `b3` header: ids with or without a decision, or a decision alone."""
    found: Inherited | None
    if value in (b"0", b"1", b"d"):
        found = Inherited(sampled=value != b"0")
        found.debug = value == b"d"
        return found
    match = _B3.fullmatch(value)
    if match is None:
        return None
    trace_id, span_id, decision, _ = match.groups()
    found = _b3_ids(trace_id, span_id)
    if found is not None:
        found.sampled = None if decision is None else decision != b"0"
        found.debug = decision == b"d"
    return found


def parse_b3_headers(headers: Headers) -> Inherited | None:
    """The context of the `x-b3-*` headers."""
    trace_id, span_id = get(headers, b"x-b3-traceid") or b"", get(headers, b"x-b3-spanid") or b""
    if trace_id or span_id:
        if not _HEX_TRACE.fullmatch(trace_id) or not _HEX_SPAN.fullmatch(span_id):
            return None
        found = _b3_ids(trace_id, span_id)
        if found is None:
            return None
    else:
        found = Inherited()
    decision = get(headers, b"x-b3-sampled")
    if get(headers, b"x-b3-flags") == b"1":
        found.sampled = found.debug = True
    elif decision is not None:
        found.sampled = decision in (b"1", b"true")
    return found


def _b3_ids(trace_id: bytes, span_id: bytes) -> Inherited | None:
    trace_id = trace_id.rjust(32, b"0")  # 64-bit ids, as older Zipkins have them
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Inherited(trace_id, span_id)


def extract(indexed: Mapping[bytes, bytes], headers: Headers) -> Inherited | None:
    """What the request brought; None when it brought nothing."""
    found = None
    formats = 0
    traceparent = indexed.get(b"traceparent")
    if traceparent is not None:
        found = parse_traceparent(traceparent)
        if found is None:
            drop(headers, b"tracestate")  # it belongs to a trace that cannot be gone on with
    single = indexed.get(b"b3")
    if single is not None:
        formats |= B3_SINGLE
        found = found or parse_b3(single)
    if b"x-b3-traceid" in indexed or b"x-b3-sampled" in indexed:
        formats |= B3_MULTI
        found = found or parse_b3_headers(headers)
    if formats and found is None:
        found = Inherited()
    if found is not None:
        found.b3 = formats
    return found


def replace(headers: Headers, name: bytes, before: bytes | None, value: bytes) -> None:
    """`codec.headers.put` for a header whose value is known: it is found without a walk in Python."""
    if before is None:
        headers.append((name, value))
        return
    try:
        headers[headers.index((name, before))] = (name, value)
    except ValueError:  # it came several times, or something changed it on the way
        put(headers, name, value)


def inject(context: TraceContext, headers: Headers, before: bytes | None) -> None:
    """Writes the context into request headers, in the place of the traceparent that came, if one did."""
    value = context.trace_id + (b"-" + context.span_id + _FLAGS[context.sampled + 2 * context.random])
    replace(headers, b"traceparent", before, b"00-" + value)
    if context.b3:
        _inject_b3(context, headers)


def unsample(context: TraceContext, headers: Headers) -> None:
    """Whoever gets these headers is not to record the trace that they name."""
    # By hand: `copy` makes objects without their arguments, which a compiled class does not allow.
    unsampled = TraceContext(context.trace_id, context.span_id, context.parent_id, False, context.random)
    unsampled.b3 = context.b3
    inject(unsampled, headers, get(headers, b"traceparent"))


def _inject_b3(context: TraceContext, headers: Headers) -> None:
    decision = b"d" if context.debug else b"1" if context.sampled else b"0"
    if context.b3 & B3_SINGLE:
        parts = (context.trace_id, context.span_id, decision, *([context.parent_id] if context.parent_id else ()))
        put(headers, b"b3", b"-".join(parts))
    if context.b3 & B3_MULTI:
        put(headers, b"x-b3-traceid", context.trace_id)
        put(headers, b"x-b3-spanid", context.span_id)
        if context.parent_id:
            put(headers, b"x-b3-parentspanid", context.parent_id)
        else:
            drop(headers, b"x-b3-parentspanid")
        if not context.debug:  # x-b3-flags implies the decision
            put(headers, b"x-b3-sampled", decision)
