"""What active health checks make of a host (Envoy's health checker), without sockets or clocks.

A `HealthSession` belongs to one host of one cluster: it is told how each check went, sets the host's flags, and says when
the next check is due.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import NamedTuple

from sidecar.config.model import HealthCheck
from sidecar.telemetry.stats import HealthCheckStats
from sidecar.upstream.host import Host


class Failure(Enum):
    """Why a check failed; the value is for people."""

    ACTIVE = "the answer was not the expected one"
    NETWORK = "no connection"
    TIMEOUT = "timed out"
    PASSIVE = "a response asked for it"


_NETWORK = (Failure.NETWORK, Failure.TIMEOUT)


class Change(Enum):
    UNCHANGED = "unchanged"
    PENDING = "pending"  # on its way: the threshold is not reached yet
    CHANGED = "changed"


class Verdict(NamedTuple):
    """How one check went; a success has no `failure`. `excluded`: the answer asked to be left alone at once."""

    failure: Failure | None = None
    retriable: bool = False
    degraded: bool = False
    excluded: bool = False


PASSED = Verdict()


class HealthSession:
    """The health of one host. Envoy's rules: the first success makes healthy, later it takes `healthy_threshold` of them;
    an answer that is not the expected one makes unhealthy at once unless it is retriable, and what happens on the network
    does after `unhealthy_threshold` times."""

    __slots__ = ("_bad", "_config", "_good", "_stats", "first", "host")

    def __init__(self, config: HealthCheck, host: Host, stats: HealthCheckStats) -> None:
        self._config = config
        self._stats = stats
        self._good = 0
        self._bad = 0
        self.host = host
        self.first = True  # no result yet
        stats.healthy.value += not host.failed_active_hc
        stats.degraded.value += host.degraded_active_hc

    def judge(self, verdict: Verdict) -> Change:
        if verdict.excluded:
            self.host.excluded_by_hc = True
        if verdict.failure is None:
            return self._succeeded(verdict.degraded)
        return self._failed(verdict.failure, verdict.retriable)

    def _succeeded(self, degraded: bool) -> Change:
        host, change = self.host, Change.UNCHANGED
        self._bad = 0
        if host.failed_active_hc:
            self._good += 1
            if self.first or self._good == self._config.healthy_threshold:
                host.failed_active_hc = host.active_hc_timeout = host.excluded_by_hc = False
                host.healthy_since = None  # it warms up again, where the cluster has hosts do so
                self._good = 0
                self._stats.healthy.value += 1
                change = Change.CHANGED
            else:
                change = Change.PENDING
        change = self._no_longer_pending(change)
        if degraded != host.degraded_active_hc:
            host.degraded_active_hc = degraded
            self._stats.degraded.value += 1 if degraded else -1
            if change is Change.UNCHANGED:
                change = Change.CHANGED
        self._stats.success.value += 1
        self.first = False
        return change

    def _failed(self, failure: Failure, retriable: bool) -> Change:
        host, change, stats = self.host, Change.UNCHANGED, self._stats
        self._good = 0
        if not host.failed_active_hc:
            gradual = failure in _NETWORK or retriable
            self._bad += gradual
            if not gradual or self._bad == self._config.unhealthy_threshold:
                host.failed_active_hc = True
                stats.healthy.value -= 1
                change = Change.CHANGED
            else:
                change = Change.PENDING
        host.active_hc_timeout = failure is Failure.TIMEOUT and host.failed_active_hc
        change = self._no_longer_pending(change)
        stats.failure.value += 1
        if failure in _NETWORK:
            stats.network_failure.value += 1
        elif failure is Failure.PASSIVE:
            stats.passive_failure.value += 1
        self.first = False
        return change

    def _no_longer_pending(self, change: Change) -> Change:
        """A host that nobody counted before its first check counts from now on."""
        if not self.host.pending_active_hc:
            return change
        self.host.pending_active_hc = False
        return Change.CHANGED

    def pause(self, passed: bool, change: Change, *, traffic: bool, rng: random.Random) -> float:
        """Seconds to the next check. Clusters that never had `traffic` are checked less often."""
        config, edge = self._config, change is Change.PENDING
        if not traffic:
            seconds = config.no_traffic_healthy_interval if passed and not edge else config.no_traffic_interval
        elif passed:
            seconds = config.healthy_edge_interval if edge else config.interval
        else:
            seconds = config.unhealthy_edge_interval if edge else config.unhealthy_interval
        seconds += rng.random() * config.interval_jitter_percent / 100 * seconds
        return max(seconds + rng.random() * config.interval_jitter, 0.001)

    def end(self) -> None:
        """The host is no longer checked."""
        self._stats.healthy.value -= not self.host.failed_active_hc
        self._stats.degraded.value -= self.host.degraded_active_hc
