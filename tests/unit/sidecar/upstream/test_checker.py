"""Checks on real sockets: who is checked, what a result changes, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from mesh.tasks import TaskOwner
from sidecar.config.model import (
    Address,
    Assignment,
    Balancing,
    Cluster,
    Discovery,
    Endpoint,
    HealthCheck,
    HttpProbe,
    LocalityEndpoints,
    OutlierDetection,
    TcpProbe,
)
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import Stats
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext
from tests.harness.upstream import Hang, ReadBody, Upstream


def checking(probe: HttpProbe | TcpProbe, timeout: float = 1.0, interval: float = 0.01) -> HealthCheck:
    return HealthCheck(timeout, interval, 1, 1, probe, interval, interval, interval, interval, interval)


def assignment(*ports: int, **endpoint: object) -> Assignment:
    endpoints = tuple(Endpoint(Address("127.0.0.1", port), **endpoint) for port in ports)  # type: ignore[arg-type]
    return Assignment("c", (LocalityEndpoints(endpoints),))


class Bench:
    def __init__(self) -> None:
        self.tasks = TaskOwner("test")
        self.stats = Stats()

    def cluster(
        self, check: HealthCheck, *ports: int, kind: Discovery = Discovery.EDS, **fields: object
    ) -> ClusterRuntime:
        loop = asyncio.get_running_loop()
        context = UpstreamContext(loop, self.stats, self.tasks, Deadlines(loop, 1.0), rng=random.Random(0))
        config = Cluster("c", kind, health_check=check, balancing=Balancing(panic_threshold=0.0), **fields)  # type: ignore[arg-type]
        runtime = ClusterRuntime(config, context)
        runtime.set_assignment(assignment(*ports))
        return runtime


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.tasks.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110  # what is waited for is a flag
            await asyncio.sleep(0.002)


async def checked(cluster: ClusterRuntime) -> None:
    assert cluster.checker is not None
    async with asyncio.timeout(5):
        await cluster.checker.wait_all_checked()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("probe", [HttpProbe("/x"), TcpProbe(), TcpProbe(b"GET / HTTP/1.1\r\n\r\n", (b"200",))])
async def test_who_answers_is_picked(bench: Bench, upstream: Upstream, probe: HttpProbe | TcpProbe) -> None:
    cluster = bench.cluster(checking(probe), upstream.port, free_port())
    assert cluster.pick(None) is None
    await checked(cluster)
    assert [host.healthy for host in cluster.hosts] == [True, False]
    assert cluster.pick(None) is cluster.hosts[0]
    assert cluster.stats.membership_healthy.value == 1
    cluster.close()


@pytest.mark.parametrize(
    ("probe", "timed_out"),
    [
        (HttpProbe("/status/503"), False),
        (HttpProbe("/garbage"), False),
        (HttpProbe("/close"), False),
        (HttpProbe("/truncated"), False),
        (HttpProbe("/x", receive=(b"else",)), False),
        (HttpProbe("/delay/5"), True),
        (TcpProbe(b"GET / HTTP/1.1\r\n\r\n", (b"teapot",)), True),
    ],
)
async def test_who_does_not_is_not(
    bench: Bench, upstream: Upstream, probe: HttpProbe | TcpProbe, timed_out: bool
) -> None:
    cluster = bench.cluster(checking(probe, 0.05), upstream.port)
    await checked(cluster)
    assert not cluster.hosts[0].healthy
    assert cluster.hosts[0].active_hc_timeout is timed_out
    cluster.close()
    await upstream.wait_idle()


@pytest.mark.parametrize("reuse", [True, False])
async def test_connections_are_kept_or_not(bench: Bench, upstream: Upstream, reuse: bool) -> None:
    check = HealthCheck(1, 0.01, 1, 1, HttpProbe("/x"), *[0.01] * 5, reuse_connection=reuse)
    cluster = bench.cluster(check, upstream.port)
    await upstream.wait_for_requests(3)
    assert (upstream.connections == 1) is reuse
    assert upstream.requests[0].header("host") == "c"
    cluster.close()


async def test_a_host_recovers_and_fails_again(bench: Bench, upstream: Upstream) -> None:
    upstream.reset([[ReadBody(), Hang()]])
    cluster = bench.cluster(checking(HttpProbe("/x"), 0.05), upstream.port)
    await checked(cluster)
    assert cluster.pick(None) is None
    upstream.script = []
    await until(lambda: cluster.hosts[0].healthy)
    assert cluster.pick(None) is not None
    upstream.reset([[ReadBody(), Hang()]])
    await until(lambda: not cluster.hosts[0].healthy)
    assert cluster.pick(None) is None
    cluster.close()


async def test_a_response_can_end_it_at_once(bench: Bench, upstream: Upstream) -> None:
    cluster = bench.cluster(checking(HttpProbe("/x"), interval=60.0), upstream.port)
    await checked(cluster)
    assert cluster.checker is not None
    cluster.checker.fail_now(cluster.hosts[0])
    assert cluster.pick(None) is None
    assert cluster.stats.membership_excluded.value == 1
    cluster.close()


async def test_who_passes_stays_when_discovery_drops_it(bench: Bench, upstream: Upstream) -> None:
    cluster = bench.cluster(checking(HttpProbe("/x")), upstream.port)
    await checked(cluster)
    cluster.set_assignment(assignment())
    assert [host.pending_removal for host in cluster.hosts] == [True]
    upstream.reset([[ReadBody(), Hang()]])
    cluster.hosts[0].failed_active_hc = True
    cluster.set_assignment(assignment())
    assert cluster.hosts == []
    await upstream.wait_idle()
    cluster.close()


async def test_a_host_that_left_goes_when_it_fails(bench: Bench) -> None:
    async with Upstream() as upstream:
        cluster = bench.cluster(checking(TcpProbe()), upstream.port)
        await checked(cluster)
        cluster.set_assignment(assignment())
    await until(lambda: cluster.hosts == [])
    cluster.close()


@pytest.mark.parametrize(("kind", "fields"), [(Discovery.STATIC, {}), (Discovery.EDS, {"remove_while_healthy": True})])
async def test_unless_discovery_decides(
    bench: Bench, upstream: Upstream, kind: Discovery, fields: dict[str, object]
) -> None:
    cluster = bench.cluster(checking(HttpProbe("/x")), upstream.port, kind=kind, **fields)
    await checked(cluster)
    cluster.set_assignment(assignment())
    assert cluster.hosts == []
    cluster.close()


async def test_endpoints_choose_their_port_or_no_check(bench: Bench, upstream: Upstream) -> None:
    cluster = bench.cluster(checking(HttpProbe("/x")))
    cluster.set_assignment(assignment(free_port(), check_port=upstream.port, check_hostname="h"))
    await until(lambda: cluster.hosts[0].healthy)
    assert upstream.requests[0].header("host") == "h"
    cluster.set_assignment(assignment(free_port(), check_disabled=True))
    assert cluster.hosts[-1].healthy
    cluster.close()


async def test_a_passed_check_ends_an_ejection(bench: Bench, upstream: Upstream) -> None:
    outlier = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    cluster = bench.cluster(checking(HttpProbe("/x")), upstream.port, outlier=outlier)
    await checked(cluster)
    host = cluster.hosts[0]
    assert cluster.outlier is not None
    cluster.outlier.on_status(host, 500, 0.0)
    assert host.ejected and cluster.pick(None) is None
    await until(lambda: not host.ejected)
    assert cluster.pick(None) is host
    cluster.close()


async def test_without_checks_all_hosts_pass(bench: Bench, upstream: Upstream) -> None:
    cluster = bench.cluster(checking(HttpProbe("/status/503")), upstream.port)
    await checked(cluster)
    cluster.update(Cluster("c", Discovery.EDS, balancing=Balancing(panic_threshold=0.0)))
    assert cluster.pick(None) is cluster.hosts[0]
    assert not [group for group in bench.stats.groups() if type(group).__name__ == "HealthCheckStats"]
    await upstream.wait_idle()
    cluster.close()


async def test_hosts_that_nobody_has_checked_yet_do_not_count(bench: Bench) -> None:
    fields = {"wait_for_first_check": True}
    cluster = bench.cluster(checking(TcpProbe()), 1, 2, **fields)
    assert [host.pending_active_hc for host in cluster.hosts] == [True, True]
    assert cluster.stats.membership_excluded.value == 2
    static = bench.cluster(checking(TcpProbe()), 1, kind=Discovery.STATIC, **fields)
    assert [host.pending_active_hc for host in static.hosts] == [False]
    for each in (cluster, static):
        each.close()
