"""A runtime as the admin port sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from sidecar.admin import log_levels
from sidecar.config import model
from sidecar.process.drain import ServerHealth
from sidecar.process.hostinfo import memory


@dataclass
class FakeBreaker:
    state: str = "open"
    reason: str = "5 consecutive 5xx"
    counts: tuple[int, int, int] | None = None
    opens_at: str = ""


@dataclass
class FakeAverages:
    average: float = -1.0
    threshold: float = -1.0


@dataclass
class FakeOutlier:
    rates: FakeAverages = field(default_factory=FakeAverages)
    local_rates: FakeAverages = field(default_factory=FakeAverages)


@dataclass
class FakeHost:
    address: model.Address
    endpoint: model.Endpoint = field(init=False)
    locality: model.LocalityEndpoints = field(
        default_factory=lambda: model.LocalityEndpoints((), region="r1", zone="z1", priority=0)
    )
    active: int = 2
    connections: int = 3
    ejected: bool = False
    breaker: FakeBreaker | None = None
    cx_total: int = 7
    cx_connect_fail: int = 0
    rq_total: int = 40
    rq_success: int = 38
    rq_error: int = 2
    rq_timeout: int = 1
    success_rate: float = -1.0
    local_success_rate: float = -1.0
    failed_active_hc: bool = False
    active_hc_timeout: bool = False
    degraded_active_hc: bool = False
    pending_active_hc: bool = False
    excluded_by_hc: bool = False
    pending_removal: bool = False

    def __post_init__(self) -> None:
        self.endpoint = model.Endpoint(self.address, hostname="reviews")

    @property
    def name(self) -> str:
        return str(self.address)


@dataclass
class FakeCluster:
    config: model.Cluster
    hosts: list[FakeHost] = field(default_factory=list)
    outlier: FakeOutlier | None = None
    circuit: FakeBreaker | None = None

    def __post_init__(self) -> None:
        if self.config.outlier is not None:
            self.outlier = FakeOutlier()

    @property
    def name(self) -> str:
        return self.config.name


@dataclass
class FakeListener:
    config: model.Listener
    addresses: list[model.Address] = field(default_factory=list)


@dataclass
class FakeRuntime:
    bootstrap: model.Bootstrap = field(
        default_factory=lambda: model.Bootstrap({"id": "sidecar~1~a.b~c", "cluster": "a"})
    )
    started: float = field(default_factory=monotonic)
    ready: bool = True
    ready_reason: str = ""
    health: ServerHealth = field(default_factory=ServerHealth)
    clusters: dict[str, FakeCluster] = field(default_factory=dict)
    listeners: dict[str, FakeListener] = field(default_factory=dict)
    routes: dict[str, model.RouteConfig] = field(default_factory=dict)
    drained: list[tuple[bool, bool, bool]] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    looked: list[tuple[str, ...]] = field(default_factory=list)
    concurrency: int = 1
    ended: bool = False

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        self.drained.append((graceful, inbound_only, skip_exit))

    def fail_health_check(self, failing: bool) -> None:
        self.health.failed = failing

    def set_log_levels(self, query: Mapping[str, str]) -> None:
        log_levels.change(query)

    def reopen_logs(self) -> None:
        self.did.append("reopen_logs")

    def reset_counters(self) -> None:
        self.did.append("reset_counters")

    def memory(self) -> dict[str, str]:
        return memory()

    async def look(self, parts: Sequence[str]) -> None:
        self.looked.append(tuple(parts))

    def quit(self) -> None:
        self.ended = True

    def add(self, cluster: model.Cluster, *hosts: FakeHost) -> None:
        self.clusters[cluster.name] = FakeCluster(cluster, list(hosts))

    def listen(self, listener: model.Listener, *addresses: model.Address) -> None:
        self.listeners[listener.name] = FakeListener(listener, list(addresses))


def reviews(**fields: Any) -> model.Cluster:
    return model.Cluster("outbound|9080||reviews", model.Discovery.EDS, **fields)
