"""Passive outlier detection: hosts that keep failing are ejected for a while (Envoy's outlier detector).

Results come in one at a time and cost integers; `tick` at every interval lets hosts back, compares how often each host
succeeded since the last one, and ejects those that stand out. Whether an ejection is allowed is Envoy's rule: with it, no
more than `max_ejection_percent` of the hosts may be out. Pure but for the breaker's listeners.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.config.model import OutlierDetection
from sidecar.http.status import GATEWAY_ERRORS
from sidecar.telemetry.stats import ClusterStats
from sidecar.upstream.breaker import HostBreaker, StateListener
from sidecar.upstream.host import Host

# The status that a failure of our own making counts as, where local and upstream errors are not told apart.
CONNECT_FAILED: Final = 503
SUCCESS: Final = 200  # what responses count as where it is configured which of them are errors
ERROR: Final = 500
TIMED_OUT: Final = 504
RESET: Final = 503

# Of kinds of ejection that are about a share; their names with `local_origin` are those of failures of our own side.
SUCCESS_RATE: Final = "success_rate"
FAILURE_PERCENTAGE: Final = "failure_percentage"


@dataclass(frozen=True, slots=True)
class Averages:
    """What the success rates of the last interval came to, -1 when too few hosts had traffic enough."""

    average: float = -1.0
    threshold: float = -1.0


NO_AVERAGES: Final = Averages()


def success_rate_averages(rates: Sequence[float], factor: int) -> Averages:
    """The mean, and the mean less `factor` thousandths of the (population) standard deviation."""
    mean = sum(rates) / len(rates)
    deviation = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))
    return Averages(mean, mean - factor / 1000 * deviation)


class OutlierDetector:
    """The detector of one cluster. `changed` is called when a host was ejected or let back, `failed` hears
    of each that was ejected. `rates` are of what
    upstreams answered, `local_rates` of whether they could be reached (where the two are told apart)."""

    def __init__(
        self,
        cluster: str,
        config: OutlierDetection,
        hosts: Callable[[], Sequence[Host]],
        *,
        stats: ClusterStats,
        changed: Callable[[], None],
        failed: Callable[[Host], None] = lambda _host: None,
        listeners: Sequence[StateListener],
        rng: random.Random,
    ) -> None:
        self.config = config
        self.rates = self.local_rates = NO_AVERAGES
        self._cluster = cluster
        self._hosts = hosts
        self._stats = stats
        self._changed = changed
        self._failed = failed
        self._listeners = listeners
        self._rng = rng

    # ── results, one at a time ────────────────────────────────────────────────────────────────────────────────────────

    def on_status(self, host: Host, status: int, now: float) -> None:
        """A response arrived, or a failure counts as one."""
        if self.config.split_local_origin:
            self._reachable(host)
        errors = self.config.error_statuses
        if errors is not None:
            status = max(status, ERROR) if status in errors else SUCCESS
        self._on_code(host, status, now)

    def on_connected(self, host: Host, now: float) -> None:
        """A TCP session found its host."""
        if self.config.split_local_origin:
            self._reachable(host)
        else:
            self._on_code(host, 200, now)

    def on_local_failure(self, host: Host, status: int, now: float, *, connected: bool = False) -> None:
        """A failure before any response: a refused connection, a reset, a time-out. `connected` says that the request
        had found a connection, which by itself counts as a success."""
        if not self.config.split_local_origin:
            self._on_code(host, status, now)
            return
        if connected:
            self._reachable(host)
        host.interval_local_total += 1
        host.consecutive_local += 1
        if host.consecutive_local == self.config.consecutive_local_origin_failure:
            host.consecutive_local = 0
            enforcing = self.config.enforcing_consecutive_local_origin_failure
            self._reached(host, now, "consecutive_local_origin_failure", enforcing)

    def _reachable(self, host: Host) -> None:
        host.interval_local_total += 1
        host.interval_local_success += 1
        host.consecutive_local = 0

    def _on_code(self, host: Host, status: int, now: float) -> None:
        host.interval_total += 1
        if status < 500:
            host.interval_success += 1
            host.consecutive_5xx = 0
            host.consecutive_gateway = 0
            return
        if status in GATEWAY_ERRORS:
            host.consecutive_gateway += 1
            if host.consecutive_gateway == self.config.consecutive_gateway_failure:
                host.consecutive_gateway = 0
                self._reached(
                    host, now, "consecutive_gateway_failure", self.config.enforcing_consecutive_gateway_failure
                )
        else:
            host.consecutive_gateway = 0
        host.consecutive_5xx += 1
        if host.consecutive_5xx == self.config.consecutive_5xx:
            host.consecutive_5xx = 0
            if not host.ejected:
                self._stats.ejections_consecutive_5xx.value += 1
            self._reached(host, now, "consecutive_5xx", self.config.enforcing_consecutive_5xx)

    # ── ejection ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _reached(self, host: Host, now: float, kind: str, enforcing: int) -> None:
        """So many failures in a row."""
        if not host.ejected:
            self._detected(host, now, kind, enforcing, f"{kind.replace('_', ' ')} reached")

    def _detected(self, host: Host, now: float, kind: str, enforcing: int, why: str) -> None:
        self._count(f"ejections_detected_{kind}")
        if host.ejected:  # for another reason, a moment ago
            return
        if not self._allowed():
            self._stats.ejections_overflow.value += 1
            return
        if kind == "consecutive_5xx" or kind == SUCCESS_RATE:
            self._stats.ejections_total.value += 1
        if self._rng.random() * 100 >= enforcing:
            return
        self._count(f"ejections_enforced_{kind}")
        self._stats.ejections_enforced_total.value += 1
        self._eject(host, now, why)

    def _count(self, counter: str) -> None:
        getattr(self._stats, counter).value += 1

    def _allowed(self) -> bool:
        hosts = self._hosts()
        out = sum(1 for host in hosts if host.ejected)
        if not out and self.config.always_eject_one_host:
            return True
        return 100 * (out + 1) <= min(100, self.config.max_ejection_percent) * len(hosts)

    def _eject(self, host: Host, now: float, why: str) -> None:
        config = self.config
        host.ejected = True
        host.ejected_at = now
        longest = config.max_ejection_time_jitter
        host.ejection_jitter = self._rng.randrange(int(longest * 1000) + 1) / 1000 if longest else 0.0
        if host.ejections * config.base_ejection_time < config.max_ejection_time + config.base_ejection_time:
            host.ejections += 1
        if host.breaker is None:
            host.breaker = HostBreaker(self._cluster, host.name, self._listeners)
        host.breaker.open(f"{why}; ejected for {self._ejection_time(host):g} s")
        self._failed(host)
        self._changed()

    def _ejection_time(self, host: Host) -> float:
        config = self.config
        longest = max(config.base_ejection_time, config.max_ejection_time)
        return min(host.ejections * config.base_ejection_time, longest) + host.ejection_jitter

    # ── once an interval ──────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Hosts whose time is up come back; then those whose share of successes since the last tick stands out go; a
        good interval shortens the next ejection."""
        hosts = self._hosts()
        if self._let_back(hosts, now):
            self._changed()
        self.rates = self._judge(
            hosts, [(host.interval_success, host.interval_total) for host in hosts], now, local=False
        )
        self.local_rates = self._judge(
            hosts, [(host.interval_local_success, host.interval_local_total) for host in hosts], now, local=True
        )
        for host in hosts:
            host.interval_success = host.interval_total = 0
            host.interval_local_success = host.interval_local_total = 0
            if host.ejections and not host.ejected and now - host.returned_at >= self.config.interval:
                host.ejections -= 1

    def _let_back(self, hosts: Sequence[Host], now: float) -> bool:
        changed = False
        for host in hosts:
            host.success_rate = host.local_success_rate = -1.0
            if host.ejected and now - host.ejected_at >= self._ejection_time(host):
                self.release(host, "ejection time is over", now)
                changed = True
        return changed

    def _judge(self, hosts: Sequence[Host], counts: Sequence[tuple[int, int]], now: float, *, local: bool) -> Averages:
        """Ejects by success rate and by failure percentage, for what upstreams answered or for reaching them."""
        config = self.config
        if len(hosts) < config.success_rate_minimum_hosts and len(hosts) < config.failure_percentage_minimum_hosts:
            return NO_AVERAGES
        rates: list[tuple[Host, float]] = []
        percentages: list[tuple[Host, float]] = []
        for host, (success, total) in zip(hosts, counts, strict=True):
            if host.ejected or not total:
                continue
            rate = success * 100.0 / total
            if total >= min(config.success_rate_request_volume, config.failure_percentage_request_volume):
                if local:
                    host.local_success_rate = rate
                else:
                    host.success_rate = rate
            if total >= config.success_rate_request_volume:
                rates.append((host, rate))
            if total >= config.failure_percentage_request_volume:
                percentages.append((host, rate))
        averages = self._by_success_rate(rates, now, local)
        self._by_failure_percentage(percentages, now, local)
        return averages

    def _by_success_rate(self, rates: Sequence[tuple[Host, float]], now: float, local: bool) -> Averages:
        config = self.config
        if not rates or len(rates) < config.success_rate_minimum_hosts:
            return NO_AVERAGES
        averages = success_rate_averages([rate for _, rate in rates], config.success_rate_stdev_factor)
        kind = f"local_origin_{SUCCESS_RATE}" if local else SUCCESS_RATE
        enforcing = config.enforcing_local_origin_success_rate if local else config.enforcing_success_rate
        for host, rate in rates:
            if rate < averages.threshold:
                self._stats.ejections_success_rate.value += 1
                why = f"{kind.replace('_', ' ')} {rate:.4g} % is below {averages.threshold:.4g} %"
                self._detected(host, now, kind, enforcing, why)
        return averages

    def _by_failure_percentage(self, rates: Sequence[tuple[Host, float]], now: float, local: bool) -> None:
        config = self.config
        if not rates or len(rates) < config.failure_percentage_minimum_hosts:
            return
        kind = f"local_origin_{FAILURE_PERCENTAGE}" if local else FAILURE_PERCENTAGE
        enforcing = config.enforcing_failure_percentage_local_origin if local else config.enforcing_failure_percentage
        for host, rate in rates:
            if 100.0 - rate >= config.failure_percentage_threshold:
                why = f"{kind.replace('_', ' ')} {100 - rate:.4g} % reaches {config.failure_percentage_threshold} %"
                self._detected(host, now, kind, enforcing, why)

    # ── return ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_health_check_passed(self, host: Host, now: float) -> None:
        """An active health check of a healthy host succeeded: it need not wait out its ejection."""
        if host.ejected and self.config.successful_active_health_check_uneject_host:
            self.release(host, "an active health check succeeded", now)
            self._changed()

    def release(self, host: Host, reason: str, now: float) -> None:
        """Ends an ejection (without telling `changed`)."""
        host.ejected = False
        host.returned_at = now
        host.consecutive_5xx = host.consecutive_gateway = host.consecutive_local = 0
        if host.breaker is not None:
            host.breaker.close(reason)
