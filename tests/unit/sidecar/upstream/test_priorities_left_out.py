"""Retries that leave out priorities."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mesh.tasks import TaskOwner
from sidecar.config.model import Address, Assignment, Cluster, Discovery, Endpoint, Health, LocalityEndpoints
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import Stats
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext


def level(priority: int, health: Health = Health.HEALTHY) -> LocalityEndpoints:
    return LocalityEndpoints((Endpoint(Address(f"10.0.0.{priority}", 80), health=health),), priority=priority)


async def test_priorities_left_out() -> None:
    loop = asyncio.get_running_loop()
    context = UpstreamContext(loop=loop, stats=Stats(), tasks=TaskOwner("test"), idle=Deadlines(loop, 1.0))
    levels = (level(0), level(2), level(5, Health.UNHEALTHY))  # priorities may have gaps
    cluster = ClusterRuntime(Cluster("c", Discovery.STATIC), context)
    cluster.set_assignment(Assignment("c", levels))

    def picked(*left_out: int) -> str:
        host = cluster.picker_without(frozenset(left_out))(None)
        return host.name if host is not None else ""

    assert cluster.picker_without(frozenset()) is cluster.pick
    assert picked(1) == "10.0.0.0:80"
    assert picked(0) == "10.0.0.2:80"
    assert cluster.usable_without(frozenset({0}))
    assert not cluster.usable_without(frozenset({0, 2}))
    before = cluster.picker_without(frozenset({0}))
    assert cluster.picker_without(frozenset({0})) is before
    cluster.set_assignment(replace(cluster._assignment, localities=(level(0), level(5))))
    assert picked(0) == "10.0.0.5:80"
    cluster.close()
