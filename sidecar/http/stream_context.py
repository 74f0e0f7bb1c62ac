"""What the requests of one connection manager share: all that its configuration fixes for them.

(In Envoy: `ConnectionManagerConfig`.)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from time import monotonic, time
from typing import Any

from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar.config.model import Direction, Hcm, RouteConfig
from sidecar.filters import FilterContext
from sidecar.filters.chain import FilterChain
from sidecar.http.exchange import Exchange
from sidecar.http.head_policy import HeadPolicy
from sidecar.http.headers import Headers
from sidecar.http.reply_mapper import ReplyMapper
from sidecar.process.drain import ServerHealth
from sidecar.process.timers import Deadlines
from sidecar.router.table import RouteTable
from sidecar.telemetry.stats import Http2Stats, HttpStats, Stats
from sidecar.upstream.cluster import ClusterRuntime

# Called with an exchange at a moment of its clock: when it has ended, or while it is in progress.
Observer = Callable[[Exchange, float], None]


@dataclass(frozen=True, slots=True)
class ManagerContext:
    """What all connection managers of a process share. `on_complete` makes, for a connection manager, the observer of its
    finished exchanges (metrics, logs, spans), `replies` what notes the reasons of local replies, `interim` one that logs an
    exchange in progress under a type of access log; `tracer` is given when tracing is configured."""

    loop: asyncio.AbstractEventLoop
    clusters: Mapping[str, ClusterRuntime]
    stats: Stats
    tasks: TaskOwner
    active: Deadlines
    idle: Deadlines
    node: Node
    on_complete: Callable[[Hcm, Direction], Observer]
    tracer: Callable[[Hcm, Direction], Any]
    interim: Callable[[Hcm, str], Observer]
    peer_headers: Headers
    decode_peer: Callable[[bytes], Any]
    rng: random.Random = field(default_factory=random.Random)
    service_cluster: str = ""  # the cluster of the bootstrap's node
    node_id: str = ""  # its id, as it is written there
    health: ServerHealth = field(default_factory=ServerHealth)
    replies: Callable[[Direction], Any] | None = None


class ProgressObservers:
    """Who hears of requests in progress: when one begins, every `interval` seconds, when its tunnel stands; None: nobody."""

    def __init__(self, config: Hcm, interim: Callable[[Hcm, str], Observer]) -> None:
        self.interval = config.log_interval
        self.started = interim(config, "DownstreamStart") if config.log_starts else None
        self.periodic = interim(config, "DownstreamPeriodic") if config.log_interval else None
        self.tunneled = interim(config, "DownstreamTunnelSuccessfullyEstablished") if config.log_tunnels else None


class StreamContext:
    """Of one `Hcm`. `routes` is rebound when its routes change; requests in flight keep the route they have."""

    def __init__(self, config: Hcm, direction: Direction, buffer_limit: int, context: ManagerContext) -> None:
        self.config = config
        self.buffer_limit = buffer_limit
        self.direction = direction
        self.context = context
        self.loop = context.loop
        self.clusters = context.clusters
        self.tasks = context.tasks
        self.active = context.active
        self.rng = context.rng
        self.stats = HttpStats(context.stats, config.stat_prefix)
        self.http2_stats = Http2Stats(context.stats, "")
        self.heads = HeadPolicy(
            config,
            direction,
            self.stats,
            node_id=context.node_id,
            service_cluster=context.service_cluster,
            decode_peer=context.decode_peer,
        )
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
        self.routes = self.compile(config.routes or RouteConfig(config.rds, ()), None)
        self.on_complete = context.on_complete(config, direction)
        self.observers = ProgressObservers(config, context.interim)
        self.reply_mapper = ReplyMapper(config.local_replies, context.rng) if config.local_replies else None
        self.tracer = context.tracer(config, direction)
        self.replies: Any = context.replies(direction) if context.replies is not None else None
        self.outbound = direction is Direction.OUTBOUND
        self.inbound = direction is Direction.INBOUND
        self.peer_headers = context.peer_headers
        self.decode_peer = context.decode_peer
        self.via = config.via.encode()
        # who comes from an internal address may ask for it (x-envoy-force-trace)
        self.may_add_request_id = config.always_set_request_id_in_response or bool(config.internal_ranges)
        self.server_name = config.server_name.encode()
        self.overwrites_server = config.server_header == "OVERWRITE"
        self.adds_server = config.server_header != "PASS_THROUGH"
        self.keeps_to_mesh = config.keeps_to_mesh
        self.quiet = config.suppress_envoy_headers
        self._date = b""
        self._date_second = 0

    def compile(self, routes: RouteConfig, before: RouteTable | None) -> RouteTable:
        return RouteTable(routes, rng=self.rng, bind_filters=self.filters.bind, before=before)

    def set_routes(self, routes: RouteConfig) -> None:
        self.routes = self.compile(routes, self.routes)

    def date(self) -> bytes:
        now = int(time())
        if now != self._date_second:
            self._date_second = now
            self._date = formatdate(now, usegmt=True).encode()
        return self._date
