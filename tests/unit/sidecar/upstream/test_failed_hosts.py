"""What becomes of the connections to a host that a check or an ejection took out."""

from __future__ import annotations

import pytest

from sidecar.config.model import OutlierDetection, TcpProxy, WeightedCluster
from tests.harness.stage import ManualLoop, Stage, cluster

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
BAD = b"HTTP/1.1 500 Error\r\ncontent-length: 2\r\n\r\nno"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
EJECTS = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
TCP = TcpProxy("t", (WeightedCluster("up", 1),))


async def test_requests_go_over_other_connections(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(outlier=EJECTS)])
    clients = [stage.client() for _ in range(2)]
    for client in clients:
        client.sends(GET)
    upstreams = [await stage.upstream() for _ in clients]
    upstreams[0].sends(BAD)
    await stage.settle()
    assert clients[0].received().endswith(b"no")
    assert [upstream.lost for upstream in upstreams] == [True, False]
    upstreams[1].sends(OK)  # what is under way is not disturbed
    await stage.settle()
    assert clients[1].received().endswith(b"ok")
    assert upstreams[1].lost
    clients[0].sends(GET)  # in panic the host is asked all the same
    (await stage.upstream()).sends(OK)
    assert clients[0].received().endswith(b"ok")


@pytest.mark.parametrize("closes", [False, True])
async def test_tcp_goes_on_unless_it_is_configured_otherwise(loop: ManualLoop, closes: bool) -> None:
    stage = Stage(loop, clusters=[cluster(outlier=EJECTS, close_on_failure=closes)])
    client = stage.tcp(TCP)
    upstream = await stage.upstream()
    await stage.settle()
    host, detector = stage.cluster.hosts[0], stage.cluster.outlier
    assert detector is not None
    assert len(host.sessions) == 1
    detector.on_status(host, 500, loop.now)
    await stage.settle()
    assert host.ejected
    assert (client.lost, upstream.lost) == (closes, closes)
    assert len(host.sessions) == (0 if closes else 1)
