"""The supervisor's side: the configuration that every worker has, and what the admin port sees of all of them."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar.admin import log_levels
from sidecar.config import model
from sidecar.listener.sockets import bound_socket
from sidecar.process.drain import DrainPolicy, ServerHealth
from sidecar.process.hostinfo import memory
from sidecar.process.settings import Settings
from sidecar.runtime import Runtime
from sidecar.telemetry.istio_metrics import Exemplar
from sidecar.telemetry.log_ring import LogLine
from sidecar.telemetry.prometheus import CellMetric, Points, StatsCollector
from sidecar.telemetry.replies import LocalReply
from sidecar.telemetry.station import BreakerEvent, selected_metrics
from sidecar.telemetry.trace import Spans
from sidecar.workers import merge
from sidecar.workers.merged_stats import MergedStats
from sidecar.workers.route_changes import changes
from sidecar.workers.state import Breaker, HostState, MetricState, Outlier
from sidecar.workers.supervisor import Supervisor

log = logging.getLogger(__name__)


@dataclass(slots=True)
class FleetCluster:
    """A cluster over all workers (an `admin.views.ClusterView`)."""

    config: model.Cluster
    hosts: list[HostState] = field(default_factory=list)
    outlier: Outlier | None = None
    circuit: Breaker | None = None

    @property
    def name(self) -> str:
        return self.config.name


@dataclass(slots=True)
class FleetListener:
    """A listener of all workers. `reserved` is bound and does not listen: the port is ours while workers come and go."""

    config: model.Listener
    addresses: list[model.Address]
    reserved: socket.socket | None = None

    def close(self) -> None:
        if self.reserved is not None:
            self.reserved.close()


class Fleet:
    """N workers as if they were one `Runtime`: configuration goes to all of them, and they are looked at together.

    What a worker would refuse is refused here, by a runtime that has the same configuration and no sockets.
    """

    def __init__(self, bootstrap: model.Bootstrap, node: Node, drains: DrainPolicy, settings: Settings) -> None:
        self.bootstrap = bootstrap
        self.started = monotonic()
        self.ready = False
        self.ready_reason = "no configuration yet"
        self.health = ServerHealth()
        self.tasks = TaskOwner("fleet")
        self.leaving = asyncio.Event()
        self.stats = MergedStats()
        self.telemetry = FleetTelemetry(self.stats)
        self.concurrency = settings.concurrency
        self.clusters: dict[str, FleetCluster] = {}
        self.listeners: dict[str, FleetListener] = {}
        self._memory: list[dict[str, str]] = []
        self._assignments: dict[str, model.Assignment] = {}
        self._drained: list[dict[str, bool]] = []
        self._levels: dict[str, str] = {}
        self._initialized = False
        self._rehearsal = Runtime(replace(bootstrap, overload=None), node, drains=drains)
        self._supervisor = Supervisor(bootstrap, settings, self.tasks, self._everything)
        self._supervisor.start()

    @property
    def routes(self) -> Mapping[str, model.RouteConfig]:
        return self._rehearsal.routes

    # ── configuration (ConfigTarget) ──────────────────────────────────────────────────────────────────────────────────

    def set_cluster(self, cluster: model.Cluster) -> None:
        self.clusters[cluster.name] = FleetCluster(cluster)
        self._tell("set_cluster", cluster)

    def remove_cluster(self, name: str) -> None:
        removed = self.clusters.pop(name, None)
        if removed is not None:
            eds_name = removed.config.eds_name or name
            if all((other.config.eds_name or other.name) != eds_name for other in self.clusters.values()):
                self._assignments.pop(eds_name, None)
        self._tell("remove_cluster", name)

    def set_assignment(self, assignment: model.Assignment) -> None:
        self._assignments[assignment.cluster] = assignment
        self._tell("set_assignment", assignment)

    def set_listener(self, listener: model.Listener) -> None:
        """Raises ConfigError when the address cannot be bound, or when no worker could take it."""
        current = self.listeners.get(listener.name)
        place = self._place(current, listener)
        try:
            self._rehearsal.set_listener(replace(listener, bind_to_port=False))
        except BaseException:
            if place is not current:
                place.close()
            raise
        place.config = listener
        if current is not None and place is not current:
            current.close()
        self.listeners[listener.name] = place
        self._tell("set_listener", _at(place))

    def _place(self, current: FleetListener | None, listener: model.Listener) -> FleetListener:
        """The listener's address, which stays as it is when it did not change."""
        wanted = listener.address, listener.bind_to_port
        if current is not None and (current.config.address, current.config.bind_to_port) == wanted:
            return current
        if not listener.bind_to_port:
            return FleetListener(listener, [])
        sock = bound_socket(listener, shared=True)
        name = sock.getsockname()
        return FleetListener(listener, [model.Address(name[0], name[1])], sock)

    def remove_listener(self, name: str) -> None:
        if (listener := self.listeners.pop(name, None)) is not None:
            listener.close()
        self._rehearsal.remove_listener(name)
        self._tell("remove_listener", name)

    def set_routes(self, routes: model.RouteConfig) -> None:
        before = self.routes.get(routes.name)
        self._rehearsal.set_routes(routes)
        if before is not None and before.vhds and routes.vhds:
            self._tell("change_routes", *changes(before, routes))
        else:
            self._tell("set_routes", routes)

    def remove_routes(self, name: str) -> None:
        self._rehearsal.remove_routes(name)
        self._tell("remove_routes", name)

    def initialized(self) -> None:
        """Ready is who has workers that have all of it."""
        self._initialized = True
        self._tell("initialized")
        self.ready_reason = "workers are starting"
        self.tasks.start(self._become_ready(), "ready")

    async def _become_ready(self) -> None:
        await self._supervisor.settled()
        self.ready = True
        self.ready_reason = ""

    async def apply_static(self) -> None:
        """The bootstrap's own resources; raises ConfigError."""
        for cluster in self.bootstrap.clusters:
            self.set_cluster(cluster)
        self._tell("wait_all_checked")
        for listener in self.bootstrap.listeners:
            self.set_listener(listener)

    def _tell(self, what: str, *arguments: Any) -> None:
        self._supervisor.tell(what, *arguments)

    def _everything(self) -> Iterator[tuple[Any, ...]]:
        """What a worker that starts has to be told, in order."""
        if self._levels:
            yield "set_log_levels", self._levels
        for cluster in self.clusters.values():
            yield "set_cluster", cluster.config
        for assignment in self._assignments.values():
            yield "set_assignment", assignment
        for routes in self.routes.values():
            yield "set_routes", routes
        yield ("wait_all_checked",)
        for listener in self.listeners.values():
            yield "set_listener", _at(listener)
        if self.health.failed:
            yield "fail_health_check", True
        for asked in self._drained:
            yield "drain_listeners", asked
        if self._initialized:
            yield ("initialized",)

    # ── what the admin port asks for ──────────────────────────────────────────────────────────────────────────────────

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        asked = {"graceful": graceful, "inbound_only": inbound_only, "skip_exit": skip_exit}
        self._drained.append(asked)
        self._tell("drain_listeners", asked)

    def fail_health_check(self, failing: bool) -> None:
        self.health.failed = failing
        self._tell("fail_health_check", failing)

    def set_log_levels(self, query: Mapping[str, str]) -> None:
        log_levels.change(query)
        self._levels = {**self._levels, **query}
        self._tell("set_log_levels", dict(query))

    def reopen_logs(self) -> None:
        self._tell("reopen_logs")

    def reset_counters(self) -> None:
        self.stats.reset_counters()
        self._tell("reset_counters")

    def memory(self) -> dict[str, str]:
        return merge.memory([memory(), *self._memory])

    async def look(self, parts: Iterable[str]) -> None:
        """Brings the named parts of what is shown up to date; with none of them, waits until the workers have done what
        they were told."""
        states = await self._supervisor.ask(tuple(parts))
        for part in parts:
            if part == "clusters":
                for name, state in merge.clusters([each.clusters for each in states]).items():
                    if (cluster := self.clusters.get(name)) is not None:
                        cluster.hosts, cluster.outlier, cluster.circuit = state.hosts, state.outlier, state.circuit
            elif part == "stats":
                self.stats.merged = merge.stats([each.stats for each in states])
            elif part == "metrics":
                self.telemetry.metrics = merge.metrics([each.metrics for each in states])
            elif part == "spans":
                spans = sorted((span for each in states for span in each.spans), key=lambda span: span.end)
                self.telemetry.spans.recent.clear()
                self.telemetry.spans.recent.extend(spans)
            elif part == "breaker_events":
                self.telemetry.breaker_events = sorted(event for each in states for event in each.breaker_events)
            elif part == "memory":
                self._memory = [each.memory for each in states]
            elif part == "logs":
                self.telemetry.logs = sorted(line for each in states for line in each.logs)
            elif part == "replies":
                self.telemetry.replies = sorted(reply for each in states for reply in each.replies)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def terminate(self) -> None:
        """As `Runtime.terminate`."""
        if self.leaving.is_set():
            self._tell("quit")
        self.leaving.set()

    def quit(self) -> None:
        self.leaving.set()
        self._tell("quit")

    async def finish(self, seconds: float) -> None:
        """Lets the workers' requests in flight end, and the workers with them."""
        await self._supervisor.end(seconds)

    async def close(self) -> None:
        await self.tasks.close()
        for listener in self.listeners.values():
            listener.close()
        await self._rehearsal.close()


def _at(listener: FleetListener) -> model.Listener:
    """The listener with the port that it was given, where it asked for any."""
    return replace(listener.config, address=listener.addresses[0]) if listener.addresses else listener.config


# ── statistics ────────────────────────────────────────────────────────────────────────────────────────────────────────


class FleetTelemetry:
    """An `admin.views.TelemetryView` over what the workers told."""

    def __init__(self, stats: MergedStats) -> None:
        self.stats = stats
        self.spans = Spans()
        self.breaker_events: list[BreakerEvent] = []
        self.metrics: list[MetricState] = []
        self.logs: list[LogLine] = []
        self.replies: list[LocalReply] = []

    def recent_logs(self, after: float) -> list[LogLine]:
        return [line for line in self.logs if line.at > after]

    def exposition(self, *, used_only: bool, matches: Callable[[str], object] | None) -> Collector:
        return _Exposition(self, used_only, matches)


class _Exposition(Collector):
    def __init__(self, telemetry: FleetTelemetry, used_only: bool, matches: Callable[[str], object] | None) -> None:
        self._telemetry = telemetry
        self._stats = StatsCollector(telemetry.stats, used_only=used_only, matches=matches)
        self._matches = matches

    def collect(self) -> Iterator[Metric]:
        yield from selected_metrics((_cell_metric(state) for state in self._telemetry.metrics), self._matches)
        yield from self._stats.collect()


def _cell_metric(state: MetricState) -> CellMetric:
    points = [
        Points(
            lambda labels=series.labels: labels,  # type: ignore[misc]
            series.text,
            series.value,
            {at: Exemplar(*told) for at, told in series.exemplars.items()},
        )
        for series in state.series
    ]
    return CellMetric(state.name, state.kind, points, state.documentation)
