"""Requests that met a connection which their host had closed, and are sent again."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import Resend
from tests.harness.stage import ManualLoop, Stage, Wire, cluster

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
CHUNKS = b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
POST = PUT.replace(b"PUT", b"POST")


async def reused(loop: ManualLoop, resend: Resend = Resend.IDEMPOTENT, **fields: Any) -> tuple[Stage, Wire, Wire]:
    """A stage with a client and an upstream that have had one request."""
    stage = Stage(loop, clusters=[cluster(resend=resend, **fields)])
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.received()
    upstream.sends(OK)
    assert client.received().endswith(b"ok")
    return stage, client, upstream


@pytest.mark.complaint(3)
@pytest.mark.parametrize("request_bytes", [GET, PUT, CHUNKS])
@pytest.mark.parametrize("reset", [False, True])
async def test_sent_again_as_it_was(loop: ManualLoop, request_bytes: bytes, reset: bool) -> None:
    stage, client, upstream = await reused(loop)
    client.sends(request_bytes)
    sent = upstream.received()
    assert sent
    if reset:
        upstream.resets()
    else:
        upstream.ends()
    other = await stage.upstream()
    assert other.received().split(b"\r\n\r\n", 1)[1] == sent.split(b"\r\n\r\n", 1)[1]
    other.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    assert stage.counter("cluster.up.mesh_connection_pool.resent") == 1
    assert stage.counter("cluster.up.upstream_rq_retry") == 0
    assert stage.cluster.hosts[0].rq_error == 0  # it is not to blame
    assert stage.finished[-1].attempts == 2
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    ("resend", "again"), [(Resend.NEVER, False), (Resend.IDEMPOTENT, False), (Resend.ALWAYS, True)]
)
async def test_what_may_not_be_repeated(loop: ManualLoop, resend: Resend, again: bool) -> None:
    stage, client, upstream = await reused(loop, resend)
    client.sends(POST)
    upstream.ends()
    if again:
        (await stage.upstream()).sends(OK)
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 200 " if again else b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


async def test_not_after_a_byte(loop: ManualLoop) -> None:
    stage, client, upstream = await reused(loop)
    client.sends(GET)
    upstream.sends(b"HTTP/1.1 2")
    upstream.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 502 ")
    await stage.leaves_nothing()


async def test_not_after_an_interim_response(loop: ManualLoop) -> None:
    stage, client, upstream = await reused(loop)
    client.sends(GET)
    upstream.sends(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    upstream.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


async def test_not_while_the_body_is_on_its_way(loop: ManualLoop) -> None:
    stage, client, upstream = await reused(loop)
    client.sends(PUT[:-1])
    upstream.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")


async def test_not_more_than_is_kept(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(resend=Resend.ALWAYS)], buffer_limit=4)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK)
    client.received()
    client.sends(PUT)
    upstream.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")


async def test_not_over_a_connection_that_is_new(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(resend=Resend.ALWAYS)])
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


async def test_not_for_ever(loop: ManualLoop) -> None:
    """All connections that rest were left by their host."""
    stage = Stage(loop, clusters=[cluster(resend=Resend.ALWAYS)])
    clients = [stage.client() for _ in range(5)]
    for client in clients:
        client.sends(GET)
    upstreams = [await stage.upstream() for _ in clients]
    for client, upstream in zip(clients, upstreams, strict=True):
        upstream.sends(OK)
        client.received()
        upstream.received()
    clients[0].sends(GET)
    for upstream in reversed(upstreams):
        if upstream.received():
            upstream.resets()
            await stage.settle()
    assert clients[0].received().startswith(b"HTTP/1.1 503 ")
    assert stage.counter("cluster.up.mesh_connection_pool.resent") == 3
    await stage.leaves_nothing()
