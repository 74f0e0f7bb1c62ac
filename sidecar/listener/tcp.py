"""The TCP proxy: bytes from a client to a host of a cluster and back, as they come, with coupled flow control."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from time import monotonic
from typing import Any

from xxhash import xxh64_intdigest

from mesh.tasks import TaskOwner
from sidecar.config.model import HASHING, Address, TcpProxy, WeightedCluster
from sidecar.http.exchange import FOUND_ADDRESS, Exchange, TcpExchange
from sidecar.http.response_flags import Flag
from sidecar.process.drain import DrainSequence
from sidecar.process.timers import Deadlines
from sidecar.telemetry.periodic import PeriodicLog
from sidecar.telemetry.stats import ClusterStats, ListenerStats, Stats, TcpStats
from sidecar.upstream import outlier
from sidecar.upstream.cluster import ClusterRuntime
from sidecar.upstream.dial import DialError, dial, hung_up
from sidecar.upstream.dns_cache import CacheOverflowError, NameCache
from sidecar.upstream.host import Host

LINGER_NOT = struct.pack("ii", 1, 0)  # closing with this set sends RST


class TcpManager:
    """What one tcp_proxy filter fixes for its connections. `opened` and `closed` account a session (metrics, log)."""

    def __init__(
        self,
        config: TcpProxy,
        *,
        clusters: Mapping[str, ClusterRuntime],
        stats: Stats,
        tasks: TaskOwner,
        idle: Deadlines,
        rng: random.Random,
        opened: Callable[[Exchange], None],
        closed: Callable[[Exchange, float], None],
        interim: Callable[[TcpProxy, str], Callable[[Exchange, float], None]],
        listener: ListenerStats | None = None,
    ) -> None:
        self.config = config
        self.clusters = clusters
        self.stats = TcpStats(stats, config.stat_prefix)
        self.tasks = tasks
        self.idle = idle
        self.opened = opened
        self.closed = closed
        self.connected = interim(config, "TcpUpstreamConnected") if config.log_connects else None
        self.periodic = interim(config, "TcpPeriodic") if config.log_interval else None
        self.hashes_source = config.hash_source_ip
        self.listener = listener or ListenerStats(Stats(), "")  # without a listener nobody reads them
        self.sessions: set[TcpSession] = set()
        self._rng = rng
        self._limits = list(accumulate(cluster.weight for cluster in config.clusters))

    def draw(self) -> WeightedCluster:
        """The cluster of one connection, by weight."""
        clusters = self.config.clusters
        if len(clusters) == 1:
            return clusters[0]
        return clusters[bisect_right(self._limits, self._rng.random() * self._limits[-1])]

    @property
    def connections(self) -> set[TcpSession]:
        return self.sessions

    def drain(self, _sequence: DrainSequence) -> None:
        """Bytes have no last one that could be announced: sessions go on until they are cut off."""

    def fail(self, _failing: bool) -> None:
        """The same."""

    def end_soon(self) -> None:
        """The same."""

    def cut_off(self, _detail: str) -> None:
        for session in list(self.sessions):
            session.cut_off()

    def close(self) -> None:
        self.stats.close()


class TcpSession(asyncio.Protocol):
    """One client connection and its upstream. The exchange carries what the log and the metrics want to know."""

    def __init__(self, manager: TcpManager, destination: Address, source: Address, server_name: str = "") -> None:
        self._manager = manager
        self.server_name = server_name  # of the client's TLS, when somebody looked
        self._transport: Any = None
        self._upstream: _UpstreamSide | None = None
        self._early: list[bytes] = []  # what the client says before the upstream is there
        self._cluster: ClusterRuntime | None = None
        self._client_done = False
        self._upstream_done = False
        self._upstream_last = False  # of both ends it was the upstream's that came second
        self._ended_here = False  # the upstream's connection, by us
        self._over = False
        self.kept: dict[Any, Any] = {}  # as a ServerConnection's
        self.remote = source
        self.local = self.own = destination
        self.deadline = 0.0
        self._touched = monotonic()
        self.exchange = TcpExchange(self, self._touched)

    # ── the client's side ─────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        own = transport.get_extra_info("sockname")
        self.own = Address(own[0], own[1])
        manager = self._manager
        manager.sessions.add(self)
        manager.stats.downstream_cx_total.value += 1
        manager.listener.opened()
        self.deadline = self._next_look(self._touched)
        manager.idle.add(self)
        if manager.periodic is not None:
            PeriodicLog(self.exchange, manager.periodic, manager.config.log_interval, manager.idle, lambda: self._over)
        manager.tasks.start(self._connect(), "tcp")

    def data_received(self, data: bytes) -> None:
        self._touched = monotonic()
        if self._upstream is not None:
            self._pass_on(data, self._upstream)
        else:  # it counts as not read yet, as with Envoy, which does not read before
            self._early.append(data)
            self._transport.pause_reading()  # one piece is enough to hold until the upstream is there

    def _pass_on(self, data: bytes, upstream: _UpstreamSide) -> None:
        self.exchange.bytes_received += len(data)
        self._manager.stats.downstream_cx_rx_bytes_total.value += len(data)
        upstream.write(data)

    def eof_received(self) -> bool:
        self._client_done = True
        if self._upstream is not None:
            self._upstream.transport.write_eof()
        return not self._upstream_done  # both have said all they had to say: the transport closes

    def connection_lost(self, error: Exception | None) -> None:
        if self._upstream is not None and not self._over:
            self._ended_here = not (self._upstream.lost or self._upstream_last)
            if error is not None:
                self._upstream.transport.abort()
            else:
                self._upstream.transport.close()
        self.finish()

    def pause_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.transport.resume_reading()

    def _next_look(self, now: float) -> float:
        """When the session may reach one of its limits, as far as can be told now."""
        config, look = self._manager.config, now + 3600.0
        if config.idle_timeout:
            look = self._touched + config.idle_timeout
        if config.max_duration and not self._over:
            look = min(look, self.exchange.started + config.max_duration)
        return max(look, now + 0.01)

    def on_deadline(self, now: float) -> None:
        config, stats = self._manager.config, self._manager.stats
        if config.max_duration and not self._over and now - self.exchange.started >= config.max_duration:
            stats.max_downstream_connection_duration.value += 1
            self.exchange.flags |= Flag.DT
            self._cut()
        elif config.idle_timeout and now - self._touched >= config.idle_timeout:
            if not self._over:
                stats.idle_timeout.value += 1
            self._cut()
        self.deadline = self._next_look(now)

    def _cut(self) -> None:
        """Ends both sides; who reads nothing would keep a mere close waiting for ever."""
        self._transport.abort()
        if self._upstream is not None:
            self._upstream.transport.abort()

    # ── the upstream's side ───────────────────────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        exchange, manager = self.exchange, self._manager
        destination = manager.draw()
        exchange.cluster_name = destination.name
        exchange.wanted_labels = destination.metadata_match
        cluster = manager.clusters.get(destination.name)
        if cluster is None:
            manager.stats.downstream_cx_no_route.value += 1
            self._give_up(Flag.NC)
            return
        exchange.cluster = self._cluster = cluster
        if manager.hashes_source and cluster.config.balancing.policy in HASHING:
            exchange.hash_key = xxh64_intdigest(self.remote.host.encode())
        if manager.config.sni_port and cluster.names is not None and self.server_name:
            await self._look_up(cluster.names, manager.config.sni_port)
        while exchange.attempts < manager.config.max_connect_attempts and not self._over:
            if await self._attempt(cluster):
                return
        if self._over:
            return
        cluster.stats.upstream_cx_connect_attempts_exceeded.value += 1
        exchange.flags |= Flag.URX
        self._give_up(Flag.UF, reset=False)

    async def _look_up(self, names: NameCache, port: int) -> None:
        """Finds the host that the client's TLS names, for the cluster to pick; without an address there is none."""
        try:
            found = await names.find(self.server_name.lower())
        except CacheOverflowError:
            self._give_up(Flag.UO)
            return
        if found:
            self.exchange.keep(FOUND_ADDRESS, Address(found[0], port))

    async def _attempt(self, cluster: ClusterRuntime) -> bool:
        """Tries one host; whether that settles it, for better or worse."""
        exchange = self.exchange
        host = cluster.pick(exchange)
        if host is None:
            cluster.stats.upstream_cx_none_healthy.value += 1
            self._give_up(Flag.UH)
            return True
        limits = cluster.budget.limits
        if cluster.budget.connections >= limits.max_connections or host.connections >= limits.max_connections_per_host:
            cluster.stats.upstream_cx_overflow.value += 1
            self._give_up(Flag.UO)
            return True
        cluster.budget.connections += 1  # from the attempt on: else any number could be under way
        exchange.endpoint = host
        exchange.attempts += 1
        upstream = _UpstreamSide(self, cluster.stats)
        cluster.stats.upstream_rq_pending_total.value += 1
        cluster.stats.upstream_rq_pending_active.value += 1
        try:
            await dial(cluster, host, lambda: upstream)
        except DialError as error:
            cluster.budget.connections -= 1
            cluster.stats.upstream_rq_pending_active.value -= 1
            cluster.stats.upstream_rq_pending_failure_eject.value += 1
            exchange.upstream_failure = error.reason.replace(" ", "_")
            exchange.flags |= Flag.UF  # even when another attempt succeeds, as in Envoy
            if cluster.outlier is not None:
                status = outlier.TIMED_OUT if error.timed_out else outlier.CONNECT_FAILED
                cluster.outlier.on_local_failure(host, status, monotonic())
            return False
        except BaseException:
            cluster.budget.connections -= 1
            raise
        self._connected(cluster, host, upstream)
        return True

    def _connected(self, cluster: ClusterRuntime, host: Host, upstream: _UpstreamSide) -> None:
        cluster.stats.upstream_rq_pending_active.value -= 1
        if self._over or self._transport.is_closing():
            cluster.budget.connections -= 1
            hung_up(cluster.stats, upstream.opened, here=True)
            upstream.transport.abort()
            return
        self._upstream = upstream
        cluster.stats.upstream_rq_total.value += 1
        cluster.stats.upstream_rq_active.value += 1
        host.active += 1
        host.connections += 1
        host.sessions.add(self)
        self.exchange.upstream_local = upstream.local
        self.exchange.upstream_started = now = monotonic()
        if cluster.outlier is not None:
            cluster.outlier.on_connected(host, now)
        manager = self._manager
        manager.opened(self.exchange)
        if manager.connected is not None:
            manager.connected(self.exchange, now)
        early, self._early = self._early, []
        if early:
            self._pass_on(b"".join(early), upstream)
            self._transport.resume_reading()
        if self._client_done:
            upstream.transport.write_eof()

    def on_upstream_data(self, data: bytes) -> None:
        self._touched = monotonic()
        self.exchange.bytes_sent += len(data)
        self._manager.stats.downstream_cx_tx_bytes_total.value += len(data)
        self._transport.write(data)

    def on_upstream_eof(self) -> None:
        self._upstream_done = True
        if self._client_done:
            self._upstream_last = True
            self._transport.close()  # when what is buffered is written
        else:
            self._transport.write_eof()

    def on_upstream_lost(self, error: Exception | None) -> None:
        cluster, host = self._cluster, self.exchange.endpoint
        if self._upstream is not None and cluster is not None:
            cluster.budget.connections -= 1
            cluster.stats.upstream_rq_active.value -= 1
            hung_up(cluster.stats, self._upstream.opened, here=self._ended_here, in_use=True)
            if host is not None:
                host.active -= 1
                host.connections -= 1
                host.sessions.discard(self)
        self._upstream = None
        if self._over:
            self._manager.idle.remove(self)
        elif error is not None:
            self.exchange.flags |= Flag.UR
            self._reset()
        else:
            self._transport.close()

    def pause_client(self) -> None:
        self._manager.stats.downstream_flow_control_paused_reading_total.value += 1
        self._transport.pause_reading()

    def resume_client(self) -> None:
        self._manager.stats.downstream_flow_control_resumed_reading_total.value += 1
        self._transport.resume_reading()

    def _give_up(self, flag: int, *, reset: bool = True) -> None:
        self.exchange.flags |= flag
        if reset:
            self._transport.abort()
        else:
            self._transport.close()

    def _reset(self) -> None:
        """Ends the client's connection as the upstream's ended: with RST."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._transport.abort()

    def cut_off(self) -> None:
        """Ends both sides: the time of the session's listener is over."""
        self._ended_here = True
        self._transport.abort()
        if self._upstream is not None:
            self._upstream.transport.abort()
        self.finish()

    def finish(self) -> None:
        if self._over:
            return
        self._over = True
        if self._upstream is None:  # else what is buffered for it is still on its way, and it may take none of it
            self._manager.idle.remove(self)
        self._manager.sessions.discard(self)
        now = monotonic()
        self._manager.listener.closed(now - self.exchange.started)
        self._manager.closed(self.exchange, now)
        self.exchange.downstream = None  # type: ignore[assignment]  # ends the cycle of the two


class _UpstreamSide(asyncio.Protocol):
    """The upstream connection of a session: everything it hears, it passes on."""

    def __init__(self, session: TcpSession, stats: ClusterStats) -> None:
        self._session = session
        self._received = stats.upstream_cx_rx_bytes_total
        self._sent = stats.upstream_cx_tx_bytes_total
        self.transport: Any = None
        self.local = ""
        self.opened = 0.0
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        local = transport.get_extra_info("sockname")
        self.local = f"{local[0]}:{local[1]}" if local else ""
        self.opened = monotonic()

    def write(self, data: bytes) -> None:
        self._sent.value += len(data)
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._received.value += len(data)
        self._session.on_upstream_data(data)

    def eof_received(self) -> bool:
        self._session.on_upstream_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._session.on_upstream_lost(error)

    def pause_writing(self) -> None:
        self._session.pause_client()

    def resume_writing(self) -> None:
        self._session.resume_client()
