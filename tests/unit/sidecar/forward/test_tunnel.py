"""Upgrades and CONNECT: bytes pass in both directions, nothing is lost at the seams, and nothing stays behind."""

from __future__ import annotations

import pytest

from sidecar.config.model import Forward, PathMatch, Route, RouteMatch, WeightedCluster
from tests.harness.stage import ManualLoop, Stage, Wire, cluster, hcm

CONNECT = b"CONNECT db:3306 HTTP/1.1\r\nhost: db:3306\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
TO_UP = Forward((WeightedCluster("up", 1),), timeout=2.0)


def stage_of(loop: ManualLoop) -> Stage:
    config = hcm(
        Route(RouteMatch(PathMatch.CONNECT, ""), TO_UP),
        Route(RouteMatch(PathMatch.PREFIX, "/"), TO_UP),
        upgrades=frozenset({"websocket", "connect"}),
        stream_idle_timeout=10.0,
    )
    return Stage(loop, config, clusters=[cluster(idle_timeout=5.0)])


async def connected(stage: Stage) -> tuple[Wire, Wire]:
    client = stage.client()
    client.sends(CONNECT)
    upstream = await stage.upstream()
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    return client, upstream


async def test_connect_passes_bytes_both_ways(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, upstream = await connected(stage)
    client.sends(b"hello")
    upstream.sends(b"welcome")
    assert (upstream.received(), client.received()) == (b"hello", b"welcome")
    assert stage.counter("http.test.downstream_cx_upgrades_active") == 1
    upstream.ends()
    await stage.settle()
    assert client.lost
    await stage.leaves_nothing()


async def test_an_upgrade_passes_what_came_with_it(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(UPGRADE + b"early")
    upstream = await stage.upstream()
    assert upstream.received().endswith(b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    upstream.sends(SWITCH + b"first")
    assert upstream.received() == b"early"
    assert client.received().endswith(b"\r\n\r\nfirst")
    client.resets()
    await stage.settle()
    assert upstream.lost
    await stage.leaves_nothing()


async def test_a_client_that_said_a_lot_before_the_switch_is_heard_after_it(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(UPGRADE)
    upstream = await stage.upstream()
    client.sends(b"x" * 100_000)
    assert client.waits
    upstream.received()
    upstream.sends(SWITCH)
    assert not client.waits
    client.sends(b"y")
    assert upstream.received() == b"x" * 100_000 + b"y"
    await stage.leaves_nothing()


async def test_the_client_of_a_tunnel_leaves_before_its_connection_is_there(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(CONNECT)
    dial = await stage.dial()
    client.resets()
    upstream = dial.accepts()
    await stage.settle()
    assert upstream.lost
    await stage.leaves_nothing()


@pytest.mark.parametrize("outcome", ["accepts", "refuses"])
async def test_a_tunnel_takes_too_long_to_build(loop: ManualLoop, outcome: str) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(CONNECT)
    dial = await stage.dial()
    await stage.advance(2.1)
    assert client.received().startswith(b"HTTP/1.1 504 ")
    getattr(dial, outcome)()
    await stage.settle()
    assert client.received() == b""
    await stage.leaves_nothing()


async def test_a_tunnel_that_cannot_be_built(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(CONNECT)
    (await stage.dial()).refuses()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


async def test_a_tunnel_whose_host_hangs_up_at_once(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(CONNECT)
    (await stage.dial()).accepts().resets()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


@pytest.mark.parametrize("speaker", ["client", "upstream"])
async def test_a_tunnel_lives_while_one_side_speaks(loop: ManualLoop, speaker: str) -> None:
    stage = stage_of(loop)
    client, upstream = await connected(stage)
    for _ in range(5):
        await stage.advance(6.0)
        (client if speaker == "client" else upstream).sends(b"x")
    assert not client.closing
    await stage.advance(10.2)
    assert client.closing
    await stage.leaves_nothing()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_tunnel_holds_up_whoever_is_too_fast(loop: ManualLoop, direction: str) -> None:
    stage = stage_of(loop)
    client, upstream = await connected(stage)
    source, sink = (client, upstream) if direction == "up" else (upstream, client)
    sink.stops_reading()
    source.sends(b"x" * 100_000)
    source.sends(b"y")
    assert source.unread == 1
    sink.goes_on_reading()
    await stage.settle()
    assert sink.received() == b"x" * 100_000 + b"y"
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    "end", [b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]
)
async def test_an_upgrade_that_the_upstream_refuses(loop: ManualLoop, end: bytes) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(UPGRADE)
    upstream = await stage.upstream()
    upstream.sends(end)
    assert client.received().startswith(end[:12])
    await stage.advance(1.2)
    assert client.lost
    await stage.leaves_nothing()
