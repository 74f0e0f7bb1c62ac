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
from typing import TYPE_CHECKING, Any, Final

from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar.codec import fallback_parser
from sidecar.codec.preserve_case_server import server_type
from sidecar.config.model import Direction, Hcm, RouteConfig
from sidecar.filters import FilterContext, Reply
from sidecar.filters.chain import FilterChain
from sidecar.forward.observed import Observers
from sidecar.forward.overloaded import OverloadedStream
from sidecar.forward.stream import Stream
from sidecar.forward.stream_class import stream_type
from sidecar.http import head_rules
from sidecar.http.exchange import Exchange, Flag
from sidecar.http.forwarded import Forwarded
from sidecar.http.headers import Headers, drop
from sidecar.http.reply_mapper import ReplyMapper
from sidecar.process.drain import DrainSequence, ServerHealth
from sidecar.process.overload import LoadShed
from sidecar.process.timers import Deadlines
from sidecar.router.table import RouteTable
from sidecar.telemetry.stats import HttpStats, ListenerStats, Stats
from sidecar.upstream.cluster import ClusterRuntime

if TYPE_CHECKING:
    from sidecar.codec.h1_closing import ClosableConnection
    from sidecar.codec.h1_server import ServerConnection


@dataclass(frozen=True, slots=True)
class ManagerContext:
    """What all connection managers of a process share. `on_complete` makes, for a connection manager, the function that
    accounts a finished exchange (metrics, logs, spans), `interim` one that logs an exchange in progress under a type of
    access log; `tracer` is given when tracing is configured."""

    loop: asyncio.AbstractEventLoop
    clusters: Mapping[str, ClusterRuntime]
    stats: Stats
    tasks: TaskOwner
    active: Deadlines
    idle: Deadlines
    node: Node
    accounting: Callable[[Hcm, Direction], Callable[[Exchange, float], None]]
    tracer: Callable[[Hcm, Direction], Any]
    interim: Callable[[Hcm, str], Callable[[Exchange, float], None]]
    peer_headers: Headers
    decode_peer: Callable[[bytes], Any]
    rng: random.Random = field(default_factory=random.Random)
    service_cluster: str = ""  # the cluster of the bootstrap's node
    node_id: str = ""  # its id, as it is written there
    health: ServerHealth = field(default_factory=ServerHealth)


class ConnectionManager:
    """The runtime of one `Hcm`. `routes` is rebound when its routes change; requests in flight keep the route they have."""

    def __init__(
        self,
        config: Hcm,
        direction: Direction,
        buffer_limit: int,
        context: ManagerContext,
        listener: ListenerStats | None = None,
    ) -> None:
        self.config = config
        self.listener = listener or ListenerStats(Stats(), "")  # without a listener nobody reads them
        self.buffer_limit = buffer_limit
        self.forwarded = Forwarded(config)
        self.identify = head_rules.identification(
            config, self.forwarded.apply, context.node_id, context.service_cluster
        )
        self.host_rule = head_rules.host_rule(config)
        self.via = config.via.encode()
        # who comes from an internal address may ask for it (x-envoy-force-trace)
        self.may_add_request_id = config.always_set_request_id_in_response or bool(config.internal_ranges)
        self.direction = direction
        self.context = context
        self.loop = context.loop
        self.clusters = context.clusters
        self.tasks = context.tasks
        self.active = context.active
        self.rng = context.rng
        self.stats = HttpStats(context.stats, config.stat_prefix)
        self.path_rule = head_rules.path_rule(config, self.stats)
        filters = FilterContext(
            self.stats,
            context.stats,
            context.rng,
            context.clusters,
            clock=monotonic,
            service_cluster=context.service_cluster,
            health=context.health,
        )
        self.filters = FilterChain(config.filters, filters)
        self.routes = self.compile(config.routes or RouteConfig(config.rds, ()))
        self.account = context.accounting(config, direction)
        self.stream = stream_type(config)
        self.plain_streams = self.stream is Stream
        self.connection: Callable[..., ServerConnection] = server_type(config.header_spelling)
        self.reply_mapper = ReplyMapper(config.local_replies, context.rng) if config.local_replies else None
        self.observers = Observers(config, context.interim)
        self.tracer = context.tracer(config, direction)
        self.outbound = direction is Direction.OUTBOUND
        self.inbound = direction is Direction.INBOUND
        self.peer_headers = context.peer_headers
        self.decode_peer = context.decode_peer
        self.max_head = config.max_request_headers_kb * 1024
        self.server_name = config.server_name.encode()
        self.overwrites_server = config.server_header == "OVERWRITE"
        self.adds_server = config.server_header != "PASS_THROUGH"
        self._sequence: DrainSequence | None = None
        self._shed: LoadShed | None = None
        self._failing = False  # the server says that it is ill, and the listener heeds that
        self.connections: set[ClosableConnection] = set()
        self._date = b""
        self._date_second = 0

    def compile(self, routes: RouteConfig) -> RouteTable:
        return RouteTable(routes, rng=self.rng, bind_filters=self.filters.bind)

    def set_routes(self, routes: RouteConfig) -> None:
        self.routes = self.compile(routes)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, connection: ClosableConnection) -> None:
        self.connections.add(connection)
        self.listener.opened()
        stats = self.stats
        stats.downstream_cx_total.value += 1
        stats.downstream_cx_http1_total.value += 1
        stats.downstream_cx_active.value += 1
        stats.downstream_cx_http1_active.value += 1
        now = monotonic()
        connection.deadline = self.next_look(now, now, now)
        self.context.idle.add(connection)
        if self._may_leave:
            connection.may_leave(True)

    def closed(self, connection: ClosableConnection, seconds: float, *, in_use: bool) -> None:
        self.context.idle.remove(connection)
        self.connections.discard(connection)
        stats = self.stats
        stats.downstream_cx_active.value -= 1
        stats.downstream_cx_http1_active.value -= 1
        stats.downstream_cx_destroy.value += 1
        side = stats.downstream_cx_destroy_local if connection.ended_here else stats.downstream_cx_destroy_remote
        side.value += 1
        if in_use:
            stats.downstream_cx_destroy_active_rq.value += 1
            stats.downstream_cx_destroy_remote_active_rq.value += 1
        stats.downstream_cx_length_ms.record(seconds * 1000)
        self.listener.closed(seconds)

    def next_look(self, now: float, opened: float, idle_since: float) -> float:
        """When a connection may reach one of its limits, as far as can be told now."""
        config, look = self.config, now + 3600.0
        if config.idle_timeout:
            look = max(idle_since + config.idle_timeout, now + 0.05)
        if config.max_connection_duration and now < opened + config.max_connection_duration < look:
            look = opened + config.max_connection_duration
        return look

    def keeps(self, requests: int) -> bool:
        """Whether a connection may serve another request after this many."""
        limit = self.config.max_requests_per_connection
        return not limit or requests < limit

    # ── drains ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def answers_continue(self, expect: bytes) -> bool:
        """Whether we say 100 to a request in the upstream's place."""
        return not self.config.proxies_continue and expect.lower() == b"100-continue"

    def drain(self, sequence: DrainSequence) -> None:
        """From now on responses begin to end their connections, as the sequence has it; the first one counts."""
        if self._sequence is None:
            self._sequence = sequence
            self._tell()

    def fail(self, failing: bool) -> None:
        """The server's health check fails: from now on, and until it does no more, every response ends its connection."""
        self._failing = failing
        self._tell()

    def _tell(self) -> None:
        for connection in self.connections:
            connection.may_leave(self._may_leave)

    @property
    def _may_leave(self) -> bool:
        """Whether a response may be its connection's last for more than the connection's own reasons."""
        sheds = self._shed is not None and bool(self._shed.disable_http_keepalive)
        return sheds or self._failing or self._sequence is not None

    def overload(self, shed: LoadShed) -> None:
        """What is shed of requests and of connections that live on has changed."""
        self._shed = shed
        self.plain_streams = self.stream is Stream and not shed.stop_accepting_requests
        self._tell()

    def kind(self) -> type[Stream]:
        """The kind of the next request, where not all are plain streams."""
        shed = self._shed
        if shed is not None and shed.stop_accepting_requests and shed.draw(shed.stop_accepting_requests):
            return OverloadedStream
        return self.stream

    def ends_keep_alive(self) -> bool:
        """Whether the connection ends with the response that is sent now, because there are too many."""
        shed = self._shed
        if shed is None or not shed.draw(shed.disable_http_keepalive):
            return False
        self.stats.downstream_cx_overload_disable_keepalive.value += 1
        return True

    def gives_up(self) -> bool:
        """Whether a response that is sent now announces its connection's end."""
        return self._failing or (self._sequence is not None and self._sequence.closes())

    def end_soon(self) -> None:
        """Idle connections end at once, the others with their response."""
        for connection in list(self.connections):
            connection.end_soon()

    def cut_off(self, detail: str) -> None:
        """Ends every connection, whatever is in flight."""
        for connection in list(self.connections):
            connection.cut_off(detail)

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
        refusal = self.refuse_head(exchange)
        if refusal is not None:
            return refusal
        config, hop_headers = self.config, exchange.hop_headers
        if exchange.path[:1] != b"/" and exchange.method != b"CONNECT":
            self.stats.downstream_rq_non_relative_path.value += 1
            return Reply(404, b"", "absolute_path_rejected")
        if b"host" not in hop_headers and not exchange.authority:
            if exchange.protocol == "HTTP/1.1" or not config.default_host:
                return self._bad_request("missing_host_header")
            exchange.authority = config.default_host.encode()
        if b"#" in exchange.path:
            self.stats.downstream_rq_failed_path_normalization.value += 1
            return self._bad_request(head_rules.FAILED)
        if self.path_rule is not None and (answer := self.path_rule(exchange)) is not None:
            return answer
        if self.host_rule is not None:
            self.host_rule(exchange)
        if len(hop_headers) > 1:  # more than the host
            self._hop_by_hop(exchange, hop_headers)
        if self.identify is None:
            self.forwarded.apply(exchange)
        else:
            self.identify(exchange)
        return None

    def _bad_request(self, detail: str) -> Reply:
        return Reply(400, b"", detail, headers=() if self.config.keeps_after_bad_request else _CLOSE)

    def refuse_head(self, exchange: Exchange) -> Reply | None:
        """A Reply to what is not HTTP as Envoy's codec knows it."""
        refusal = self._check_codec(exchange)
        if refusal is not None:
            self.stats.downstream_cx_protocol_error.value += 1
            # Envoy's codec refuses before there is a request: the log knows none of it.
            exchange.method = exchange.path = exchange.authority = b""
            exchange.hop_headers = {}
            exchange.protocol = "HTTP/1.1"
        return refusal

    def _check_codec(self, exchange: Exchange) -> Reply | None:
        """What Envoy's codec refuses: it splits the target and looks at the fields."""
        config, hop_headers = self.config, exchange.hop_headers
        if exchange.protocol != "HTTP/1.1" and not config.accept_http_10:
            return _refusal("low_version")
        if len(exchange.headers) + len(hop_headers) > config.max_headers_count:
            return _refusal("http1.too_many_headers")
        if config.underscores != "ALLOW" and (detail := self._underscores(exchange)):
            return _refusal(detail)
        target = exchange.path
        if target[:1] == b"/" and exchange.method != b"CONNECT":
            exchange.authority = hop_headers.get(b"host", b"")
        else:
            detail = split_target(exchange, target)
            if detail:
                return _refusal(detail)
        if exchange.authority.translate(None, _AUTHORITY_BYTES):  # what is left is not allowed
            return _refusal("http.invalid_authority")
        return None

    def _underscores(self, exchange: Exchange) -> str:
        if all(b"_" not in name for name, _ in exchange.headers):
            return ""
        if self.config.underscores == "REJECT_REQUEST":
            return "http1.unexpected_underscore"
        exchange.headers[:] = [header for header in exchange.headers if b"_" not in header[0]]
        return ""

    def _hop_by_hop(self, exchange: Exchange, hop_headers: dict[bytes, bytes]) -> None:
        """What is for this hop only, and what of it is not."""
        headers = exchange.headers
        if b"connection" in hop_headers:
            _drop_nominated(headers, hop_headers[b"connection"])
        if b"te" in hop_headers and b"trailers" in hop_headers[b"te"]:
            headers.append((b"te", b"trailers"))
        if b"expect" in hop_headers and (
            self.config.proxies_continue or hop_headers[b"expect"].lower() != b"100-continue"
        ):
            headers.append((b"expect", hop_headers[b"expect"]))
        peer = hop_headers.get(b"x-envoy-peer-metadata")
        if peer is not None:
            if self.inbound:
                exchange.peer = self.decode_peer(peer)
            elif not self.outbound:
                headers.append((b"x-envoy-peer-metadata", peer))
                headers.append((b"x-envoy-peer-metadata-id", hop_headers.get(b"x-envoy-peer-metadata-id", b"")))


_AUTHORITY_BYTES: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]@"


_CLOSE: Final = ((b"connection", b"close"),)


def _refusal(detail: str) -> Reply:
    status, body = fallback_parser.answer(detail)
    return Reply(status, body, detail, int(Flag.DPE), headers=_CLOSE)


def split_target(exchange: Exchange, target: bytes) -> str:
    """Takes apart a target that is not a path (CONNECT's authority, an absolute URL, an asterisk) into authority and
    path; the code detail when it cannot be."""
    hop_headers = exchange.hop_headers
    if exchange.method == b"CONNECT":
        if not fallback_parser.names_a_port(target):
            return "http1.invalid_url"
        if hop_headers.get(b"content-length", b"0") != b"0":
            return "http1.body_disallowed"
        exchange.authority, exchange.path = target, b""
        return ""
    scheme, separator, rest = target.partition(b"://")
    if separator:
        if scheme.lower() not in (b"http", b"https"):
            return "http1.invalid_scheme"
        cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        exchange.authority = rest[:cut].rpartition(b"@")[2]
        exchange.path = rest[cut:] or b"/"
        return ""
    exchange.authority = hop_headers.get(b"host", b"")
    if target == b"*":
        return "" if exchange.method == b"OPTIONS" else "http1.invalid_url"
    return "http1.codec_error"


def _drop_nominated(headers: Headers, connection: bytes) -> None:
    """Fields that the Connection header names are for this hop only."""
    for name in connection.lower().split(b","):
        name = name.strip()
        if name and name not in (b"close", b"keep-alive", b"upgrade", b"te"):
            drop(headers, name)
