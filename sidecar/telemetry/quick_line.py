"""Lines of JSON access logs with the usual fields, without a generated function.

`formatter` turns any format into the source of a function. That function runs as Python even where the data plane is
compiled, and a log then cost as much as everything else that a mesh adds to a request: 15 µs of 72. Most logs have only
whole values of the commands here. They are numbers, in the order of what kind of value they have, and one compiled function
goes through them: a chain of comparisons costs less than a call. Whatever else a format asks for, and whatever a line holds
that is not UTF-8, is left to the generated function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Final

from mesh.clock import Clock
from sidecar.http.exchange import Exchange
from sidecar.http.head import HOP_HEADERS
from sidecar.http.headers import Headers, joined
from sidecar.http.response_flags import flags_text
from sidecar.telemetry.commands import JOINED
from sidecar.telemetry.start_time import StartTime

Line = Callable[[Exchange, float], bytes]

# What a value looks like is kept: so many of them, if they are not longer.
_MOST: Final = 512
_LONGEST: Final = 256
_NUMBERS: Final = [str(number) for number in range(1024)]

_HEADER: Final = re.compile(r"%(REQ|RESP)\(([A-Za-z0-9_-]+)\)%")

# Numbers, written as they are.
STATUS: Final = 0
RECEIVED: Final = 1
SENT: Final = 2
DURATION: Final = 3
# Text; "" is null.
FLAGS: Final = 4
PROTOCOL: Final = 5
DETAILS: Final = 6
TERMINATION: Final = 7
FAILURE: Final = 8
ROUTE: Final = 9
CLUSTER: Final = 10
RAW_CLUSTER: Final = 11
HOST: Final = 12
UPSTREAM_LOCAL: Final = 13
LOCAL: Final = 14
REMOTE: Final = 15
SERVER_NAME: Final = 16
# Bytes that come again and again.
AUTHORITY: Final = 17
METHOD: Final = 18
REQUEST_HEADER: Final = 19
RESPONSE_HEADER: Final = 20
JOINED_REQUEST: Final = 21
JOINED_RESPONSE: Final = 22
# Bytes that are others every time.
PATH: Final = 23
FIRST_PATH: Final = 24
REQUEST_ID: Final = 25
TRACE_ID: Final = 26
START_TIME: Final = 27

_COMMANDS: Final = {
    "%REQ(:AUTHORITY)%": AUTHORITY,
    "%REQ(:METHOD)%": METHOD,
    "%REQ(:PATH)%": PATH,
    "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%": FIRST_PATH,
    "%REQ(X-REQUEST-ID)%": REQUEST_ID,
    "%PROTOCOL%": PROTOCOL,
    "%RESPONSE_CODE%": STATUS,
    "%RESPONSE_FLAGS%": FLAGS,
    "%RESPONSE_CODE_DETAILS%": DETAILS,
    "%CONNECTION_TERMINATION_DETAILS%": TERMINATION,
    "%UPSTREAM_TRANSPORT_FAILURE_REASON%": FAILURE,
    "%BYTES_RECEIVED%": RECEIVED,
    "%BYTES_SENT%": SENT,
    "%DURATION%": DURATION,
    "%ROUTE_NAME%": ROUTE,
    "%UPSTREAM_CLUSTER%": CLUSTER,
    "%UPSTREAM_CLUSTER_RAW%": RAW_CLUSTER,
    "%UPSTREAM_HOST%": HOST,
    "%UPSTREAM_LOCAL_ADDRESS%": UPSTREAM_LOCAL,
    "%DOWNSTREAM_LOCAL_ADDRESS%": LOCAL,
    "%DOWNSTREAM_REMOTE_ADDRESS%": REMOTE,
    "%REQUESTED_SERVER_NAME%": SERVER_NAME,
    "%START_TIME%": START_TIME,
    "%TRACE_ID%": TRACE_ID,
}


class Part:
    """A value of a line with the text in front of it: its command, and which header where it is one. What it looked like
    is kept, as one piece with that text; how much is bounded, for clients choose some of the values."""

    __slots__ = ("before", "command", "header", "null", "octets", "texts")

    def __init__(self, before: str, command: int, header: bytes) -> None:
        self.before = before
        self.command = command
        self.header = header
        self.null = before + "null"
        self.texts: dict[str, str] = {}
        self.octets: dict[bytes, str] = {}

    def quote(self, value: str) -> str:
        text = self.before + encode_basestring(value.replace(" ", "_") if self.command == DETAILS else value)
        if len(text) <= _LONGEST:
            if len(self.texts) >= _MOST:
                self.texts.clear()
            self.texts[value] = text
        return text

    def quote_bytes(self, value: bytes) -> str:
        text = self.before + encode_basestring(value.decode())
        if len(text) <= _LONGEST:
            if len(self.octets) >= _MOST:
                self.octets.clear()
            self.octets[value] = text
        return text


class QuickLine:
    """A compiled line. `fallback` writes what is not UTF-8."""

    __slots__ = ("_end", "_fallback", "_parts", "_start_time")

    def __init__(self, parts: list[Part], end: str, clock: Clock, fallback: Line) -> None:
        self._parts = parts
        self._end = end
        self._fallback = fallback
        self._start_time = StartTime(clock)

    def write(self, exchange: Exchange, now: float) -> bytes:
        out: list[str] = []
        try:
            for part in self._parts:
                command = part.command
                if command <= DURATION:
                    number = _number(exchange, now, command)
                    out.append(part.before)
                    out.append(_NUMBERS[number] if 0 <= number < 1024 else str(number))
                elif command <= SERVER_NAME:
                    text = _text(exchange, command)
                    out.append((part.texts.get(text) or part.quote(text)) if text else part.null)
                elif command < START_TIME:
                    value = _octets(exchange, command, part.header)
                    if value is None:
                        out.append(part.null)
                    elif command < PATH:
                        out.append(part.octets.get(value) or part.quote_bytes(value))
                    else:
                        out.append(part.before)
                        out.append(encode_basestring(value.decode()))
                else:
                    out.append(part.before)
                    out.append('"' + self._start_time.text(exchange.started) + '"')
            out.append(self._end)
            return "".join(out).encode()
        except UnicodeError:
            return self._fallback(exchange, now)


def quick_json(fields: Mapping[str, object], clock: Clock, fallback: Line) -> Line | None:
    """The line of these fields, None when they are not all of the kind that is known here."""
    parts: list[Part] = []
    for name in sorted(fields):
        command = fields[name]
        known = _command(command) if isinstance(command, str) else None
        if known is None:
            return None
        before = ("," if parts else "{") + encode_basestring(name) + ":"
        parts.append(Part(before, known[0], known[1]))
    return QuickLine(parts, "}\n", clock, fallback).write if parts else None


def _command(command: str) -> tuple[int, bytes] | None:
    # The names of headers may be in any case, and those of commands are known good.
    known = _COMMANDS.get(command.upper())
    if known is not None:
        return known, b""
    found = _HEADER.fullmatch(command)
    if found is None:
        return None
    name, request = found[2].lower().encode(), found[1] == "REQ"
    if name in HOP_HEADERS:
        return None
    if name in JOINED:
        return (JOINED_REQUEST if request else JOINED_RESPONSE), name
    return (REQUEST_HEADER if request else RESPONSE_HEADER), name


def _number(exchange: Exchange, now: float, command: int) -> int:
    if command == STATUS:
        return exchange.status
    if command == RECEIVED:
        return exchange.bytes_received
    if command == SENT:
        return exchange.bytes_sent
    return int((now - exchange.started) * 1000)


def _text(exchange: Exchange, command: int) -> str:
    if command == FLAGS:
        return flags_text(exchange.flags) if exchange.flags else "-"
    if command == PROTOCOL:
        return exchange.protocol
    if command == DETAILS:
        return exchange.details
    if command == TERMINATION:
        return exchange.termination
    if command == FAILURE:
        return exchange.upstream_failure
    if command == UPSTREAM_LOCAL:
        return exchange.upstream_local
    return _text_elsewhere(exchange, command)


def _text_elsewhere(exchange: Exchange, command: int) -> str:
    """What the exchange only points to."""
    if command == HOST:
        return exchange.endpoint.name if exchange.endpoint is not None else ""
    if command == ROUTE:
        return exchange.route.name if exchange.route is not None else ""
    if command == CLUSTER:
        return exchange.cluster.log_name if exchange.cluster is not None else ""
    if command == RAW_CLUSTER:
        return exchange.cluster.name if exchange.cluster is not None else ""
    if command == LOCAL:
        return exchange.downstream.local.text
    if command == REMOTE:
        return exchange.client.text
    # Of HTTP there is none; asking for what is not there costs an exception.
    return "" if exchange.method else getattr(exchange.downstream, "server_name", "")


def _octets(exchange: Exchange, command: int, header: bytes) -> bytes | None:
    if command == REQUEST_HEADER:
        return _value(exchange.headers, header)
    if command == RESPONSE_HEADER:
        return _value(exchange.response_headers, header)
    if command == AUTHORITY:
        return exchange.authority if exchange.authority or b"host" in exchange.hop_headers else None
    if command == METHOD:
        return exchange.method or None
    if command == REQUEST_ID:
        return exchange.request_id or _value(exchange.headers, b"x-request-id")
    if command == TRACE_ID:
        return exchange.trace.trace_id if exchange.trace is not None else None
    if command == JOINED_REQUEST:
        return joined(exchange.headers, header)
    if command == JOINED_RESPONSE:
        return joined(exchange.response_headers, header)
    if command == FIRST_PATH:
        # Before it was rewritten, by us or by a proxy in front of us.
        first = exchange.original_path or _value(exchange.headers, b"x-envoy-original-path")
        if first is not None:
            return first
    return exchange.path or None


def _value(headers: Headers, name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None
