"""Gauges of circuit breakers: worked out when somebody reads."""

from __future__ import annotations

import asyncio

from mesh.tasks import TaskOwner
from sidecar.config.model import Cluster, Discovery, Limits
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import Stats
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext


def open_breakers(stats: Stats) -> set[str]:
    return {
        stat.name.rpartition("circuit_breakers.")[2]
        for part in stats.parts()
        for stat in part
        if "circuit_breakers" in stat.name and getattr(stat.cell, "value", 0)
    }


async def test_a_limit_that_is_reached_opens() -> None:
    loop, stats = asyncio.get_running_loop(), Stats()
    context = UpstreamContext(loop=loop, stats=stats, tasks=TaskOwner("test"), idle=Deadlines(loop, 1.0))
    limits = Limits(max_connections=1, max_pending=2, max_requests=3, max_retries=4)
    cluster = ClusterRuntime(Cluster("c", Discovery.STATIC, limits=limits, high_limits=limits), context)
    assert open_breakers(stats) == set()
    cluster.budget.connections, cluster.budget.pending = 1, 1
    cluster.high_budget.requests, cluster.high_budget.retries = 3, 4
    assert open_breakers(stats) == {"default.cx_open", "high.rq_open", "high.rq_retry_open"}
    cluster.budget.connections, cluster.budget.pending = 0, 2
    cluster.high_budget.requests = 2
    assert open_breakers(stats) == {"default.rq_pending_open", "high.rq_retry_open"}
    cluster.close()
    assert open_breakers(stats) == set()
