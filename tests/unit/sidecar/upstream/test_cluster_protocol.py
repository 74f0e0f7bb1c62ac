"""A cluster that is to speak otherwise than before does not go on with the connections that it has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.config.http2_model import Http2
from tests.harness.stage import HOSTS, ManualLoop, Stage, cluster

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (None, None, True),
        (Http2(), Http2(), True),
        (None, Http2(), False),
        (Http2(), None, False),
        (Http2(), Http2(max_concurrent_streams=7), False),
    ],
)
async def test_hosts_stay_while_the_protocol_does(
    loop: ManualLoop, before: Http2 | None, after: Http2 | None, kept: bool
) -> None:
    runtime = Stage(loop).cluster
    runtime.update(cluster(http2=before))
    (host,) = runtime.hosts
    runtime.update(cluster(http2=after, connect_timeout=1.0))
    (now,) = runtime.hosts
    assert (now is host) is kept
    assert now.endpoint.address == HOSTS[0]
    assert host.removed is not kept


async def test_a_connection_that_rests_ends_when_http2_is_to_be_spoken(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK)
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 200")
    stage.cluster.update(replace(stage.cluster.config, http2=Http2()))
    await stage.settle()
    assert upstream.lost
    client.sends(GET)
    upstream = await stage.upstream()
    assert upstream.received().startswith(b"PRI * HTTP/2.0")
    await stage.leaves_nothing()
