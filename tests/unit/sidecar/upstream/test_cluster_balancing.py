"""What a cluster tells its balancer, and when."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mesh.tasks import TaskOwner
from sidecar.config.model import (
    Address,
    Assignment,
    Balancing,
    Cluster,
    Discovery,
    Endpoint,
    LocalityEndpoints,
    SlowStart,
    Subsets,
    SubsetSelector,
    ZoneAware,
)
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import Stats
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext
from sidecar.upstream.manager import ClusterManager
from tests.harness.stage import ManualLoop
from tests.unit.sidecar.balancer.build import ports

SUBSETS = Balancing(subsets=Subsets((SubsetSelector(("v",)),)))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(loop: ManualLoop, clock: Clock) -> UpstreamContext:
    used: Any = loop
    return UpstreamContext(used, Stats(), TaskOwner("test"), Deadlines(used, 1.0), rng=random.Random(1), clock=clock)


def endpoints(*where: tuple[int, str, str]) -> Assignment:
    """Port, zone, label."""
    return Assignment(
        "c",
        tuple(
            LocalityEndpoints(
                (Endpoint(Address("127.0.0.1", port), metadata={"envoy.lb": {"v": label}}),), zone=zone, priority=0
            )
            for port, zone, label in where
        ),
    )


def test_subsets_are_counted_as_they_come_and_go(context: UpstreamContext) -> None:
    cluster = ClusterRuntime(Cluster("c", Discovery.STATIC, SUBSETS), context)
    stats = cluster.stats
    seen = []

    def look() -> None:
        seen.append((stats.lb_subsets_active.value, stats.lb_subsets_created.value, stats.lb_subsets_removed.value))

    cluster.set_assignment(endpoints((1, "", "a"), (2, "", "b")))
    look()
    cluster.set_assignment(endpoints((1, "", "a"), (2, "", "c"), (3, "", "c")))
    look()
    cluster.update(Cluster("c", Discovery.STATIC))
    look()
    cluster.update(Cluster("c", Discovery.STATIC, SUBSETS))
    cluster.close()
    look()
    assert seen == [(2, 2, 0), (2, 3, 1), (0, 3, 3), (0, 5, 5)]


def test_other_clusters_follow_the_local_one(context: UpstreamContext) -> None:
    manager = ClusterManager(context, "proxies", ("", "home", ""))
    balancing = Balancing(zone_aware=ZoneAware(min_cluster_size=1))
    both = endpoints((1, "home", ""), (2, "away", ""))
    manager.set_cluster(Cluster("c", Discovery.STATIC, balancing, assignment=both))
    cluster = manager.clusters["c"]
    assert set(ports(cluster.pick)) == {1, 2}
    manager.set_cluster(Cluster("proxies", Discovery.STATIC, balancing, assignment=both))
    assert set(ports(cluster.pick)) == {1}
    assert set(ports(manager.clusters["proxies"].pick)) == {1, 2}  # which has no local cluster to reckon with
    proxies = Cluster("proxies", Discovery.STATIC, assignment=endpoints((1, "away", ""), (2, "other", "")))
    manager.set_cluster(proxies)
    assert set(ports(cluster.pick)) == {1, 2}
    assert cluster.stats.lb_local_cluster_not_ok.value
    manager.set_cluster(Cluster("proxies", Discovery.STATIC, assignment=both))
    assert set(ports(cluster.pick)) == {1}
    manager.remove_cluster("proxies")
    assert set(ports(cluster.pick)) == {1, 2}


def test_a_host_that_joins_warms_up(context: UpstreamContext, clock: Clock) -> None:
    config = Cluster("c", Discovery.STATIC, Balancing(slow_start=SlowStart(10.0)))
    cluster = ClusterRuntime(config, context)
    cluster.set_assignment(endpoints((1, "", "")))
    clock.now = 200.0
    cluster.set_assignment(endpoints((1, "", ""), (2, "", "")))
    clock.now = 205.0
    assert ports(cluster.pick, 300)[2] == pytest.approx(100, abs=5)
