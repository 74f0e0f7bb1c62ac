"""Passive outlier detection: hosts that keep failing are ejected for a while (Envoy's outlier detector).

Results come in one at a time and cost an integer; `tick` at every interval lets hosts back. Whether an ejection is allowed
is Envoy's rule: with it, no more than `max_ejection_percent` of the hosts may be out. Pure but for the breaker's listeners.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from sidecar.config.model import OutlierDetection
from sidecar.telemetry.stats import ClusterStats
from sidecar.upstream.breaker import HostBreaker, StateListener
from sidecar.upstream.host import Host

GATEWAY_ERRORS = frozenset((502, 503, 504))

# The status that a failure of our own making counts as, where local and upstream errors are not told apart.
CONNECT_FAILED = 503
TIMED_OUT = 504
RESET = 503


class OutlierDetector:
    """The detector of one cluster. `changed` is called when a host was ejected or let back."""

    def __init__(
        self,
        cluster: str,
        config: OutlierDetection,
        hosts: Callable[[], Sequence[Host]],
        *,
        stats: ClusterStats,
        changed: Callable[[], None],
        listeners: Sequence[StateListener],
        rng: random.Random,
    ) -> None:
        self.config = config
        self._cluster = cluster
        self._hosts = hosts
        self._stats = stats
        self._changed = changed
        self._listeners = listeners
        self._rng = rng

    def on_status(self, host: Host, status: int, now: float) -> None:
        """A response arrived, or a failure counts as one."""
        if status < 500:
            host.consecutive_5xx = 0
            host.consecutive_gateway = 0
            return
        host.consecutive_5xx += 1
        if status in GATEWAY_ERRORS:
            host.consecutive_gateway += 1
            if host.consecutive_gateway == self.config.consecutive_gateway_failure:
                host.consecutive_gateway = 0
                self._detected(
                    host, now, "consecutive_gateway_failure", self.config.enforcing_consecutive_gateway_failure
                )
        else:
            host.consecutive_gateway = 0
        if host.consecutive_5xx >= self.config.consecutive_5xx:
            host.consecutive_5xx = 0
            self._detected(host, now, "consecutive_5xx", self.config.enforcing_consecutive_5xx)

    def on_local_failure(self, host: Host, status: int, now: float) -> None:
        """A failure before any response: a refused connection, a reset, a time-out."""
        if not self.config.split_local_origin:
            self.on_status(host, status, now)
            return
        host.consecutive_local += 1
        if host.consecutive_local >= self.config.consecutive_local_origin_failure:
            host.consecutive_local = 0
            enforcing = self.config.enforcing_consecutive_local_origin_failure
            self._detected(host, now, "consecutive_local_origin_failure", enforcing)

    def on_local_success(self, host: Host) -> None:
        """A connection was made."""
        host.consecutive_local = 0

    def _detected(self, host: Host, now: float, kind: str, enforcing: int) -> None:
        if host.ejected:
            return
        self._count(f"ejections_detected_{kind}")
        if not self._allowed():
            self._stats.ejections_overflow.value += 1
            return
        if self._rng.random() * 100 >= enforcing:
            return
        self._count(f"ejections_enforced_{kind}")
        self._stats.ejections_enforced_total.value += 1
        self._eject(host, now, kind)

    def _count(self, counter: str) -> None:
        getattr(self._stats, counter).value += 1

    def _allowed(self) -> bool:
        hosts = self._hosts()
        out = sum(1 for host in hosts if host.ejected)
        if not out and self.config.always_eject_one_host:
            return True
        return 100 * (out + 1) <= self.config.max_ejection_percent * len(hosts)

    def _eject(self, host: Host, now: float, kind: str) -> None:
        config = self.config
        host.ejected = True
        host.ejected_at = now
        if host.ejections * config.base_ejection_time < config.max_ejection_time + config.base_ejection_time:
            host.ejections += 1
        if host.breaker is None:
            host.breaker = HostBreaker(self._cluster, host.name, self._listeners)
        seconds = self._ejection_time(host)
        host.breaker.open(f"{kind.replace('_', ' ')} reached; ejected for {seconds:g} s")
        self._changed()

    def _ejection_time(self, host: Host) -> float:
        config = self.config
        return min(host.ejections * config.base_ejection_time, max(config.base_ejection_time, config.max_ejection_time))

    def tick(self, now: float) -> None:
        """Once an interval: hosts whose time is up come back; a good interval shortens the next ejection."""
        changed = False
        for host in self._hosts():
            if not host.ejected:
                if host.ejections:
                    host.ejections -= 1
            elif now - host.ejected_at >= self._ejection_time(host):
                self.release(host, "ejection time is over")
                changed = True
        if changed:
            self._changed()

    def release(self, host: Host, reason: str) -> None:
        """Ends an ejection (without telling `changed`)."""
        host.ejected = False
        host.consecutive_5xx = host.consecutive_gateway = host.consecutive_local = 0
        if host.breaker is not None:
            host.breaker.close(reason)


def states(hosts: Sequence[Host]) -> Mapping[str, str]:
    """The breaker state of each host by name, for people."""
    return {host.name: host.breaker.state if host.breaker is not None else "closed" for host in hosts}
