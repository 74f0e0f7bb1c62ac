"""The data plane as one object: what configuration is applied to, what the admin shows, what drains and ends.

It implements `sidecar.xds.target.ConfigTarget`: resources come compiled, checked and warm; applying one swaps a reference.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic

from mesh import gc_tuning
from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar.admin import log_levels
from sidecar.config import model
from sidecar.explain.reasons import reason
from sidecar.http.connection_manager import ConnectionManager
from sidecar.http.stream_context import ManagerContext
from sidecar.listener.manager import ListenerContext, ListenerManager, ListenerRuntime
from sidecar.listener.tcp import TcpManager
from sidecar.process.descriptors import DescriptorWatch
from sidecar.process.drain import DrainPolicy, ServerHealth
from sidecar.process.hostinfo import memory
from sidecar.process.overload import OverloadManager, per_process
from sidecar.process.timers import Deadlines
from sidecar.telemetry import peer, replies
from sidecar.telemetry.rotation import Rotation
from sidecar.telemetry.station import Telemetry
from sidecar.telemetry.stats import ListenerStats, Stats
from sidecar.upstream.breaker import StateListener, log_state
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext
from sidecar.upstream.manager import ClusterManager

log = logging.getLogger(__name__)

# Deadlines of requests are seen this late at most; those of idle connections can wait longer.
REQUEST_TICK = 0.01
IDLE_TICK = 0.1
# How often a process that ends looks whether anything is left in flight.
_LOOK = 0.05


class Runtime:
    """Everything between sockets. `ready_reason` says what is still missing while `ready` is False; `workers` is how many
    processes like this one share ports and logs."""

    def __init__(
        self,
        bootstrap: model.Bootstrap,
        node: Node,
        *,
        drains: DrainPolicy | None = None,
        log_flush_seconds: float = 1.0,
        log_rotation: Rotation | None = None,
        workers: int = 1,
    ) -> None:
        self.bootstrap = bootstrap
        self.node = node
        self.loop = asyncio.get_running_loop()
        self.started = monotonic()
        self.ready = False
        self.ready_reason = "no configuration yet"
        self.health = ServerHealth()
        self.drains = drains or DrainPolicy()
        self._drained: set[bool] = set()  # inbound_only of the drains that were asked for
        self.concurrency = workers
        self.stats = Stats()
        self.tasks = TaskOwner("sidecar")
        self.leaving = asyncio.Event()
        self.ended = asyncio.Event()
        self.telemetry = Telemetry(
            self.stats,
            node,
            self.loop,
            address_of=self._first_address,
            log_flush=log_flush_seconds,
            log_rotation=log_rotation,
            shares_logs=workers > 1,
            explain=str(bootstrap.node.get("metadata", {}).get(replies.METADATA, "")),
            reason=lambda exchange, manager: reason(exchange, manager.routes, manager.clusters),
        )
        self._rng = random.Random()
        idle = Deadlines(self.loop, IDLE_TICK)
        listeners: tuple[StateListener, ...] = (log_state, self.telemetry.on_breaker)
        self._clusters = ClusterManager(
            UpstreamContext(self.loop, self.stats, self.tasks, idle, listeners, self._rng, peer.from_endpoint),
            bootstrap.local_cluster,
            _place(bootstrap),
            bootstrap.dns,
        )
        self._idle = idle
        self._http = ManagerContext(
            loop=self.loop,
            clusters=self._clusters.clusters,
            stats=self.stats,
            tasks=self.tasks,
            active=Deadlines(self.loop, REQUEST_TICK),
            idle=idle,
            node=node,
            on_complete=self.telemetry.on_complete,
            tracer=self.telemetry.tracer,
            interim=self.telemetry.interim,
            peer_headers=self.telemetry.peer_headers,
            decode_peer=peer.decode,
            rng=self._rng,
            service_cluster=str(bootstrap.node.get("cluster", "")),
            node_id=str(bootstrap.node.get("id", "")),
            health=self.health,
            replies=self.telemetry.local_replies.of,
        )
        overload = self._overload_manager()
        context = ListenerContext(
            self.loop,
            self.stats,
            self._connection_manager,
            self._tcp_manager,
            self.drains,
            shares_ports=workers > 1,
            shed=overload.shed if overload is not None else None,
        )
        self._listeners = ListenerManager(context, self._start_listener)
        if overload is not None:
            overload.begin(self.loop)
        self._descriptors = DescriptorWatch(
            self.loop, self.stats.counter("server.file_descriptors_exhausted"), monotonic
        )

    def _overload_manager(self) -> OverloadManager | None:
        config = self.bootstrap.overload
        if config is None:
            return None
        share = per_process(config, self.concurrency)
        return OverloadManager(share, self.stats, lambda shed: self._listeners.overload(shed))

    # ── what the admin reads ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def clusters(self) -> dict[str, ClusterRuntime]:
        return self._clusters.clusters

    @property
    def listeners(self) -> dict[str, ListenerRuntime]:
        return self._listeners.listeners

    @property
    def routes(self) -> dict[str, model.RouteConfig]:
        """Route configurations received over RDS, by name."""
        return self._listeners.routes

    def _first_address(self, cluster: str) -> model.Address | None:
        found = self.clusters.get(cluster)
        return found.hosts[0].address if found is not None and found.hosts else None

    # ── configuration (ConfigTarget) ──────────────────────────────────────────────────────────────────────────────────

    def set_cluster(self, cluster: model.Cluster) -> None:
        self._clusters.set_cluster(cluster)

    def remove_cluster(self, name: str) -> None:
        self._clusters.remove_cluster(name)

    def set_assignment(self, assignment: model.Assignment) -> None:
        self._clusters.set_assignment(assignment)

    def set_listener(self, listener: model.Listener) -> None:
        """Raises ConfigError when the address cannot be bound."""
        self._listeners.set_listener(listener)
        self.telemetry.listening(listener.name, listener)

    def remove_listener(self, name: str) -> None:
        self._listeners.remove_listener(name)
        self.telemetry.listening(name, None)

    def set_routes(self, routes: model.RouteConfig) -> None:
        self._listeners.set_routes(routes)

    def remove_routes(self, name: str) -> None:
        self._listeners.remove_routes(name)

    def initialized(self) -> None:
        """The first round of configuration is in effect."""
        self.ready = True
        self.ready_reason = ""
        gc_tuning.keep()

    async def apply_static(self) -> None:
        """Brings the bootstrap's own resources into effect: listeners once each host that is checked had its first
        health check. Raises ConfigError."""
        with gc_tuning.uncollected():
            for cluster in self.bootstrap.clusters:
                self.set_cluster(cluster)
        await self.wait_all_checked()
        with gc_tuning.uncollected():
            for listener in self.bootstrap.listeners:
                self.set_listener(listener)

    async def wait_all_checked(self) -> None:
        """Until each host that is checked had its first health check."""
        for runtime in list(self.clusters.values()):
            if runtime.checker is not None:
                await runtime.checker.wait_all_checked()

    # ── runtimes of filter chains ─────────────────────────────────────────────────────────────────────────────────────

    def _connection_manager(
        self, config: model.Hcm, listener: model.Listener, stats: ListenerStats
    ) -> ConnectionManager:
        return ConnectionManager(config, listener.direction, listener.buffer_limit, self._http, stats)

    def _tcp_manager(self, config: model.TcpProxy, listener: model.Listener, stats: ListenerStats) -> TcpManager:
        opened, closed = self.telemetry.tcp_accounting(config, listener.direction)
        return TcpManager(
            config,
            clusters=self.clusters,
            stats=self.stats,
            tasks=self.tasks,
            idle=self._idle,
            rng=self._rng,
            opened=opened,
            closed=closed,
            interim=self.telemetry.interim,
            listener=stats,
        )

    def _start_listener(self, listener: ListenerRuntime) -> None:
        self.tasks.start(listener.serve_forever(), f"listener {listener.config.name}")

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        """Responses begin to end their connections. Listeners accept no more: at once, when `graceful` after the drain
        time, with `skip_exit` never. A drain that is on already changes nothing."""

        def selected(listener: model.Listener) -> bool:
            return not inbound_only or listener.direction is model.Direction.INBOUND

        begun = {inbound_only, False} & self._drained
        if graceful and begun:
            return
        if not begun:
            self._drained.add(inbound_only)
            self._listeners.drain(self.drains.begin(), selected)
        if skip_exit:
            return
        if graceful:
            self.loop.call_later(self.drains.seconds, self._listeners.stop, selected)
        else:
            self._listeners.stop(selected)

    def fail_health_check(self, failing: bool) -> None:
        """POST /healthcheck/fail and /ok."""
        self.health.failed = failing
        self._listeners.fail(failing)

    def set_log_levels(self, query: Mapping[str, str]) -> None:
        """POST /logging; raises QueryError."""
        log_levels.change(query)

    def reopen_logs(self) -> None:
        self.telemetry.sinks.reopen()

    def reset_counters(self) -> None:
        self.stats.reset_counters()

    def memory(self) -> dict[str, str]:
        return memory()

    async def look(self, parts: Sequence[str]) -> None:
        """Everything is here, as it is."""

    def terminate(self) -> None:
        """Asks the process to end once what is in flight has ended; asked again, to end at once."""
        if self.leaving.is_set():
            self.ended.set()
        self.leaving.set()

    def quit(self) -> None:
        """Asks the process to end at once."""
        self.leaving.set()
        self.ended.set()

    async def finish(self, seconds: float) -> None:
        """Takes no more connections, ends the idle ones, and waits until none is left, the time is over or `ended` is
        set."""
        self._listeners.stop(lambda _listener: True)
        self._listeners.end_soon()
        deadline = monotonic() + seconds
        while self._listeners.in_use and not self.ended.is_set() and (left := deadline - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK)):
                    await self.ended.wait()
        self.ended.set()

    async def close(self) -> None:
        self._descriptors.close()
        self._listeners.close()
        for name in list(self.clusters):
            self.remove_cluster(name)
        await self.tasks.close()
        await self.telemetry.close()


def _place(bootstrap: model.Bootstrap) -> tuple[str, str, str]:
    """Where the node says that it is."""
    where = bootstrap.node.get("locality", {})
    return where.get("region", ""), where.get("zone", ""), where.get("sub_zone", "")
