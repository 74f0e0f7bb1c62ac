"""Clusters come, change and go; what is in use stays right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.config.model import (
    Address,
    Assignment,
    Cluster,
    Discovery,
    Endpoint,
    Health,
    HealthCheck,
    LocalityEndpoints,
    OutlierDetection,
    TcpProbe,
)
from tests.harness.stage import ManualLoop, Stage, assignment, cluster

ONE, OTHER, THIRD = (Address(f"10.0.0.{number}", 80) for number in (1, 2, 3))
EDS = Cluster("up", Discovery.EDS, eds_name="endpoints")


def addresses(stage: Stage) -> list[Address]:
    return [host.address for host in stage.cluster.hosts]


async def test_endpoints_may_come_before_their_cluster(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[])
    stage.upstreams.set_assignment(assignment(ONE, name="endpoints"))
    stage.upstreams.set_cluster(EDS)
    assert addresses(stage) == [ONE]
    stage.upstreams.set_assignment(assignment(ONE, OTHER, name="endpoints"))
    stage.upstreams.set_assignment(assignment(THIRD, name="others"))
    assert addresses(stage) == [ONE, OTHER]


async def test_a_host_that_stays_is_the_same_host(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(assignment=assignment(ONE, OTHER))])
    before = stage.cluster.hosts
    stage.upstreams.set_cluster(cluster(assignment=assignment(OTHER, THIRD), connect_timeout=1.0))
    assert addresses(stage) == [OTHER, THIRD]
    assert stage.cluster.hosts[0] is before[1]
    assert before[0].removed
    assert stage.counter("cluster.up.membership_total") == 2


async def test_what_did_not_change_changes_nothing(loop: ManualLoop) -> None:
    stage = Stage(loop)
    before = stage.cluster.hosts, stage.cluster.pick
    stage.upstreams.set_cluster(cluster())
    assert (stage.cluster.hosts, stage.cluster.pick) == before


async def test_a_changed_cluster_keeps_its_endpoints_until_there_are_others(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[])
    stage.upstreams.set_cluster(EDS)
    stage.upstreams.set_assignment(assignment(ONE, name="endpoints"))
    stage.upstreams.set_cluster(replace(EDS, connect_timeout=1.0))
    assert addresses(stage) == [ONE]


async def test_a_removed_cluster_is_forgotten(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[])
    stage.upstreams.set_assignment(assignment(ONE, name="endpoints"))
    stage.upstreams.set_cluster(replace(EDS, outlier=OutlierDetection()))
    gone = stage.cluster
    stage.upstreams.remove_cluster("up")
    stage.upstreams.remove_cluster("up")
    assert gone.pick(None) is None
    assert loop.timers == []
    stage.upstreams.set_cluster(EDS)
    assert stage.cluster.hosts == []


async def test_updates_in_quick_succession_do_not_keep_a_host_out(loop: ManualLoop) -> None:
    detection = OutlierDetection(interval=10.0, base_ejection_time=1.0, consecutive_5xx=1, always_eject_one_host=True)
    stage = Stage(loop, clusters=[cluster(outlier=detection)])
    [host] = stage.cluster.hosts
    assert stage.cluster.outlier is not None
    stage.cluster.outlier.on_status(host, 500, loop.now)
    assert host.ejected
    for second in range(12):
        stage.upstreams.set_cluster(cluster(outlier=detection, connect_timeout=second + 1.0))
        loop.advance(1.0)
    assert not host.ejected
    stage.upstreams.remove_cluster("up")


async def test_without_detection_nobody_stays_ejected(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(outlier=OutlierDetection(consecutive_5xx=1, always_eject_one_host=True))])
    [host] = stage.cluster.hosts
    assert stage.cluster.outlier is not None
    stage.cluster.outlier.on_status(host, 500, loop.now)
    stage.upstreams.set_cluster(cluster())
    assert not host.ejected
    assert stage.cluster.pick(None) is host
    assert stage.counter("cluster.up.outlier_detection.ejections_active") == 0
    assert loop.timers == []


async def test_an_unhealthy_endpoint_is_not_picked(loop: ManualLoop) -> None:
    endpoints = (Endpoint(ONE, health=Health.UNHEALTHY), Endpoint(OTHER), Endpoint(THIRD))
    stage = Stage(loop, clusters=[cluster(assignment=Assignment("up", (LocalityEndpoints(endpoints),)))])
    picked = {host.address for _ in range(10) if (host := stage.cluster.pick(None))}
    assert picked == {OTHER, THIRD}
    assert stage.counter("cluster.up.membership_healthy") == 2


@pytest.mark.parametrize(
    ("health", "failed", "disabled", "kind", "ignored", "stays"),
    [
        (Health.HEALTHY, False, False, Discovery.EDS, False, True),
        (Health.DEGRADED, False, False, Discovery.EDS, False, True),
        (Health.UNHEALTHY, False, False, Discovery.EDS, False, False),
        (Health.DRAINING, False, False, Discovery.EDS, False, False),
        (Health.HEALTHY, True, False, Discovery.EDS, False, False),
        (Health.HEALTHY, False, True, Discovery.EDS, False, False),
        (Health.HEALTHY, False, False, Discovery.STATIC, False, False),
        (Health.HEALTHY, False, False, Discovery.EDS, True, False),
    ],
)
async def test_who_passes_its_checks_outlives_discovery(
    loop: ManualLoop, health: Health, failed: bool, disabled: bool, kind: Discovery, ignored: bool, stays: bool
) -> None:
    check = HealthCheck(1.0, 60.0, 1, 1, TcpProbe(), 60.0, 60.0, 60.0, 60.0, 60.0)
    config = Cluster("up", kind, health_check=check, remove_while_healthy=ignored)
    stage = Stage(loop, clusters=[config])
    one = LocalityEndpoints((Endpoint(ONE, health=health, check_disabled=disabled),))
    stage.cluster.set_assignment(Assignment("up", (one,)))
    [host] = stage.cluster.hosts
    host.failed_active_hc = failed
    stage.cluster.set_assignment(assignment(OTHER))
    assert (host in stage.cluster.hosts, host.pending_removal, host.removed) == (stays, stays, not stays)
    stage.upstreams.remove_cluster("up")
    await stage.tasks.close()


async def test_a_host_that_comes_back_is_not_about_to_go(loop: ManualLoop) -> None:
    check = HealthCheck(1.0, 60.0, 1, 1, TcpProbe(), 60.0, 60.0, 60.0, 60.0, 60.0)
    stage = Stage(loop, clusters=[replace(EDS, health_check=check)])
    stage.cluster.set_assignment(assignment(ONE))
    [host] = stage.cluster.hosts
    host.failed_active_hc = False
    for there in (OTHER, ONE):
        stage.cluster.set_assignment(assignment(there))
        assert host.pending_removal is (there is OTHER)
    stage.upstreams.remove_cluster("up")
    await stage.tasks.close()


async def test_clusters_follow_the_endpoints_that_they_name(loop: ManualLoop) -> None:
    """Two may name the same; one that names others has those, and who goes takes from nobody."""
    stage = Stage(loop, clusters=[])
    upstreams = stage.upstreams
    upstreams.set_assignment(assignment(ONE, name="endpoints"))
    upstreams.set_assignment(assignment(OTHER, name="others"))
    upstreams.set_cluster(EDS)
    upstreams.set_cluster(replace(EDS, name="twin"))
    upstreams.set_cluster(replace(EDS, eds_name="others"))
    assert addresses(stage) == [OTHER]
    upstreams.set_assignment(assignment(THIRD, name="endpoints"))
    assert addresses(stage) == [OTHER]
    assert [host.address for host in upstreams.clusters["twin"].hosts] == [THIRD]
    upstreams.remove_cluster("twin")
    upstreams.set_assignment(assignment(ONE, name="others"))
    assert addresses(stage) == [ONE]
    upstreams.set_cluster(replace(EDS, name="late"))
    assert not upstreams.clusters["late"].hosts
