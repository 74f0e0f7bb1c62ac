"""The HTTP connection manager: everything that a filter chain's configuration fixes, and the policy on request heads.

One is made for every HTTP filter chain of a listener. `admit` brings a request's head into the shape that routing works on
(authority, path, forwarding headers, request id) or says what to answer instead.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar import request_id
from sidecar.codec.headers import Headers, drop, put
from sidecar.config.model import Direction, Hcm, RouteConfig
from sidecar.exchange import Exchange, Flag
from sidecar.filters import Reply
from sidecar.filters.chain import FilterChain
from sidecar.router.path import normalize
from sidecar.router.table import RouteTable, without_port
from sidecar.telemetry.stats import HttpStats, Stats
from sidecar.timers import Deadlines
from sidecar.upstream.cluster import ClusterRuntime

if TYPE_CHECKING:
    from sidecar.codec.h1_server import ServerConnection


@dataclass(frozen=True, slots=True)
class ManagerContext:
    """What all connection managers of a process share. `on_complete` makes, for a connection manager, the function that
    accounts a finished exchange (metrics, logs, spans); `tracer` is given when tracing is configured."""

    loop: asyncio.AbstractEventLoop
    clusters: Mapping[str, ClusterRuntime]
    stats: Stats
    tasks: TaskOwner
    active: Deadlines
    idle: Deadlines
    node: Node
    accounting: Callable[[Hcm, Direction], tuple[Callable[[Exchange, float], None], ...]]
    tracer: Callable[[Hcm, Direction], Any]
    peer_headers: Headers
    decode_peer: Callable[[bytes], Any]
    rng: random.Random = field(default_factory=random.Random)


class ConnectionManager:
    """The runtime of one `Hcm`. `routes` is rebound when its routes change; requests in flight keep the route they have."""

    def __init__(self, config: Hcm, direction: Direction, context: ManagerContext) -> None:
        self.config = config
        self.direction = direction
        self.context = context
        self.loop = context.loop
        self.clusters = context.clusters
        self.tasks = context.tasks
        self.active = context.active
        self.rng = context.rng
        self.stats = HttpStats(context.stats, config.stat_prefix)
        self.filters = FilterChain(config.filters, self.stats, context.rng)
        self.routes = self.compile(config.routes or RouteConfig(config.rds, ()))
        self.accounting = context.accounting(config, direction)
        self.tracer = context.tracer(config, direction)
        self.outbound = direction is Direction.OUTBOUND
        self.inbound = direction is Direction.INBOUND
        self.peer_headers = context.peer_headers
        self.decode_peer = context.decode_peer
        self.max_head = config.max_request_headers_kb * 1024
        self.server_name = config.server_name.encode()
        self.overwrites_server = config.server_header == "OVERWRITE"
        self.adds_server = config.server_header != "PASS_THROUGH"
        self.draining = False
        self.connections: set[ServerConnection] = set()
        self._date = b""
        self._date_second = 0

    def compile(self, routes: RouteConfig) -> RouteTable:
        return RouteTable(routes, rng=self.rng, bind_filters=self.filters.bind)

    def set_routes(self, routes: RouteConfig) -> None:
        self.routes = self.compile(routes)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        stats = self.stats
        stats.downstream_cx_total.value += 1
        stats.downstream_cx_http1_total.value += 1
        stats.downstream_cx_active.value += 1
        stats.downstream_cx_http1_active.value += 1
        now = monotonic()
        connection.deadline = self.next_look(now, now)
        self.context.idle.add(connection)

    def closed(self, connection: ServerConnection, seconds: float) -> None:
        self.context.idle.remove(connection)
        self.connections.discard(connection)
        stats = self.stats
        stats.downstream_cx_active.value -= 1
        stats.downstream_cx_http1_active.value -= 1
        stats.downstream_cx_destroy.value += 1
        stats.downstream_cx_length_ms.record(seconds * 1000)

    def next_look(self, now: float, idle_since: float) -> float:
        """When an idle connection may have reached one of its limits."""
        config = self.config
        if config.request_headers_timeout:
            return now + 1.0
        return idle_since + config.idle_timeout if config.idle_timeout else now + 3600.0

    def keeps(self, requests: int) -> bool:
        """Whether a connection may serve another request after this many."""
        limit = self.config.max_requests_per_connection
        return not limit or requests < limit

    def drain(self) -> None:
        """From now on connections end with their next response; idle ones end at once."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()

    def close(self) -> None:
        self.stats.close()

    def date(self) -> bytes:
        now = int(time())
        if now != self._date_second:
            self._date_second = now
            self._date = formatdate(now, usegmt=True).encode()
        return self._date

    # ── request heads ─────────────────────────────────────────────────────────────────────────────────────────────────

    def admit(self, exchange: Exchange) -> Reply | None:
        """Brings the head into shape for routing; a Reply when it is refused. `exchange.path` holds the raw target."""
        config, special, noted = self.config, exchange.special, exchange.noted
        if exchange.protocol != "HTTP/1.1" and not config.accept_http_10:
            return _reply(426, b"Upgrade Required", "low_version", Flag.DPE)
        if len(exchange.headers) + len(special) > config.max_headers_count:
            return _reply(431, b"Request Header Fields Too Large", "http1.too_many_headers", Flag.DPE)
        host = special.get(b"host")
        target = exchange.path
        if target[:1] == b"/":
            if host is None:
                return _reply(400, b"", "missing_host_header", 0)
            exchange.authority = host
        else:
            reply = _other_target(exchange, target, host)
            if reply is not None:
                return reply
        if b"#" in exchange.path:
            return _reply(400, b"", "path_normalization_failed", 0)
        if not _AUTHORITY_BYTES.issuperset(exchange.authority):
            return _reply(400, b"Bad Request", "http.invalid_authority", Flag.DPE)
        if config.normalize_path or config.merge_slashes:
            path = normalize(exchange.path, dots=config.normalize_path, slashes=config.merge_slashes)
            if path is None:
                return _reply(400, b"", "path_normalization_failed", 0)
            exchange.path = path
        if config.strip_any_host_port:
            exchange.authority = without_port(exchange.authority)
        if b"connection" in special:
            _drop_nominated(exchange.headers, special[b"connection"])
        if special.get(b"te") is not None and b"trailers" in special[b"te"]:
            exchange.headers.append((b"te", b"trailers"))
        self._forwarding(exchange, noted)
        return None

    def _forwarding(self, exchange: Exchange, noted: dict[bytes, bytes]) -> None:
        """x-forwarded-*, x-envoy-* and x-request-id."""
        headers, config = exchange.headers, self.config
        if not noted.keys().isdisjoint(_CONSUMED):
            headers[:] = [header for header in headers if header[0] not in _CONSUMED]
        if config.use_remote_address:
            self._from_edge(exchange, noted)
        elif b"x-forwarded-proto" not in noted:
            headers.append((b"x-forwarded-proto", exchange.scheme))
        identity = noted.get(b"x-request-id")
        if identity is not None and (not config.use_remote_address or config.preserve_external_request_id):
            exchange.request_id = identity
        elif config.generate_request_id:
            exchange.request_id = identity = request_id.new()
            if b"x-request-id" in noted:
                put(headers, b"x-request-id", identity)
            else:
                headers.append((b"x-request-id", identity))
        if self.inbound or self.outbound:
            peer = exchange.special.get(b"x-envoy-peer-metadata")
            if peer is not None and self.inbound:
                exchange.peer = self.decode_peer(peer)

    def _from_edge(self, exchange: Exchange, noted: dict[bytes, bytes]) -> None:
        """The client is not trusted to say who it is: its address is appended, internal headers go."""
        headers, remote = exchange.headers, exchange.downstream.remote.host.encode()
        drop(headers, b"x-envoy-downstream-service-cluster")
        drop(headers, b"x-envoy-decorator-operation")
        drop(headers, b"x-envoy-original-path")
        if not self.config.skip_xff_append:
            before = noted.get(b"x-forwarded-for")
            if before is None:
                headers.append((b"x-forwarded-for", remote))
            else:
                put(headers, b"x-forwarded-for", before + b"," + remote)
        if b"x-forwarded-proto" in noted:
            put(headers, b"x-forwarded-proto", exchange.scheme)
        else:
            headers.append((b"x-forwarded-proto", exchange.scheme))
        put(headers, b"x-envoy-external-address", remote)


# Request headers that the proxy acts on and that end with it.
_CONSUMED = frozenset(
    (
        b"x-envoy-internal",
        b"x-envoy-max-retries",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retry-on",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-ms",
    )
)
_AUTHORITY_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]@")


def _reply(status: int, body: bytes, detail: str, flag: int) -> Reply:
    return Reply(status, body, detail, int(flag), headers=_CLOSE)


_CLOSE = ((b"connection", b"close"),)


def _other_target(exchange: Exchange, target: bytes, host: bytes | None) -> Reply | None:
    """Targets that are not a path: CONNECT's authority, an absolute URL, an asterisk."""
    if exchange.method == b"CONNECT":
        name, colon, port = target.rpartition(b":")
        if not name or not colon or not port.isdigit():
            return _reply(400, b"Bad Request", "http1.invalid_url", Flag.DPE)
        if b"content-length" in exchange.special and exchange.special[b"content-length"] != b"0":
            return _reply(400, b"Bad Request", "http1.body_disallowed", Flag.DPE)
        exchange.authority, exchange.path = target, b""
        return None
    scheme, separator, rest = target.partition(b"://")
    if separator:
        if scheme.lower() not in (b"http", b"https"):
            return _reply(400, b"Bad Request", "http1.invalid_scheme", Flag.DPE)
        cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        exchange.authority = rest[:cut].rpartition(b"@")[2]
        exchange.path = rest[cut:] or b"/"
        if exchange.path[:1] == b"/":
            return None
    elif target == b"*" and exchange.method != b"OPTIONS":
        return _reply(400, b"Bad Request", "http1.invalid_url", Flag.DPE)
    elif target != b"*":
        return _reply(400, b"Bad Request", "http1.codec_error", Flag.DPE)
    else:
        exchange.authority = host or b""
    return Reply(404, b"", "absolute_path_rejected")


def _drop_nominated(headers: Headers, connection: bytes) -> None:
    """Fields that the Connection header names are for this hop only."""
    for name in connection.lower().split(b","):
        name = name.strip()
        if name and name not in (b"close", b"keep-alive", b"upgrade", b"te"):
            drop(headers, name)
