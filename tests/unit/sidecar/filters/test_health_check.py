"""Health checks: judged here, or passed through and remembered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.config.filter_model import HealthCheck
from sidecar.config.model import HeaderMatcher, StringMatch, StringMatcher
from sidecar.filters import Reply, Steps
from sidecar.filters.health_check import HealthCheckFilter
from sidecar.http.exchange import Exchange
from tests.unit.sidecar.filters.support import Bench, answered, asked, exchange

AT = (HeaderMatcher(b":path", StringMatcher(StringMatch.EXACT, "/healthz")),)
SERVICE = [(b"x-envoy-upstream-healthchecked-cluster", b"me")]


def check(path: bytes = b"/healthz") -> Exchange:
    return exchange(path=path)


def detail(steps: Steps) -> str:
    reply = asked(steps, check())
    assert isinstance(reply, Reply)
    return reply.detail


def cluster(total: int, healthy: int, degraded: int = 0) -> Any:
    gauges = zip(("total", "healthy", "degraded"), (total, healthy, degraded), strict=True)
    return SimpleNamespace(stats=SimpleNamespace(**{f"membership_{k}": SimpleNamespace(value=v) for k, v in gauges}))


def test_only_matching_requests_are_answered() -> None:
    steps = Bench().steps(HealthCheckFilter, HealthCheck(False, headers=AT))
    request, other = check(), check(b"/x")
    assert asked(steps, request) == Reply(200, b"", "health_check_ok")
    assert answered(steps, request) == SERVICE
    assert asked(steps, other) is None
    assert answered(steps, other) == []


@pytest.mark.parametrize(
    ("members", "percent", "expected"),
    [
        ((4, 2), 50.0, "health_check_ok_cluster_healthy"),
        ((4, 1, 1), 50.0, "health_check_ok_cluster_healthy"),
        ((4, 1), 50.0, "health_check_failed_cluster_unhealthy"),
        ((0, 0), 0.0, "health_check_ok_cluster_healthy"),
        ((0, 0), 0.1, "health_check_failed_cluster_empty"),
        (None, 0.0, "health_check_failed_no_cluster_found"),
    ],
)
def test_clusters_have_to_be_healthy(members: Any, percent: float, expected: str) -> None:
    clusters = {} if members is None else {"up": cluster(*members)}
    steps = Bench(clusters=clusters).steps(HealthCheckFilter, HealthCheck(False, 0.0, AT, (("up", percent),)))
    assert detail(steps) == expected


def test_an_answer_is_remembered_until_its_time_is_over() -> None:
    bench = Bench()
    steps = bench.steps(HealthCheckFilter, HealthCheck(True, 10.0, AT))
    first = check()
    assert asked(steps, first) is None
    first.status = 503
    assert answered(steps, first) == SERVICE
    reply = asked(steps, check())
    assert isinstance(reply, Reply)
    assert (reply.status, reply.detail) == (503, "health_check_cached")
    bench.clock.now += 10.0
    assert asked(steps, check()) is None


def test_without_a_memory_everything_passes() -> None:
    steps = Bench().steps(HealthCheckFilter, HealthCheck(True, headers=AT))
    for _ in range(2):
        request = check()
        assert asked(steps, request) is None
        assert answered(steps, request) == SERVICE
