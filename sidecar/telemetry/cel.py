"""Expressions over an exchange that is over: where a filter of an access log, or a tag of a metric, finds its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mesh.cel.attributes import OF_METRICS, OF_REQUESTS, PEERS
from mesh.cel.check import Type, check
from mesh.cel.evaluate import Evaluated, compile_tree
from mesh.cel.parse import parse
from sidecar.http.headers import joined
from sidecar.telemetry.measures import grpc_status

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange
    from sidecar.telemetry.peer import Peer


class Subject(NamedTuple):
    """What an expression is asked about: the peers are known where a metric asks."""

    exchange: Exchange
    now: float
    source: Peer | None = None
    destination: Peer | None = None


def log_filter_type(expression: str) -> Type:
    """The type of what a filter of an access log says. Raises CelError."""
    return check(parse(expression), OF_REQUESTS, conversions=False)


def tag_type(expression: str) -> Type:
    """The type of a metric's tag. Raises CelError."""
    return check(parse(expression), OF_METRICS)


def compile_expression(expression: str, filter_chain: str = "") -> Evaluated:
    """A function of a Subject; None is what it returns where the expression has no value."""
    return compile_tree(parse(expression), _Exchanges(filter_chain))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _path(exchange: Exchange) -> bytes:
    return exchange.original_path or exchange.path


def _header(name: bytes) -> Evaluated:
    return lambda x: _text(x.exchange.header(name))


def _request_size(x: Subject) -> int | None:
    told = x.exchange.hop_headers.get(b"content-length")
    if told is None:
        return x.exchange.bytes_received
    return int(told) if told.isdigit() else None


_GETTERS: Final[Mapping[str, Evaluated]] = {
    "request.path": lambda x: _text(x.exchange.path or None),
    "request.url_path": lambda x: _text(x.exchange.path.partition(b"?")[0] or None),
    "request.query": lambda x: _text(x.exchange.path.partition(b"?")[2]),
    "request.host": lambda x: _text(x.exchange.authority or None),
    "request.scheme": lambda x: _text(x.exchange.scheme if x.exchange.method else None),
    "request.method": lambda x: _text(x.exchange.method or None),
    "request.id": lambda x: _text(x.exchange.request_id or None),
    "request.referer": _header(b"referer"),
    "request.useragent": _header(b"user-agent"),
    "request.protocol": lambda x: x.exchange.protocol or None,
    "request.size": _request_size,
    "request.duration": lambda x: x.now - x.exchange.started,
    "response.code": lambda x: x.exchange.status or None,
    "response.code_details": lambda x: x.exchange.details or None,
    "response.flags": lambda x: int(x.exchange.flags),
    "response.grpc_status": lambda x: grpc_status(x.exchange),
    "response.size": lambda x: x.exchange.bytes_sent,
    "source.address": lambda x: str(x.exchange.client),
    "source.port": lambda x: x.exchange.client.port,
    "destination.address": lambda x: str(x.exchange.downstream.local),
    "destination.port": lambda x: x.exchange.downstream.local.port,
    "connection.mtls": lambda x: False,  # there is no TLS between proxies
    "connection.requested_server_name": lambda x: getattr(x.exchange.downstream, "server_name", ""),
    "connection.termination_details": lambda x: x.exchange.termination or None,
    "upstream.address": lambda x: e.name if (e := x.exchange.endpoint) is not None else None,
    "upstream.port": lambda x: e.address.port if (e := x.exchange.endpoint) is not None else None,
    "upstream.local_address": lambda x: x.exchange.upstream_local or None,
    "upstream.transport_failure_reason": lambda x: x.exchange.upstream_failure,
    "upstream.request_attempt_count": lambda x: x.exchange.attempts,
    "xds.cluster_name": lambda x: c.name if (c := x.exchange.cluster) is not None else None,
    "xds.route_name": lambda x: r.name if (r := x.exchange.route) is not None else None,
    "xds.virtual_host_name": lambda x: v.name if (v := x.exchange.virtual_host) is not None else None,
}
_PEER_FIELDS: Final = {"service": "canonical_service", "revision": "canonical_revision"}


class _Exchanges:
    """A mesh.cel.evaluate.Source."""

    def __init__(self, filter_chain: str) -> None:
        self._filter_chain = filter_chain

    def attribute(self, path: str) -> Evaluated | None:
        if path == "xds.filter_chain_name":
            return lambda _x: self._filter_chain
        return _GETTERS.get(path) or _peer(path)

    def entries(self, path: str) -> Callable[[Subject, str], str | None]:
        if path == "request.headers":
            return lambda x, name: _text(x.exchange.header(name.lower().encode()))
        if path == "response.headers":
            return _response_header
        return lambda x, name: _text(joined(list(x.exchange.response_trailers), name.lower().encode()))


def _response_header(x: Subject, name: str) -> str | None:
    if name == ":status":
        return str(x.exchange.status) if x.exchange.status else None
    return _text(joined(x.exchange.response_headers, name.lower().encode()))


def _peer(path: str) -> Evaluated | None:
    owner, _, field = path.rpartition(".")
    if owner not in PEERS or path not in OF_METRICS or path in OF_REQUESTS:
        return None
    side, name = PEERS[owner], _PEER_FIELDS.get(field, field)

    def read(x: Subject) -> Any:
        peer = getattr(x, side)
        return getattr(peer, name, "") or None

    return read
