"""A cluster at run time: its hosts, who may be picked, what is in use, and its connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from mesh.tasks import TaskOwner
from sidecar.balancer.levels import Level, Local, Rules, usable
from sidecar.balancer.pickers import Picker, nobody
from sidecar.balancer.priorities import build
from sidecar.balancer.subsets import SubsetPicker
from sidecar.codec.h2_client import ClientConnection as Http2Connection
from sidecar.codec.preserve_case_client import client_class
from sidecar.config import model
from sidecar.config.cluster_model import HTTP2_RESPONSE_HEAD, RESPONSE_HEAD
from sidecar.http.connections import PoolCallbacks, PooledConnection
from sidecar.http.exchange import FOUND_ADDRESS
from sidecar.process.timers import Deadlines
from sidecar.telemetry.istio_metrics import is_external, service_of
from sidecar.telemetry.stats import CircuitStats, ClusterStats, HealthCheckStats, PoolStats, RemainingStats, Stats
from sidecar.upstream.breaker import HostBreaker, StateListener
from sidecar.upstream.checker import HealthChecker
from sidecar.upstream.circuit import Circuit
from sidecar.upstream.host import Host
from sidecar.upstream.limits import Budget
from sidecar.upstream.original import destination
from sidecar.upstream.outlier import OutlierDetector
from sidecar.upstream.pool import select_pool_class

if TYPE_CHECKING:
    from sidecar.upstream.dns_cache import NameCache


@dataclass(frozen=True, slots=True)
class UpstreamContext:
    """What all clusters of a process share. `breaker_listeners` hear of every ejection and return; `peer_of` reads who
    an endpoint is from its metadata."""

    loop: asyncio.AbstractEventLoop
    stats: Stats
    tasks: TaskOwner
    idle: Deadlines
    breaker_listeners: tuple[StateListener, ...] = ()
    rng: random.Random = field(default_factory=random.Random)
    peer_of: Callable[[model.Endpoint], Any] = lambda _endpoint: None
    clock: Callable[[], float] = monotonic


class ClusterRuntime:
    """One cluster. `pick(stream)` returns a host or None; it is rebound whenever hosts or their health change."""

    def __init__(
        self, config: model.Cluster, context: UpstreamContext, local: Callable[[], Local | None] = lambda: None
    ) -> None:
        self.name = config.name
        self.config = config
        self.loop = context.loop
        self.tasks = context.tasks
        self.stats = ClusterStats(context.stats, config.alt_stat_name or config.name)
        self.hosts: list[Host] = []
        self.budget = Budget(config.limits)
        self.high_budget = Budget(config.high_limits)
        self.pick: Picker = nobody
        if config.discovery is model.Discovery.ORIGINAL_DST:
            self.pick = self._original
        elif config.discovery is model.Discovery.DYNAMIC:
            self.pick = self._looked_up
        self.names: NameCache | None = None  # of a dynamic forward proxy
        self.outlier: OutlierDetector | None = None
        self.checker: HealthChecker | None = None
        self.circuit: Circuit | None = None
        self._remaining: RemainingStats | None = None  # where somebody wants to know what is left of the limits
        self.pool_stats: PoolStats | None = None  # where requests may be sent again
        self.max_stream_duration = 0.0
        self.local = local  # the proxies of this kind, where there is a local cluster that is not this one
        self.on_change: Callable[[], None] = lambda: None  # called when hosts or their health have changed
        self._context = context
        self._assignment = model.Assignment(config.name)
        self._without: dict[frozenset[int], Picker] = {}  # pickers of retries that leave priorities out
        self._by_key: dict[tuple[model.Address, int], Host] = {}
        self._subsets: frozenset[model.Labels] = frozenset()  # those that are counted
        self._interval: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self.stats.before_reading(self._read)
        self._configure(config)

    # what the admin shows
    @property
    def active_requests(self) -> int:
        return self.budget.requests + self.high_budget.requests

    @property
    def active_connections(self) -> int:
        return self.budget.connections + self.high_budget.connections

    @property
    def pending(self) -> int:
        return self.budget.pending + self.high_budget.pending

    def _read(self) -> None:
        """The circuit breakers' gauges: whether a limit is reached."""
        stats = self.stats
        for budget, cells in (
            (self.budget, (stats.cx_open, stats.rq_pending_open, stats.rq_open, stats.rq_retry_open)),
            (
                self.high_budget,
                (stats.high_cx_open, stats.high_rq_pending_open, stats.high_rq_open, stats.high_rq_retry_open),
            ),
        ):
            for cell, reached in zip(cells, budget.reached(), strict=True):
                cell.value = int(reached)
        if self._remaining is not None:
            self._read_remaining(self._remaining)

    def _read_remaining(self, stats: RemainingStats) -> None:
        default = (
            stats.default_remaining_cx,
            stats.default_remaining_pending,
            stats.default_remaining_rq,
            stats.default_remaining_retries,
        )
        high = (
            stats.high_remaining_cx,
            stats.high_remaining_pending,
            stats.high_remaining_rq,
            stats.high_remaining_retries,
        )
        for budget, cells in ((self.budget, default), (self.high_budget, high)):
            if budget.limits.track_remaining:
                for cell, left in zip(cells, budget.remaining(), strict=True):
                    cell.value = left

    # ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────

    def update(self, config: model.Cluster) -> None:
        """Takes a changed configuration; hosts, connections and what is in use stay until there are other endpoints, but
        for what another class of pool needs, and connections that speak as they no longer should."""
        if select_pool_class(config) is not select_pool_class(self.config) or config.http2 != self.config.http2:
            for host in self.hosts:
                self._retire(host)
            self._by_key, self.hosts = {}, []
        self._configure(config)
        self.set_assignment(self._assignment)

    def _configure(self, config: model.Cluster) -> None:
        self.config = config
        self.max_stream_duration = config.max_stream_duration
        self.service = service_of(config.name, config.metadata)
        self.external = is_external(config.name, config.metadata)
        self.log_name = config.alt_stat_name or config.name
        self._configure_checks(config)
        self._configure_circuit(config)
        if config.resend is not model.Resend.NEVER:
            self.pool_stats = PoolStats(self._context.stats, self.stats.name)
        if config.limits.track_remaining or config.high_limits.track_remaining:
            self._remaining = RemainingStats(self._context.stats, self.stats.name)
        self.budget.update(config.limits)
        self.high_budget.update(config.high_limits)
        if self.outlier is not None and self.outlier.config == config.outlier:
            return  # its interval goes on: else updates in quick succession would keep hosts out
        if self._interval is not None:
            self._interval.cancel()
            self._interval = None
        if config.outlier is None:
            for host in self.hosts:
                if host.ejected and self.outlier is not None:
                    self.outlier.release(host, "outlier detection was switched off", monotonic())
            self.outlier = None
            return
        self.outlier = OutlierDetector(
            self.name,
            config.outlier,
            lambda: self.hosts,
            stats=self.stats,
            changed=self._health_changed,
            failed=self._host_failed,
            listeners=self._context.breaker_listeners,
            rng=self._context.rng,
        )
        self._interval = self.loop.call_later(config.outlier.interval, self._outlier_tick)

    def _configure_checks(self, config: model.Cluster) -> None:
        """Other checks begin anew with what is known of the hosts; without any, all hosts pass."""
        if self.checker is not None:
            if self.checker.config == config.health_check:
                return
            self.checker.close()
            self.checker = None
        if config.health_check is None:
            for host in self.hosts:
                host.forget_checks()
            return
        self.checker = HealthChecker(
            config,
            config.health_check,
            HealthCheckStats(self._context.stats, self.stats.name),
            traffic_stats=self.stats,
            tasks=self.tasks,
            rng=self._context.rng,
            traffic=lambda: self.stats.upstream_cx_total.value > 0,
            changed=self._checked,
            passed=self._check_passed,
        )

    def _configure_circuit(self, config: model.Cluster) -> None:
        """A breaker that is configured differently begins closed."""
        if self.circuit is not None:
            if self.circuit.config == config.circuit_breaker:
                return
            self.circuit.close()
            self.circuit = None
        if config.circuit_breaker is not None:
            breaker = HostBreaker(self.name, "*", self._context.breaker_listeners)
            self.circuit = Circuit(config.circuit_breaker, breaker, CircuitStats(self._context.stats, self.stats.name))

    def _checked(self, host: Host) -> None:
        """A health check changed what a host is good for."""
        if host.failed_active_hc:
            self._host_failed(host)
        if host.pending_removal and host.failed_active_hc:
            self.set_assignment(self._assignment)
        else:
            self._health_changed()

    def _host_failed(self, host: Host) -> None:
        """A check or an ejection took the host out. Should it be asked all the same, or again, other connections may do
        better; what goes on by TCP goes on unless it is configured otherwise."""
        host.pool.drain()
        if self.config.close_on_failure:
            for session in list(host.sessions):
                session.cut_off()

    def _check_passed(self, host: Host) -> None:
        if self.outlier is not None:
            self.outlier.on_health_check_passed(host, monotonic())

    def _outlier_tick(self) -> None:
        assert self.outlier is not None  # noqa: S101  # the timer is cancelled with it
        self.outlier.tick(monotonic())
        self._interval = self.loop.call_later(self.outlier.config.interval, self._outlier_tick)

    def set_assignment(self, assignment: model.Assignment) -> None:
        """New endpoints. Hosts whose address and priority stay keep their connections and their history."""
        self._assignment = assignment
        before, self._by_key = self._by_key, {}
        known = frozenset(before)
        for locality in assignment.localities:
            for endpoint in locality.endpoints:
                key = (endpoint.address, locality.priority)
                host = before.pop(key, None) or self._by_key.get(key)
                if host is None:
                    host = self._new_host(endpoint, locality)
                else:
                    host.update(endpoint, locality)
                self._by_key[key] = host
        for key, host in before.items():
            if self._outlives_discovery(host):
                self._by_key[key] = host
            else:
                self._retire(host)
        self.hosts = list(self._by_key.values())
        if known and known != self._by_key.keys():
            self._drain_on_change()
        if self.checker is not None:
            self.checker.set_hosts(self.hosts)
        self.stats.membership_change.value += len({priority for _, priority in known ^ frozenset(self._by_key)})
        self._health_changed()

    def _drain_on_change(self) -> None:
        if self.config.close_on_change:
            for host in self.hosts:
                host.pool.drain()

    def _outlives_discovery(self, host: Host) -> bool:
        """Envoy trusts its own checks more than discovery: who passes them stays, unless configured otherwise."""
        config = self.config
        host.pending_removal = (
            self.checker is not None
            and not config.remove_while_healthy
            and config.discovery in (model.Discovery.EDS, model.Discovery.STRICT_DNS)
            and not host.endpoint.check_disabled
            and not host.failed_active_hc
            and host.endpoint.health in (model.Health.HEALTHY, model.Health.DEGRADED)
        )
        return host.pending_removal

    def _original(self, exchange: Any) -> Host | None:
        """ORIGINAL_DST's picker."""
        address = destination(self.config.original, exchange, self.stats)
        return None if address is None else self._host_at(address)

    def _looked_up(self, exchange: Any) -> Host | None:
        """A dynamic forward proxy's picker: the filter before it found the address."""
        address: model.Address | None = exchange.kept(FOUND_ADDRESS)
        return None if address is None else self._host_at(address)

    def _host_at(self, address: model.Address) -> Host:
        """The host of an address; one that is not known yet becomes one."""
        host = self._by_key.get((address, 0))
        if host is None:
            host = self._by_key[address, 0] = self._new_host(model.Endpoint(address), model.LocalityEndpoints(()))
            self._drain_on_change()
            self.hosts.append(host)
            self.stats.membership_change.value += 1
            self._health_changed()
            if self._sweep is None:
                self._sweep = self.loop.call_later(self.config.original.cleanup_interval, self._drop_unused)
        return host

    def _drop_unused(self) -> None:
        """Hosts that were found while serving go once nothing is connected to them."""
        unused = [key for key, host in self._by_key.items() if not (host.active or host.connections)]
        for key in unused:
            self._retire(self._by_key.pop(key))
        self.hosts = list(self._by_key.values())
        if unused:
            self._drain_on_change()
            self.stats.membership_change.value += 1
            self._health_changed()
        interval = self.config.original.cleanup_interval
        self._sweep = self.loop.call_later(interval, self._drop_unused) if self.hosts else None

    def _new_host(self, endpoint: model.Endpoint, locality: model.LocalityEndpoints) -> Host:
        host = Host(endpoint, locality)
        host.peer = self._context.peer_of(endpoint)
        host.pool = select_pool_class(self.config)(self, host, self._connection, self._slots())
        discovered = self.config.discovery is not model.Discovery.STATIC
        if self.checker is not None and not endpoint.check_disabled:
            host.failed_active_hc = True  # until the first check says otherwise
            host.pending_active_hc = self.config.wait_for_first_check and discovered
        return host

    def _slots(self) -> int:
        """How many requests a connection takes at a time, as far as configuration says."""
        config = self.config
        if config.http2 is None:
            return 1
        return min(config.http2.max_concurrent_streams, config.max_requests_per_connection or model.UNLIMITED)

    def _connection(self, pool: PoolCallbacks) -> PooledConnection:
        config = self.config
        if config.http2 is None:
            return self.plain_connection(pool)
        self.stats.upstream_cx_http2_total.value += 1
        return Http2Connection(
            pool,
            config.http2,
            self.loop,
            max_requests=config.max_requests_per_connection,
            idle_timeout=config.idle_timeout,
            deadlines=self._context.idle,
            max_duration=config.max_connection_duration,
            max_head=config.max_response_head or HTTP2_RESPONSE_HEAD,
            max_headers=config.max_response_headers,
        )

    def plain_connection(self, pool: PoolCallbacks, *, dedicated: bool = False) -> PooledConnection:
        """One that speaks HTTP/1.1, or (`dedicated`) passes a tunnel's bytes."""
        config = self.config
        self.stats.upstream_cx_http1_total.value += 1
        made = client_class(config.header_spelling)(
            pool,
            max_requests=config.max_requests_per_connection,
            idle_timeout=config.idle_timeout,
            deadlines=self._context.idle,
            max_duration=config.max_connection_duration,
            max_head=config.max_response_head or RESPONSE_HEAD,
            max_headers=config.max_response_headers,
            enable_trailers=config.enable_trailers,
        )
        made.dedicated = dedicated
        return made

    def _retire(self, host: Host) -> None:
        host.removed = True
        host.pool.close()

    def close(self) -> None:
        """The cluster left the configuration; requests in flight end as they would."""
        if self._interval is not None:
            self._interval.cancel()
        if self._sweep is not None:
            self._sweep.cancel()
        if self.checker is not None:
            self.checker.close()
        if self.circuit is not None:
            self.circuit.close()
        for host in self.hosts:
            self._retire(host)
        self.hosts = []
        self.pick = nobody
        self._note_subsets(frozenset())
        self.stats.close()

    # ── health ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _health_changed(self) -> None:
        """Rebuilds who may be picked, and the gauges that tell."""
        self.rebuild()
        stats = self.stats
        stats.membership_total.value = len(self.hosts)
        degraded = sum(1 for host in self.hosts if host.healthy and host.degraded)
        stats.membership_excluded.value = sum(1 for host in self.hosts if host.excluded)
        stats.membership_degraded.value = degraded
        stats.membership_healthy.value = sum(1 for host in self.hosts if host.healthy) - degraded
        stats.ejections_active.value = sum(1 for host in self.hosts if host.ejected)
        self.on_change()

    def picker_without(self, priorities: frozenset[int]) -> Picker:
        """Like `pick`, but with nothing for these priorities."""
        if not priorities or self.config.discovery.while_serving:
            return self.pick
        picker = self._without.get(priorities)
        if picker is None:
            picker = self._without[priorities] = self._build(self._rules(priorities))
        return picker

    def usable_without(self, priorities: frozenset[int]) -> bool:
        """Whether there is anybody to be had at the other priorities."""
        return usable(self.levels(), self._rules(priorities))

    def rebuild(self) -> None:
        """Makes the picker anew, for hosts that changed or others that it reckons with."""
        if self.config.discovery.while_serving:
            return
        self._without.clear()
        self.pick = picker = self._build(self._rules())
        if isinstance(picker, SubsetPicker):
            self._note_subsets(picker.known)
            self.stats.lb_subsets_single_host_per_subset_duplicate.value = picker.duplicates
        else:
            self._note_subsets(frozenset())

    def _build(self, rules: Rules) -> Picker:
        subsets = rules.config.subsets
        return build(self.levels(), rules) if subsets is None else SubsetPicker(self.levels(), subsets, rules)

    def _rules(self, left_out: frozenset[int] = frozenset()) -> Rules:
        context, assignment = self._context, self._assignment
        return Rules(
            self.config.balancing,
            self.stats,
            context.rng,
            context.clock,
            overprovisioning=assignment.overprovisioning,
            weighted_health=assignment.weighted_health,
            local=self.local(),
            left_out=left_out,
        )

    def _note_subsets(self, known: frozenset[model.Labels]) -> None:
        if known == self._subsets:
            return
        stats, before = self.stats, self._subsets
        stats.lb_subsets_created.value += len(known - before)
        stats.lb_subsets_removed.value += len(before - known)
        stats.lb_subsets_active.value += len(known) - len(before)
        self._subsets = known

    def levels(self) -> Sequence[Level]:
        """The hosts by priority, 0 first."""
        levels: dict[int, list[Host]] = {}
        for (_, priority), host in self._by_key.items():
            levels.setdefault(priority, []).append(host)
        return [Level(levels.get(priority, [])) for priority in range(max(levels, default=0) + 1)]
