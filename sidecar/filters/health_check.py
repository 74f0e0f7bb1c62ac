"""envoy.filters.http.health_check: the proxy's own answer to health checks, or the upstream's, remembered for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.config.filter_model import HealthCheck
from sidecar.config.match import header_matcher
from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import Decision, FilterContext, FilterType, Reply, Steps
from sidecar.http.exchange import UNCOUNTED, Exchange
from sidecar.http.headers import Headers, put
from sidecar.http.response_flags import Flag
from sidecar.router.match import header_predicate

_OK: Final = Reply(200, b"", "health_check_ok")
_HEALTHY: Final = Reply(200, b"", "health_check_ok_cluster_healthy")


def _failed(detail: str) -> Reply:
    return Reply(503, b"", detail, int(Flag.LH))


_NO_CLUSTER: Final = _failed("health_check_failed_no_cluster_found")
_SERVER: Final = _failed("health_check_failed")
_EMPTY: Final = _failed("health_check_failed_cluster_empty")
_UNHEALTHY: Final = _failed("health_check_failed_cluster_unhealthy")


class HealthCheckFilter:
    """One connection manager's filter; routes cannot configure it, and what they answer is of no interest here."""

    def __init__(self, config: HealthCheck, context: FilterContext) -> None:
        self._config = config
        self._clusters = context.clusters
        self._clock = context.clock
        self._health = context.health
        self._service = context.service_cluster.encode()
        self._matches = [header_predicate(matcher) for matcher in config.headers]
        self._began = context.clock()
        self._cached: tuple[int, int] | None = None  # the status, and the interval that it was seen in

    def bind(self, _overrides: Sequence[HealthCheck], _route: Route | None) -> Steps:
        return Steps((self._request,), (self._response,))

    def _request(self, exchange: Exchange) -> Decision | None:
        if not all(matches(exchange) for matches in self._matches):
            return None
        exchange.keep(self, True)
        exchange.keep(UNCOUNTED, True)
        if self._health.failed:
            return _SERVER
        if not self._config.passes:
            return self._judge()
        if self._cached is None or self._cached[1] != self._interval():
            return None
        status = self._cached[0]
        return Reply(status, b"", "health_check_cached", 0 if 200 <= status < 300 else int(Flag.LH))

    def _judge(self) -> Reply:
        for name, percent in self._config.minimum:
            cluster = self._clusters.get(name)
            if cluster is None:
                return _NO_CLUSTER
            stats = cluster.stats
            total = stats.membership_total.value
            if not total:
                if percent:
                    return _EMPTY
            elif 100 * (stats.membership_healthy.value + stats.membership_degraded.value) < total * percent:
                return _UNHEALTHY
        return _HEALTHY if self._config.minimum else _OK

    def _interval(self) -> int:
        """Everything that is remembered is forgotten at once, every so often."""
        return int((self._clock() - self._began) / self._config.cache)

    def _response(self, exchange: Exchange, headers: Headers) -> None:
        if exchange.kept(self):
            if self._config.cache:
                self._cached = exchange.status, self._interval()
            put(headers, b"x-envoy-upstream-healthchecked-cluster", self._service)
        if self._health.failed:
            put(headers, b"x-envoy-immediate-health-check-fail", b"true")


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def compile(reader: Reader) -> HealthCheck:
    passes, cache = reader.flag("pass_through_mode"), reader.seconds("cache_time")
    minimum = tuple((name, _percent(each)) for name, each in reader.entries("cluster_min_healthy_percentages"))
    if cache and not passes:
        reader.problem("can be set with pass_through_mode only", "cache_time")
    if minimum and passes:
        reader.problem("cannot be set with pass_through_mode", "cluster_min_healthy_percentages")
    return HealthCheck(passes, cache, tuple(header_matcher(each) for each in reader.children("headers")), minimum)


def _percent(reader: Reader) -> float:
    """The reader stands on the Percent itself."""
    value = float(reader.message.value)
    reader.skip()
    return value


FILTER: Final = FilterType(HealthCheck, HealthCheckFilter, compile)
