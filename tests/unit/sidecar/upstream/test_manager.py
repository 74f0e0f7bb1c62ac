"""Clusters come, change and go; what is in use stays right."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sidecar.config.model import (
    Address,
    Assignment,
    Cluster,
    Discovery,
    DnsFamily,
    Endpoint,
    Health,
    LocalityEndpoints,
    OutlierDetection,
)
from sidecar.upstream.dns import Resolver
from tests.harness.stage import ManualLoop, Stage, assignment, cluster

ONE, OTHER, THIRD = (Address(f"10.0.0.{number}", 80) for number in (1, 2, 3))
EDS = Cluster("up", Discovery.EDS, eds_name="endpoints")
DNS = Cluster("up", Discovery.STRICT_DNS, assignment=assignment(Address("db.local", 3306)))


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


async def test_a_changed_dns_cluster_keeps_its_addresses_until_it_is_resolved(
    loop: ManualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(loop, clusters=[])
    answers = ["10.1.1.1"]
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names(answers), raising=False)
    stage.upstreams.set_cluster(DNS)
    await stage.settle()
    assert addresses(stage) == [Address("10.1.1.1", 3306)]
    answers.clear()  # look-ups fail from now on
    stage.upstreams.set_cluster(replace(DNS, connect_timeout=1.0))
    assert addresses(stage) == [Address("10.1.1.1", 3306)]
    await stage.settle()
    assert addresses(stage) == [Address("10.1.1.1", 3306)]
    stage.upstreams.remove_cluster("up")
    await stage.settle()
    assert stage.tasks._tasks == set()


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


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def names(answers: list[str]) -> Any:
    async def getaddrinfo(_host: str, _port: None, **_more: Any) -> list[tuple[Any, ...]]:
        if not answers:
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in answer else socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 0))
            for answer in answers
        ]

    return getaddrinfo


async def resolved(config: Cluster, answers: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Endpoint]:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names(answers), raising=False)
    published: list[Assignment] = []
    task = asyncio.get_running_loop().create_task(Resolver(config, published.append).run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    return [endpoint for each in published for locality in each.localities for endpoint in locality.endpoints]


@pytest.mark.parametrize(
    ("fields", "answers", "wanted"),
    [
        ({}, ["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
        ({}, ["10.0.0.1", "::1"], ["::1"]),
        ({"dns_family": DnsFamily.V4_PREFERRED}, ["10.0.0.1", "::1"], ["10.0.0.1"]),
        ({"dns_family": DnsFamily.V4_ONLY}, ["::1"], []),
        ({"dns_family": DnsFamily.ALL}, ["10.0.0.1", "::1"], ["10.0.0.1", "::1"]),
        ({"discovery": Discovery.LOGICAL_DNS}, ["10.0.0.2", "10.0.0.1"], ["10.0.0.1"]),
        ({}, [], []),
    ],
)
async def test_names_become_addresses(
    fields: dict[str, Any], answers: list[str], wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = await resolved(replace(DNS, **fields), answers, monkeypatch)
    assert [endpoint.address.host for endpoint in endpoints] == wanted
    assert {endpoint.hostname for endpoint in endpoints} <= {"db.local"}


async def test_a_name_that_cannot_be_one_is_like_one_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_args: Any, **_more: Any) -> None:
        raise UnicodeError("label too long")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse, raising=False)
    published: list[Assignment] = []
    bad = replace(DNS, assignment=assignment(Address("a" * 70, 80), ONE))
    task = asyncio.get_running_loop().create_task(Resolver(bad, published.append).run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    assert [endpoint.address for endpoint in published[0].localities[0].endpoints] == [ONE]


class _EnoughError(Exception):
    pass


async def pauses(config: Cluster, rounds: Sequence[list[str]], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long is waited after each of these rounds of answers."""
    answers: list[str] = []
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == len(rounds):
            raise _EnoughError
        answers[:] = rounds[len(waited)]

    answers[:] = rounds[0]
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names(answers), raising=False)
    monkeypatch.setattr("sidecar.upstream.dns.asyncio.sleep", sleep)
    with pytest.raises(_EnoughError):
        await Resolver(config, lambda _assignment: None, rng=random.Random(1)).run()
    return waited


async def test_failed_look_ups_are_repeated_by_a_back_off_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[list[str]] = [["10.0.0.1"], [], [], [], ["10.0.0.1"], []]
    assert await pauses(replace(DNS, dns_refresh_rate=5.0), rounds, monkeypatch) == [5.0] * 6
    config = replace(DNS, dns_refresh_rate=5.0, dns_failure_refresh=(1.0, 3.0))
    expected = random.Random(1)
    ceilings = [1.0, 2.0, 3.0]
    jittered = [expected.random() * ceiling for ceiling in (*ceilings, 1.0)]
    assert await pauses(config, rounds, monkeypatch) == [5.0, *jittered[:3], 5.0, jittered[3]]
