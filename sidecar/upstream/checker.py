"""Active health checks of one cluster: a task a host, owned by the cluster and ended with it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from mesh.tasks import TaskOwner
from sidecar.config import model
from sidecar.telemetry.stats import ClusterStats, HealthCheckStats
from sidecar.upstream.h2_probe import GrpcCheck, Http2Check
from sidecar.upstream.health import Change, Failure, HealthSession, Verdict
from sidecar.upstream.host import Host
from sidecar.upstream.probe import HttpCheck, Probe, TcpCheck

log = logging.getLogger(__name__)


class HealthChecker:
    """Checks the hosts that `set_hosts` names. `changed` hears of each host whose flags changed so that others may be
    picked now; `passed` of each success of a host that is healthy; `traffic` tells whether the cluster was ever used."""

    def __init__(
        self,
        cluster: model.Cluster,
        config: model.HealthCheck,
        stats: HealthCheckStats,
        *,
        traffic_stats: ClusterStats,
        tasks: TaskOwner,
        rng: random.Random,
        traffic: Callable[[], bool],
        changed: Callable[[Host], None],
        passed: Callable[[Host], None],
    ) -> None:
        self.config = config
        self._cluster = cluster
        self._stats = stats
        self._traffic_stats = traffic_stats
        self._tasks = tasks
        self._rng = rng
        self._traffic = traffic
        self._changed = changed
        self._passed = passed
        self._running: dict[Host, tuple[HealthSession, asyncio.Task[None]]] = {}
        self._targets: dict[Host, tuple[int, str]] = {}
        self._all_checked = asyncio.Event()

    def set_hosts(self, hosts: Iterable[Host]) -> None:
        """Starts checking those that are new, and stops for those that are not there any more."""
        wanted = {host: _target(host) for host in hosts if not host.endpoint.check_disabled}
        for host in [host for host in self._running if wanted.get(host) != self._targets[host]]:
            self._stop(host)
        for host in wanted:
            if host not in self._running:
                session = HealthSession(self.config, host, self._stats)
                task = self._tasks.start(self._run(session), f"health check {self._cluster.name} {host.name}")
                self._running[host] = session, task
                self._targets[host] = wanted[host]
        self._look_if_all_checked()

    def _stop(self, host: Host) -> None:
        session, task = self._running.pop(host)
        del self._targets[host]
        task.cancel()
        session.end()

    def close(self) -> None:
        for host in list(self._running):
            self._stop(host)
        self._all_checked.set()
        self._stats.close()

    async def wait_all_checked(self) -> None:
        """Until each host had its first check, whatever came of it."""
        await self._all_checked.wait()

    def _look_if_all_checked(self) -> None:
        if not any(session.first for session, _ in self._running.values()):
            self._all_checked.set()

    def fail_now(self, host: Host) -> None:
        """A response of the host itself says that it shall not be used (x-envoy-immediate-health-check-fail)."""
        running = self._running.get(host)
        if running is not None:
            self._tell(running[0], Verdict(Failure.PASSIVE, excluded=True))

    # ── one host ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, session: HealthSession) -> None:
        probe = self._probe(session.host)
        try:
            if self.config.initial_jitter:
                await asyncio.sleep(self._rng.random() * self.config.initial_jitter)
            while True:
                self._stats.attempt.value += 1
                verdict = await probe.check()
                pause = self._tell(session, verdict)
                while not await probe.rest(pause):
                    pause = self._tell(session, Verdict(Failure.NETWORK))
        finally:
            probe.close()

    def _probe(self, host: Host) -> Probe:
        endpoint, source, probe = host.endpoint, self._cluster.bind_address, self.config.probe
        address = model.Address(host.address.host, endpoint.check_port or host.address.port)
        if isinstance(probe, model.TcpProbe):
            return TcpCheck(self.config, probe, address, source)
        if isinstance(probe, model.GrpcProbe):
            name = endpoint.check_hostname or probe.authority or self._cluster.name
            return GrpcCheck(self._cluster, self.config, probe, address, name, self._traffic_stats)
        name = endpoint.check_hostname or probe.host or self._cluster.name
        if probe.http2:
            return Http2Check(self._cluster, self.config, probe, address, name, self._traffic_stats)
        return HttpCheck(self.config, probe, address, source, name)

    def _tell(self, session: HealthSession, verdict: Verdict) -> float:
        """Passes a result on; seconds to the next check."""
        host, was_excluded = session.host, session.host.excluded_by_hc
        change = session.judge(verdict)
        if change is Change.CHANGED:
            self._log(host, verdict)
        if change is Change.CHANGED or host.excluded_by_hc is not was_excluded:
            self._changed(host)
        if verdict.failure is None and not host.failed_active_hc:
            self._passed(host)
        self._look_if_all_checked()
        return session.pause(verdict.failure is None, change, traffic=self._traffic(), rng=self._rng)

    def _log(self, host: Host, verdict: Verdict) -> None:
        if host.failed_active_hc:
            why = verdict.failure.value if verdict.failure is not None else "not yet healthy"
            log.warning("health check of %s in %s failed: %s", host.name, self._cluster.name, why)
        else:
            state = "degraded" if host.degraded_active_hc else "healthy"
            log.info("health check of %s in %s: %s", host.name, self._cluster.name, state)


def _target(host: Host) -> tuple[int, str]:
    """Where a host is checked, and under which name, when that is not where it serves."""
    return host.endpoint.check_port, host.endpoint.check_hostname
