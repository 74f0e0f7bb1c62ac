"""A request at a three-state breaker: what counts, what is refused, and that every permit comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.config.model import CircuitBreaker, Limits, RetryPolicy
from sidecar.http.response_flags import flags_text
from sidecar.upstream.circuit import Circuit
from tests.harness.stage import ManualLoop, Stage, Wire, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno"
BREAKER = CircuitBreaker(consecutive_failures=1, open_time=5.0)
ONE_RETRY = RetryPolicy(frozenset({"5xx"}), attempts=1)


def stage_of(loop: ManualLoop, retry: RetryPolicy | None = None, **fields: object) -> Stage:
    return Stage(loop, hcm(forward(retry, **fields)), (cluster(circuit_breaker=BREAKER),))


def circuit(stage: Stage) -> Circuit:
    found = stage.cluster.circuit
    assert found is not None
    return found


async def leaves_nothing(stage: Stage) -> None:
    """Also not in the gauge of a breaker that is open."""
    stage.upstreams.set_cluster(cluster())
    await stage.leaves_nothing()


async def ask(stage: Stage) -> tuple[Wire, Wire]:
    """A client whose request reached an upstream."""
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    assert upstream.received().startswith(b"GET / ")
    return client, upstream


async def opened(loop: ManualLoop) -> Stage:
    stage = stage_of(loop)
    client, upstream = await ask(stage)
    upstream.sends(BAD.replace(b"503 No\r\n", b"503 No\r\nconnection: close\r\n"))
    assert client.received().startswith(b"HTTP/1.1 503 ")
    assert circuit(stage).state == "open"
    return stage


async def test_an_open_breaker_answers(loop: ManualLoop) -> None:
    stage = await opened(loop)
    client = stage.client()
    client.sends(GET)
    answer = client.received()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"x-envoy-overloaded: true\r\n" in answer
    assert answer.endswith(b"\r\n\r\ncircuit breaker open")
    exchange = stage.finished[-1]
    assert (exchange.details, flags_text(exchange.flags)) == ("mesh_circuit_breaker_open", "UO")
    assert stage.counter("cluster.up.mesh_circuit_breaker.rejected") == 1
    await leaves_nothing(stage)


async def test_a_refusal_is_not_tried_again(loop: ManualLoop) -> None:
    stage = stage_of(loop, ONE_RETRY)
    client, upstream = await ask(stage)
    upstream.sends(BAD)
    await stage.advance(1.0)
    assert client.received().endswith(b"circuit breaker open")
    assert stage.finished[-1].attempts == 2
    await leaves_nothing(stage)


async def test_one_probe_at_a_time_and_then_all(loop: ManualLoop) -> None:
    stage = await opened(loop)
    await stage.advance(5.0)
    client, upstream = await ask(stage)
    other = stage.client()
    other.sends(GET)
    assert b"circuit breaker open" in other.received()
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    assert circuit(stage).state == "closed"
    await leaves_nothing(stage)


@pytest.mark.parametrize("how", ["client", "reset", "timeout", "garbage"])
async def test_a_probe_comes_back_however_it_ends(loop: ManualLoop, how: str) -> None:
    stage = await opened(loop)
    await stage.advance(5.0)
    client, upstream = await ask(stage)
    assert circuit(stage).probing == 1
    if how == "client":
        client.resets()
    elif how == "reset":
        upstream.resets()
    elif how == "garbage":
        upstream.sends(b"what?\r\n\r\n")
    else:
        await stage.advance(20.0)
    await stage.settle()
    assert circuit(stage).probing == 0
    assert circuit(stage).state == ("half-open" if how == "client" else "open")
    await leaves_nothing(stage)


async def test_a_refused_connection_counts(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    stage.client().sends(GET)
    (await stage.dial()).refuses()
    await stage.settle()
    assert circuit(stage).reason == "a failure"
    await leaves_nothing(stage)


async def test_other_limits_say_nothing(loop: ManualLoop) -> None:
    config = replace(cluster(circuit_breaker=BREAKER), limits=Limits(max_requests=0))
    stage = Stage(loop, hcm(forward()), (config,))
    client = stage.client()
    client.sends(GET)
    assert b"reset reason: overflow" in client.received()
    assert circuit(stage).state == "closed"
    await leaves_nothing(stage)


async def test_a_breaker_that_is_configured_anew_begins_closed(loop: ManualLoop) -> None:
    stage = await opened(loop)
    await stage.advance(5.0)
    client, upstream = await ask(stage)
    stage.upstreams.set_cluster(cluster(circuit_breaker=replace(BREAKER, open_time=1.0)))
    upstream.sends(BAD)
    assert client.received().startswith(b"HTTP/1.1 503 ")
    assert (circuit(stage).state, circuit(stage).probing) == ("closed", 0)
    await leaves_nothing(stage)
