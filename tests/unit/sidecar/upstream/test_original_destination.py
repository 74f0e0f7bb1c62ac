"""A cluster of kind ORIGINAL_DST: its hosts are found while serving, and forgotten when nobody uses them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from mesh.tasks import TaskOwner
from sidecar.config.model import Address, Cluster, Discovery, OriginalDst
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext
from sidecar.upstream.original import destination

THERE, ELSEWHERE, OWN = Address("10.0.0.9", 80), Address("10.0.0.8", 80), Address("127.0.0.1", 15001)


@dataclass(slots=True)
class Connection:
    local: Address
    own: Address = OWN


def exchange(destination: Address, *asked: bytes) -> Any:
    return SimpleNamespace(downstream=Connection(destination), header_values=lambda _name: list(asked))


@pytest.fixture
async def cluster() -> ClusterRuntime:
    loop = asyncio.get_running_loop()
    context = UpstreamContext(loop=loop, stats=Stats(), tasks=TaskOwner("test"), idle=Deadlines(loop, 1.0))
    return ClusterRuntime(
        Cluster("PassthroughCluster", discovery=Discovery.ORIGINAL_DST, original=OriginalDst(cleanup_interval=0.01)),
        context,
    )


async def test_each_goes_where_its_client_was_going(cluster: ClusterRuntime) -> None:
    hosts = [cluster.pick(exchange(address)) for address in (THERE, ELSEWHERE, THERE)]
    assert [host and host.address for host in hosts] == [THERE, ELSEWHERE, THERE]
    assert hosts[0] is hosts[2]
    assert cluster.stats.membership_total.value == 2
    cluster.close()


async def test_never_to_the_socket_that_it_came_in_by(cluster: ClusterRuntime) -> None:
    assert cluster.pick(exchange(OWN)) is None
    assert cluster.hosts == []


async def test_a_host_that_nobody_uses_is_forgotten(cluster: ClusterRuntime) -> None:
    used, unused = cluster.pick(exchange(THERE)), cluster.pick(exchange(ELSEWHERE))
    assert used is not None
    used.connections = 1
    gone = asyncio.Event()
    asyncio.get_running_loop().call_later(0.011, gone.set)  # due after the sweep
    await gone.wait()
    assert unused is not None and unused.removed
    assert cluster.hosts == [used]
    assert cluster.pick(exchange(THERE)) is used
    cluster.close()


@pytest.mark.parametrize(
    ("asked", "found", "invalid"),
    [
        ([], THERE, 0),
        ([b"10.0.0.1:81"], Address("10.0.0.1", 81), 0),
        ([b"10.0.0.1:81", b"10.0.0.2:82"], Address("10.0.0.1", 81), 0),
        ([b"[::1]:81"], Address("::1", 81), 0),
        ([b"::1:81"], THERE, 1),
        ([b"10.0.0.1"], THERE, 1),
        ([b"10.0.0.1:"], THERE, 1),
        ([b"10.0.0.1:65536"], THERE, 1),
        ([b"a.example:80"], THERE, 1),
        ([b""], THERE, 1),
    ],
)
def test_a_header_says_where_to(asked: list[bytes], found: Address, invalid: int) -> None:
    stats = ClusterStats(Stats(), "c")
    assert destination(OriginalDst(b"x-to"), exchange(THERE, *asked), stats) == found
    assert stats.original_dst_host_invalid.value == invalid
    assert destination(OriginalDst(), exchange(THERE, *asked), stats) == THERE
    assert destination(OriginalDst(b"x-to", 99), exchange(THERE, *asked), stats) == Address(found.host, 99)
