"""Lines of JSON access logs with the usual fields, without a generated function.

`formatter` turns any format into the source of a function. That function runs as Python even where the data plane is
compiled, and a log then cost as much as everything else that a mesh adds to a request: 15 µs of 72. Most logs have only
whole values of the commands here, which are compiled with the rest. Whatever else a format asks for, and whatever a line
holds that is not UTF-8, is left to the generated function.
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
from sidecar.telemetry.commands import JOINED, start_time

Line = Callable[[Exchange, float], bytes]
# The text of a value, None when there is none.
Field = Callable[[Exchange, float], str | None]

# How a value is written: as it is, between quotes, as a JSON string to be made, or as one that comes again and again.
NUMBER: Final = 0
PLAIN: Final = 1
RARE: Final = 2
FREQUENT: Final = 3

_MOST: Final = 4096
_LONGEST: Final = 256

_HEADER: Final = re.compile(r"%(REQ|RESP)\(([A-Za-z0-9_-]+)\)%")


class QuickLine:
    """A compiled line: each value with the text in front of it. `fallback` writes what is not UTF-8."""

    __slots__ = ("_end", "_fallback", "_parts", "_quoted")

    def __init__(self, parts: list[tuple[str, Field, int]], end: str, fallback: Line) -> None:
        self._parts = parts
        self._end = end
        self._fallback = fallback
        self._quoted: dict[str, str] = {}  # bounded: clients choose some of the values

    def write(self, exchange: Exchange, now: float) -> bytes:
        out: list[str] = []
        try:
            for before, field, kind in self._parts:
                out.append(before)
                value = field(exchange, now)
                if value is None:
                    out.append("null")
                elif kind == NUMBER:
                    out.append(value)
                elif kind == PLAIN:
                    out.append('"')
                    out.append(value)
                    out.append('"')
                elif kind == RARE:
                    out.append(encode_basestring(value))
                else:
                    out.append(self._quoted.get(value) or self._quote(value))
            out.append(self._end)
            return "".join(out).encode()
        except UnicodeError:
            return self._fallback(exchange, now)

    def _quote(self, value: str) -> str:
        text = encode_basestring(value)
        if len(text) <= _LONGEST:
            if len(self._quoted) >= _MOST:
                self._quoted.clear()
            self._quoted[value] = text
        return text


def quick_json(fields: Mapping[str, object], clock: Clock, fallback: Line) -> Line | None:
    """The line of these fields, None when they are not all of the kind that is known here."""
    parts: list[tuple[str, Field, int]] = []
    for name in sorted(fields):
        command = fields[name]
        known = _field(command, clock) if isinstance(command, str) else None
        if known is None:
            return None
        before = ("," if parts else "{") + encode_basestring(name) + ":"
        parts.append((before, known[0], known[1]))
    return QuickLine(parts, "}\n", fallback).write if parts else None


def _field(command: str, clock: Clock) -> tuple[Field, int] | None:
    known = _FIELDS.get(
        command.upper()
    )  # the names of headers may be in any case, and those of commands are known good
    if known is not None:
        return known
    if command == "%START_TIME%":
        render = start_time(clock)
        return lambda exchange, _now: render(exchange.started), PLAIN
    header = _HEADER.fullmatch(command)
    return _header(header[2].lower().encode(), header[1] == "REQ") if header is not None else None


def _header(name: bytes, request: bool) -> tuple[Field, int] | None:
    if name in HOP_HEADERS:
        return None
    if name in JOINED:
        return (
            lambda exchange, _now: _joined(exchange.headers if request else exchange.response_headers, name)
        ), FREQUENT

    def of_request(exchange: Exchange, _now: float) -> str | None:
        for key, value in exchange.headers:
            if key == name:
                return value.decode()
        return None

    def of_response(exchange: Exchange, _now: float) -> str | None:
        for key, value in exchange.response_headers:
            if key == name:
                return value.decode()
        return None

    return (of_request if request else of_response), FREQUENT


def _joined(headers: Headers, name: bytes) -> str | None:
    value = joined(headers, name)
    return None if value is None else value.decode()


# ── the fields ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _authority(exchange: Exchange, _now: float) -> str | None:
    return exchange.authority.decode() if exchange.authority or b"host" in exchange.hop_headers else None


def _method(exchange: Exchange, _now: float) -> str | None:
    return exchange.method.decode() if exchange.method else None


def _path(exchange: Exchange, now: float) -> str | None:
    return exchange.path.decode() if exchange.path else None


def _first_path(exchange: Exchange, now: float) -> str | None:
    """The path before it was rewritten, by us or by a proxy in front of us."""
    if exchange.original_path:
        return exchange.original_path.decode()
    for key, value in exchange.headers:
        if key == b"x-envoy-original-path":
            return value.decode()
    return _path(exchange, now)


def _request_id(exchange: Exchange, _now: float) -> str | None:
    if exchange.request_id:
        return exchange.request_id.decode()
    for key, value in exchange.headers:
        if key == b"x-request-id":
            return value.decode()
    return None


def _protocol(exchange: Exchange, _now: float) -> str | None:
    return exchange.protocol or None


def _status(exchange: Exchange, _now: float) -> str:
    return str(exchange.status)


def _flags(exchange: Exchange, _now: float) -> str:
    return flags_text(exchange.flags) if exchange.flags else "-"


def _details(exchange: Exchange, _now: float) -> str | None:
    return exchange.details.replace(" ", "_") or None


def _termination(exchange: Exchange, _now: float) -> str | None:
    return exchange.termination or None


def _failure(exchange: Exchange, _now: float) -> str | None:
    return exchange.upstream_failure or None


def _received(exchange: Exchange, _now: float) -> str:
    return str(exchange.bytes_received)


def _sent(exchange: Exchange, _now: float) -> str:
    return str(exchange.bytes_sent)


def _duration(exchange: Exchange, now: float) -> str:
    return str(int((now - exchange.started) * 1000))


def _route(exchange: Exchange, _now: float) -> str | None:
    return (exchange.route.name or None) if exchange.route is not None else None


def _cluster(exchange: Exchange, _now: float) -> str | None:
    cluster = exchange.cluster
    return None if cluster is None else cluster.config.alt_stat_name or cluster.name


def _raw_cluster(exchange: Exchange, _now: float) -> str | None:
    return None if exchange.cluster is None else exchange.cluster.name


def _host(exchange: Exchange, _now: float) -> str | None:
    return None if exchange.endpoint is None else exchange.endpoint.name


def _upstream_local(exchange: Exchange, _now: float) -> str | None:
    return exchange.upstream_local or None


def _local(exchange: Exchange, _now: float) -> str:
    return exchange.downstream.local.text


def _remote(exchange: Exchange, _now: float) -> str:
    return exchange.client.text


def _server_name(exchange: Exchange, _now: float) -> str | None:
    return getattr(exchange.downstream, "server_name", "") or None


_FIELDS: Final[dict[str, tuple[Field, int]]] = {
    "%REQ(:AUTHORITY)%": (_authority, FREQUENT),
    "%REQ(:METHOD)%": (_method, FREQUENT),
    "%REQ(:PATH)%": (_path, RARE),
    "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%": (_first_path, RARE),
    "%REQ(X-REQUEST-ID)%": (_request_id, RARE),
    "%PROTOCOL%": (_protocol, PLAIN),
    "%RESPONSE_CODE%": (_status, NUMBER),
    "%RESPONSE_FLAGS%": (_flags, PLAIN),
    "%RESPONSE_CODE_DETAILS%": (_details, FREQUENT),
    "%CONNECTION_TERMINATION_DETAILS%": (_termination, FREQUENT),
    "%UPSTREAM_TRANSPORT_FAILURE_REASON%": (_failure, FREQUENT),
    "%BYTES_RECEIVED%": (_received, NUMBER),
    "%BYTES_SENT%": (_sent, NUMBER),
    "%DURATION%": (_duration, NUMBER),
    "%ROUTE_NAME%": (_route, FREQUENT),
    "%UPSTREAM_CLUSTER%": (_cluster, FREQUENT),
    "%UPSTREAM_CLUSTER_RAW%": (_raw_cluster, FREQUENT),
    "%UPSTREAM_HOST%": (_host, PLAIN),
    "%UPSTREAM_LOCAL_ADDRESS%": (_upstream_local, PLAIN),
    "%DOWNSTREAM_LOCAL_ADDRESS%": (_local, PLAIN),
    "%DOWNSTREAM_REMOTE_ADDRESS%": (_remote, PLAIN),
    "%REQUESTED_SERVER_NAME%": (_server_name, FREQUENT),
}
