"""A host: one endpoint of a cluster, with what this proxy knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecar.config import model
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from sidecar.upstream.breaker import HostBreaker


class Host:
    """`active` are the requests in flight, what LEAST_REQUEST compares. A host outlives changes of its endpoint's weight,
    health and metadata; it is another host when its address changes."""

    __slots__ = (
        "active",
        "active_hc_timeout",
        "address",
        "breaker",
        "connections",
        "consecutive_5xx",
        "consecutive_gateway",
        "consecutive_local",
        "cx_connect_fail",
        "cx_total",
        "degraded_active_hc",
        "ejected",
        "ejected_at",
        "ejection_jitter",
        "ejections",
        "endpoint",
        "excluded_by_hc",
        "failed_active_hc",
        "healthy_since",
        "interval_local_success",
        "interval_local_total",
        "interval_success",
        "interval_total",
        "labels",
        "local_success_rate",
        "locality",
        "name",
        "peer",
        "pending_active_hc",
        "pending_removal",
        "place",
        "pool",
        "removed",
        "returned_at",
        "rq_error",
        "rq_success",
        "rq_timeout",
        "rq_total",
        "sessions",
        "success_rate",
        "weight",
    )

    def __init__(self, endpoint: model.Endpoint, locality: model.LocalityEndpoints) -> None:
        self.address = endpoint.address
        self.name = str(endpoint.address)
        self.endpoint = endpoint
        self.locality = locality
        self.place = (locality.region, locality.zone, locality.sub_zone)
        self.weight = endpoint.weight
        self.labels: Any = None  # by which subsets find it, noted by the balancer
        self.healthy_since: float | None = None  # slow start's beginning, noted by the balancer
        self.active = 0
        self.connections = 0
        self.ejected = False
        self.ejected_at = 0.0
        self.ejections = 0  # multiplies the ejection time
        self.ejection_jitter = 0.0
        self.returned_at = NEVER  # when it last came back from an ejection
        self.interval_total = 0  # since the last tick of outlier detection; `local` is about reaching the host
        self.interval_success = 0
        self.interval_local_total = 0
        self.interval_local_success = 0
        self.success_rate = -1.0  # percent, of the interval before; -1 with too little traffic
        self.local_success_rate = -1.0
        self.consecutive_5xx = 0
        self.consecutive_gateway = 0
        self.consecutive_local = 0
        self.cx_total = 0
        self.cx_connect_fail = 0
        self.rq_total = 0
        self.rq_success = 0
        self.rq_error = 0
        self.rq_timeout = 0
        self.removed = False
        self.failed_active_hc = False  # the flags of active health checks, as Envoy has them
        self.active_hc_timeout = False
        self.degraded_active_hc = False
        self.pending_active_hc = False
        self.excluded_by_hc = False
        self.pending_removal = False  # discovery dropped it; it goes when a health check fails
        self.breaker: HostBreaker | None = None  # made at the first ejection; most hosts never need one
        self.peer: Any = None  # telemetry.peer.Peer, from the endpoint's metadata
        self.sessions: set[Any] = set()  # listener.tcp.TcpSession, those that are connected
        self.pool: Any = None  # upstream.pool.Pool, set by the cluster before the host can be picked

    @property
    def metadata(self) -> Any:
        return self.endpoint.metadata

    @property
    def healthy(self) -> bool:
        """Whether the balancer may pick it (panic aside)."""
        if self.ejected or self.failed_active_hc:
            return False
        return self.endpoint.health in (model.Health.HEALTHY, model.Health.DEGRADED)

    @property
    def degraded(self) -> bool:
        return self.degraded_active_hc or self.endpoint.health is model.Health.DEGRADED

    @property
    def excluded(self) -> bool:
        """Whether it does not even count when the share of healthy hosts is worked out."""
        return self.pending_active_hc or self.excluded_by_hc or self.endpoint.health is model.Health.DRAINING

    def forget_checks(self) -> None:
        """Nobody checks it any more."""
        self.failed_active_hc = self.active_hc_timeout = self.degraded_active_hc = False
        self.pending_active_hc = self.excluded_by_hc = self.pending_removal = False

    def update(self, endpoint: model.Endpoint, locality: model.LocalityEndpoints) -> None:
        self.pending_removal = False
        self.endpoint = endpoint
        self.labels = None
        self.locality = locality
        self.place = (locality.region, locality.zone, locality.sub_zone)
        self.weight = endpoint.weight
