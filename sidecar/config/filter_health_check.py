"""envoy.filters.http.health_check: answers health checks, or passes them through."""

from __future__ import annotations

from sidecar.config.filter_model import HealthCheck
from sidecar.config.match import header_matcher
from sidecar.config.reader import Reader


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
