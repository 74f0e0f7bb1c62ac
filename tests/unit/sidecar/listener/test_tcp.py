"""The TCP proxy: bytes, halves that end, flow control, limits, and who is left when one side goes."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace

import pytest

from sidecar.config.model import Limits, OutlierDetection, TcpProxy, WeightedCluster
from sidecar.http.response_flags import flags_text
from sidecar.listener.tcp import TcpSession
from tests.harness.stage import ManualLoop, Stage, Wire, cluster

PROXY = TcpProxy("tcp", (WeightedCluster("up", 1),), idle_timeout=10.0)


async def session(loop: ManualLoop) -> tuple[Stage, Wire, Wire]:
    stage = Stage(loop)
    client = stage.tcp(PROXY)
    return stage, client, await stage.upstream()


async def test_bytes_pass_both_ways(loop: ManualLoop) -> None:
    stage, client, upstream = await session(loop)
    client.sends(b"ask")
    upstream.sends(b"answer")
    assert (upstream.received(), client.received()) == (b"ask", b"answer")
    assert (stage.cluster.budget.connections, stage.cluster.hosts[0].connections) == (1, 1)
    client.resets()
    await stage.settle()
    assert upstream.lost
    [exchange] = stage.finished
    assert (exchange.bytes_received, exchange.bytes_sent) == (3, 6)
    await stage.leaves_nothing()


async def test_what_the_client_says_first_waits_for_the_upstream(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.tcp(PROXY)
    client.sends(b"one", b"two")
    assert client.unread == 3  # no more than one piece is held
    client.ends()
    upstream = await stage.upstream()
    assert upstream.received() == b"onetwo"
    assert upstream.finished
    await stage.leaves_nothing()


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_each_half_ends_by_itself(loop: ManualLoop, first: str) -> None:
    stage, client, upstream = await session(loop)
    one, other = (client, upstream) if first == "client" else (upstream, client)
    one.ends()
    assert other.finished
    other.sends(b"still here")
    assert one.received() == b"still here"
    other.ends()
    await stage.settle()
    assert client.lost
    assert upstream.lost
    await stage.leaves_nothing()


async def test_an_upstream_s_reset_is_the_client_s(loop: ManualLoop) -> None:
    stage, client, upstream = await session(loop)
    upstream.resets()
    await stage.settle()
    assert client.lost
    await stage.leaves_nothing()


@pytest.mark.parametrize("fast", ["client", "upstream"])
async def test_the_faster_side_waits(loop: ManualLoop, fast: str) -> None:
    stage, client, upstream = await session(loop)
    source, sink = (client, upstream) if fast == "client" else (upstream, client)
    sink.stops_reading()
    source.sends(b"x" * 100_000, b"y")
    assert source.unread == 1
    sink.goes_on_reading()
    await stage.settle()
    assert sink.received() == b"x" * 100_000 + b"y"
    await stage.leaves_nothing()


async def test_an_idle_session_ends(loop: ManualLoop) -> None:
    stage, client, upstream = await session(loop)
    for _ in range(3):
        await stage.advance(6.0)
        upstream.sends(b"x")
    assert not client.closing
    await stage.advance(10.2)
    assert client.lost
    assert upstream.lost
    assert stage.counter("tcp.tcp.idle_timeout") == 1
    await stage.leaves_nothing()


@pytest.mark.parametrize("deaf", ["client", "upstream"])
async def test_who_never_reads_does_not_stay(loop: ManualLoop, deaf: str) -> None:
    stage, client, upstream = await session(loop)
    source, sink = (client, upstream) if deaf == "upstream" else (upstream, client)
    sink.stops_reading()
    source.sends(b"x" * 100)
    source.protocol.eof_received()
    sink.protocol.eof_received()
    source.close()
    await stage.settle()
    await stage.advance(21.0)
    assert sink.lost
    assert stage.in_use() == {}
    await stage.leaves_nothing()


async def test_an_upstream_that_does_not_take_the_rest_is_not_waited_for_for_ever(loop: ManualLoop) -> None:
    stage, client, upstream = await session(loop)
    upstream.stops_reading()
    client.sends(b"x" * 100)
    client.close()
    await stage.settle()
    assert client.lost
    assert upstream.closing
    assert not upstream.lost
    await stage.advance(21.0)
    assert upstream.lost
    await stage.leaves_nothing()


async def test_connections_under_way_count(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(limits=Limits(max_connections=1))])
    clients = [stage.tcp(PROXY) for _ in range(3)]
    upstream = await stage.upstream()
    assert [client.lost for client in clients] == [False, True, True]
    assert Counter(flags_text(exchange.flags) for exchange in stage.finished) == {"UO": 2}
    upstream.resets()
    await stage.settle()
    assert stage.cluster.budget.connections == 0
    await stage.leaves_nothing()


@pytest.mark.parametrize("outcome", ["accepts", "refuses"])
async def test_the_client_leaves_before_the_upstream_is_there(loop: ManualLoop, outcome: str) -> None:
    stage = Stage(loop)
    client = stage.tcp(PROXY)
    dial = await stage.dial()
    client.resets()
    wire = getattr(dial, outcome)()
    await stage.settle()
    assert wire is None or wire.lost
    await stage.leaves_nothing()


async def test_an_upstream_that_refuses_is_blamed(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(outlier=OutlierDetection(consecutive_5xx=1, always_eject_one_host=True))])
    client = stage.tcp(PROXY)
    (await stage.dial()).refuses()
    await stage.settle()
    assert client.lost
    assert stage.cluster.hosts[0].ejected
    assert [flags_text(exchange.flags) for exchange in stage.finished] == ["URX,UF"]
    stage.upstreams.remove_cluster("up")
    await stage.leaves_nothing()


async def test_without_a_cluster_or_a_host_the_client_is_cut_off(loop: ManualLoop) -> None:
    stage = Stage(loop)
    stage.cluster.set_assignment(stage.cluster.config.assignment.__class__("up"))
    for proxy in (PROXY, TcpProxy("tcp", (WeightedCluster("nowhere", 1),))):
        client = stage.tcp(proxy)
        await stage.settle()
        assert client.lost
    assert [flags_text(exchange.flags) for exchange in stage.finished] == ["UH", "NC"]
    await stage.leaves_nothing()


async def test_the_cluster_goes_while_a_session_lasts(loop: ManualLoop) -> None:
    stage, client, upstream = await session(loop)
    gone = stage.cluster
    stage.upstreams.remove_cluster("up")
    client.sends(b"on")
    assert upstream.received() == b"on"
    upstream.ends()
    client.ends()
    await stage.settle()
    assert gone.active_connections == 0
    await stage.leaves_nothing()


async def test_no_cycle_keeps_a_session(loop: ManualLoop) -> None:
    gc.collect()
    gc.disable()
    try:
        stage, client, upstream = await session(loop)
        client.resets()
        await stage.settle()
        stage.wires.clear()
        stage.finished.clear()
        del client, upstream
        assert [found for found in gc.get_objects() if isinstance(found, TcpSession)] == []
    finally:
        gc.enable()


async def test_another_attempt_may_reach_the_upstream(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.tcp(replace(PROXY, max_connect_attempts=2))
    client.sends(b"ask")
    (await stage.dial()).refuses()
    await stage.settle()
    upstream = await stage.upstream()
    assert upstream.received() == b"ask"
    client.resets()
    await stage.settle()
    assert [(exchange.attempts, flags_text(exchange.flags)) for exchange in stage.finished] == [(2, "UF")]
    await stage.leaves_nothing()


async def test_attempts_are_used_up(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.tcp(replace(PROXY, max_connect_attempts=2))
    for _ in range(2):
        (await stage.dial()).refuses()
        await stage.settle()
    assert client.lost
    assert stage.cluster.stats.upstream_cx_connect_attempts_exceeded.value == 1
    assert [exchange.attempts for exchange in stage.finished] == [2]
    await stage.leaves_nothing()


async def test_who_left_is_not_connected_for_again(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.tcp(replace(PROXY, max_connect_attempts=5))
    dial = await stage.dial()
    client.resets()
    dial.refuses()
    await stage.settle()
    assert not loop.dials
    assert stage.cluster.stats.upstream_cx_connect_attempts_exceeded.value == 0
    await stage.leaves_nothing()


async def test_a_session_has_its_time(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.tcp(replace(PROXY, max_duration=2.0))
    upstream = await stage.upstream()
    for _ in range(5):
        await stage.advance(0.5)
        if not client.lost:
            client.sends(b"busy")
    assert client.lost and upstream.lost
    assert [flags_text(exchange.flags) for exchange in stage.finished] == ["DT"]
    await stage.leaves_nothing()


async def test_sessions_are_logged_in_progress(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.tcp(replace(PROXY, log_interval=1.0, log_connects=True))
    await stage.upstream()
    assert len(stage.in_progress) == 1
    await stage.advance(2.5)
    assert len(stage.in_progress) == 3
    client.resets()
    await stage.settle()
    await stage.advance(2.0)
    assert len(stage.in_progress) == 3
    await stage.leaves_nothing()
