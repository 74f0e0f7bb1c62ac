"""Towards a host: what fails, what is tried again, and that nothing is left of it."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.filter_model import BufferBody
from sidecar.config.model import (
    MILLION,
    Address,
    DirectResponse,
    FaultConfig,
    Hcm,
    HttpFilter,
    Limits,
    OutlierDetection,
    PathMatch,
    RetryPolicy,
    Route,
    RouteMatch,
)
from sidecar.http.response_flags import flags_text
from tests.harness.stage import ManualLoop, Stage, assignment, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ANY = RouteMatch(PathMatch.PREFIX, "/")
ON_ANYTHING = RetryPolicy(frozenset({"5xx", "connect-failure", "reset"}), attempts=2)


def delayed(route: Route, **fields: Any) -> Hcm:
    """A connection manager that holds every request up for a second."""
    return hcm(route, filters=(HttpFilter("fault", FaultConfig(delay=1.0, delay_chance=MILLION)),), **fields)


# ── the way there ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_goes_and_comes_back(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    assert upstream.received().startswith(b"GET / HTTP/1.1\r\nhost: a\r\n")
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    assert stage.in_use() == {
        "http.test.downstream_cx_active": 1,
        "http.test.downstream_cx_http1_active": 1,
        "cluster.up.upstream_cx_active": 1,
        "up connections": 1,
        "10.0.0.1:80 connections": 1,
        "10.0.0.1:80 idle": 1,
        "idle deadlines": 2,
    }
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    "framing", [b"content-length: 4\r\n\r\nbody", b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
async def test_a_body_is_framed_when_its_first_attempt_never_was_sent(loop: ManualLoop, framing: bytes) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\n" + framing)
    (await stage.dial()).refuses()
    await stage.advance(1.0)
    upstream = await stage.upstream()
    head, _, body = upstream.received().partition(b"\r\n\r\n")
    name, _, sent = framing.partition(b"\r\n\r\n")
    assert name in head.split(b"\r\n")
    assert body == sent
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    await stage.leaves_nothing()


# ── the client leaves ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_client_leaves_while_it_waits_for_a_connection(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    await stage.settle()
    assert stage.counter("cluster.up.upstream_rq_pending_active") == 1
    client.resets()
    assert stage.counter("cluster.up.upstream_rq_pending_active") == 0
    assert stage.counter("cluster.up.upstream_rq_cancelled") == 1
    upstream = await stage.upstream()  # comes too late, and stays for the next one
    assert upstream.received() == b""
    second = stage.client()
    second.sends(GET)
    assert upstream.received().startswith(b"GET / ")
    await stage.leaves_nothing()


async def test_the_client_leaves_between_two_attempts(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(GET)
    (await stage.dial()).refuses()
    await stage.settle()
    assert stage.counter("cluster.up.upstream_rq_retry") == 1
    client.resets()
    await stage.advance(1.0)
    assert not loop.dials
    await stage.leaves_nothing()


@pytest.mark.parametrize("answer", [b"", OK[:20], OK[:-1]], ids=["before", "in the head", "in the body"])
async def test_the_client_leaves_during_an_attempt(loop: ManualLoop, answer: bytes) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(answer)
    client.resets()
    await stage.settle()
    assert upstream.lost
    await stage.leaves_nothing()


async def test_the_client_leaves_during_a_delay(loop: ManualLoop) -> None:
    stage = Stage(loop, delayed(forward()))
    client = stage.client()
    client.sends(GET)
    assert stage.counter("http.test.fault.active_faults") == 1
    client.resets()
    assert stage.counter("http.test.fault.active_faults") == 0
    await stage.leaves_nothing()


# ── the upstream fails ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "status", "flag"),
    [(b"", 503, "UC"), (OK[:20], 502, "UPE"), (b"rubbish\r\n\r\n", 502, "UPE"), (b"HTTP/1.1 99", 502, "UPE")],
)
async def test_the_upstream_ends_without_a_response(loop: ManualLoop, answer: bytes, status: int, flag: str) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(answer)
    upstream.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 %d " % status)
    assert [flags_text(exchange.flags) for exchange in stage.finished] == [flag]
    assert not client.closing
    await stage.leaves_nothing()


async def test_the_upstream_fails_in_the_middle_of_the_response(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK[:-1])
    upstream.resets()
    assert client.received().endswith(b"\r\n\r\no")
    assert client.closing
    assert stage.counter("cluster.up.upstream_rq_retry") == 0
    await stage.leaves_nothing()


async def test_an_attempt_with_half_a_body_is_tried_again_with_all_of_it(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
    first = await stage.upstream()
    first.resets()
    client.sends(b"3\r\ntwo\r\n")
    await stage.advance(1.0)
    second = await stage.upstream()
    client.sends(b"5\r\nthree\r\n0\r\n\r\n")
    assert second.received().partition(b"\r\n\r\n")[2] == b"6\r\nonetwo\r\n5\r\nthree\r\n0\r\n\r\n"
    second.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    await stage.leaves_nothing()


async def test_retries_are_counted_and_given_back(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)), clusters=[cluster(limits=Limits(max_retries=1))])
    one, other = stage.client(), stage.client()
    one.sends(GET)
    (await stage.dial()).refuses()
    await stage.settle()
    other.sends(GET)
    (await stage.dial()).refuses()
    await stage.settle()
    assert stage.cluster.budget.retries == 1
    assert stage.counter("cluster.up.upstream_rq_retry_overflow") == 1
    assert flags_text(stage.finished[0].flags) == "UF,UO"
    await stage.advance(1.0)
    (await stage.upstream()).sends(OK)
    assert stage.cluster.budget.retries == 0
    assert stage.counter("cluster.up.upstream_rq_retry_success") == 1
    await stage.leaves_nothing()


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limits", [Limits(max_pending=1), Limits(max_requests=1)])
async def test_what_is_over_a_limit_is_refused_at_once(loop: ManualLoop, limits: Limits) -> None:
    stage = Stage(loop, clusters=[cluster(limits=limits)])
    clients = [stage.client() for _ in range(3)]
    for client in clients:
        client.sends(GET)
        if limits.max_requests == 1:
            await stage.settle()
            if loop.dials:
                await stage.upstream()
    refused = [client for client in clients if client.received().startswith(b"HTTP/1.1 503 ")]
    assert refused == clients[1:]
    assert [flags_text(exchange.flags) for exchange in stage.finished] == ["UO", "UO"]
    await stage.leaves_nothing()


async def test_those_who_waited_are_held_to_the_limit_of_requests_too(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(limits=Limits(max_requests=1))])
    one, other = stage.client(), stage.client()
    one.sends(GET)
    other.sends(GET)
    await stage.upstream()
    await stage.upstream()
    assert stage.cluster.budget.requests == 1
    assert other.received().startswith(b"HTTP/1.1 503 ")
    assert one.received() == b""
    await stage.leaves_nothing()


# ── flow control ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_that_was_held_up_by_a_lost_upstream_is_heard_again(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n")
    first = await stage.upstream(high=1000)
    first.stops_reading()
    client.sends(b"x" * 50_000)
    client.sends(b"x" * 50_000)
    assert client.waits
    first.resets()
    await stage.advance(1.0)
    second = await stage.upstream()
    await stage.settle()
    assert not client.waits
    assert second.received().endswith(b"\r\n\r\n" + b"x" * 100_000)
    second.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.leaves_nothing()


async def test_a_body_that_grew_too_large_during_a_delay_is_sent_and_not_retried(loop: ManualLoop) -> None:
    stage = Stage(loop, delayed(forward(ON_ANYTHING)), buffer_limit=1000)
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4000\r\n\r\n", b"x" * 2000, b"x" * 2000)
    assert client.waits
    await stage.advance(1.0)
    upstream = await stage.upstream()
    assert not client.waits
    assert upstream.received().endswith(b"\r\n\r\n" + b"x" * 4000)
    assert stage.counter("cluster.up.retry_or_shadow_abandoned") == 1
    upstream.resets()
    assert client.received().startswith(b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


async def test_a_large_first_piece_does_not_overrun_a_slow_upstream(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream(high=1000)
    upstream.sends(OK)
    upstream.stops_reading()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n" + b"x" * 5000)
    assert client.waits
    client.sends(b"x" * 95_000)
    assert client.unread == 95_000
    upstream.goes_on_reading()
    await stage.settle()
    assert upstream.received().endswith(b"x" * 100_000)
    await stage.leaves_nothing()


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_route_s_time_is_over(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(timeout=2.0)))
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await stage.advance(1.9)
    assert client.received() == b""
    await stage.advance(0.2)
    assert client.received().endswith(b"upstream request timeout")
    assert upstream.lost
    await stage.leaves_nothing()


@pytest.mark.parametrize("moment", ["waiting", "backing off"])
async def test_the_route_s_time_is_over_without_a_connection(loop: ManualLoop, moment: str) -> None:
    retry = RetryPolicy(frozenset({"connect-failure"}), base_interval=1000.0, max_interval=1000.0)
    stage = Stage(loop, hcm(forward(retry, timeout=2.0)))
    client = stage.client()
    client.sends(GET)
    dial = await stage.dial()
    if moment == "backing off":
        dial.refuses()
    await stage.advance(2.1)
    assert client.received().startswith(b"HTTP/1.1 504 ")
    if moment == "waiting":
        stage.wires.append(dial.accepts())
    await stage.leaves_nothing()


async def test_each_attempt_has_its_time(loop: ManualLoop) -> None:
    retry = RetryPolicy(frozenset({"5xx"}), attempts=1, per_try_timeout=0.5)
    stage = Stage(loop, hcm(forward(retry)))
    client = stage.client()
    client.sends(GET)
    first = await stage.upstream()
    await stage.advance(0.6)
    assert first.lost
    await stage.advance(0.1)
    second = await stage.upstream()
    await stage.advance(0.6)
    assert second.lost
    assert client.received().startswith(b"HTTP/1.1 504 ")
    assert stage.counter("cluster.up.upstream_rq_per_try_timeout") == 2
    await stage.leaves_nothing()


@pytest.mark.parametrize("action", ["forward", "respond"])
async def test_the_time_for_sending_a_request_ends_with_the_request(loop: ManualLoop, action: str) -> None:
    route = forward() if action == "forward" else Route(ANY, DirectResponse(200, b"hello"))
    stage = Stage(loop, delayed(route, request_timeout=0.5))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
    client.sends(b"body")
    await stage.advance(1.1)
    if action == "forward":
        (await stage.upstream()).sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.leaves_nothing()


async def test_the_time_for_sending_a_request_does_not_count_once_the_response_began(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(request_timeout=0.5))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nb")
    upstream = await stage.upstream()
    upstream.sends(OK[:-1])
    await stage.advance(1.0)
    client.sends(b"ody")
    upstream.sends(OK[-1:])
    assert client.received().count(b"HTTP/1.1 ") == 1
    assert [exchange.details for exchange in stage.finished] == ["via_upstream"]
    await stage.leaves_nothing()


async def test_a_request_that_takes_too_long_to_send(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(request_timeout=0.5))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nb")
    await stage.upstream()
    await stage.advance(1.0)
    assert client.received().startswith(b"HTTP/1.1 408 ")
    await stage.leaves_nothing()


# ── the configuration changes meanwhile ───────────────────────────────────────────────────────────────────────────────


async def test_the_cluster_goes_while_a_request_waits(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    dial = await stage.dial()
    gone = stage.cluster
    stage.upstreams.remove_cluster("up")
    upstream = dial.accepts()
    await stage.settle()
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.settle()
    assert upstream.lost
    assert gone.active_requests == gone.active_connections == gone.pending == 0
    await stage.leaves_nothing()


async def test_the_cluster_goes_before_a_retry(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(GET)
    (await stage.dial()).refuses()
    stage.upstreams.remove_cluster("up")
    await stage.advance(1.0)
    assert client.received().endswith(b"no healthy upstream")
    await stage.leaves_nothing()


async def test_hosts_are_replaced_while_requests_wait_and_are_in_flight(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(limits=Limits(max_connections=1))])
    clients = [stage.client() for _ in range(3)]
    for client in clients:
        client.sends(GET)
    old = await stage.upstream()
    host = stage.cluster.hosts[0]
    stage.cluster.set_assignment(assignment(Address("10.0.0.2", 80)))
    for client in clients:
        assert old.received().startswith(b"GET ")
        old.sends(OK)
        assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.settle()
    assert old.lost
    assert (host.active, host.connections, host.pool.waiting) == (0, 0, {})
    clients[0].sends(GET)
    assert (await stage.upstream()).get_extra_info("peername") == ("10.0.0.2", 80)
    await stage.leaves_nothing()


async def test_a_host_is_ejected_while_others_wait_for_it(loop: ManualLoop) -> None:
    detection = OutlierDetection(consecutive_5xx=1, always_eject_one_host=True)
    stage = Stage(loop, clusters=[cluster(outlier=detection, limits=Limits(max_connections=1))])
    one, other = stage.client(), stage.client()
    one.sends(GET)
    other.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
    assert stage.cluster.hosts[0].ejected
    upstream.sends(OK)
    assert other.received().startswith(b"HTTP/1.1 200 ")
    stage.upstreams.remove_cluster("up")
    await stage.leaves_nothing()


@pytest.mark.fault("F:sidecar/forward/failures.py:150")
async def test_a_request_counts_once_against_the_retry_budget_however_often_it_is_tried(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(GET)
    for _ in range(2):
        (await stage.dial()).refuses()
        await stage.settle()
        assert stage.cluster.budget.retries == 1
        await stage.advance(1.0)
    (await stage.upstream()).sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    assert stage.cluster.budget.retries == 0
    await stage.leaves_nothing()


@pytest.mark.fault("F:sidecar/forward/timeouts.py:62")
@pytest.mark.parametrize(("moment", "total", "reached"), [("waiting", 1, 0), ("in flight", 2, 1), ("answering", 2, 1)])
async def test_a_time_out_is_the_hosts_success_as_well_when_it_was_reached(
    loop: ManualLoop, moment: str, total: int, reached: int
) -> None:
    detection = OutlierDetection(split_local_origin=True, consecutive_local_origin_failure=100)
    stage = Stage(loop, hcm(forward(timeout=2.0)), clusters=[cluster(outlier=detection)])
    client = stage.client()
    client.sends(GET)
    dial = await stage.dial()
    if moment != "waiting":
        stage.wires.append(wire := dial.accepts())
        await stage.settle()
        if moment == "answering":
            wire.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no")
    await stage.advance(2.1)
    (host,) = stage.cluster.hosts
    assert (host.interval_local_total, host.interval_local_success) == (total, reached)


@pytest.mark.fault("F:sidecar/forward/attempts.py:159")
@pytest.mark.parametrize(
    ("per_try", "told"), [(0.9, (b"900", b"500")), (0.3, (b"300", b"300")), (0.0, (b"1000", b"500"))]
)
async def test_an_attempt_is_told_the_time_per_try_or_what_is_left(
    loop: ManualLoop, per_try: float, told: tuple[bytes, bytes]
) -> None:
    retry = RetryPolicy(
        frozenset({"5xx"}), attempts=1, per_try_timeout=per_try, base_interval=0.001, max_interval=0.001
    )
    stage = Stage(loop, hcm(forward(retry, timeout=1.0)))
    stage.client().sends(GET)
    upstream = await stage.upstream()
    assert b"x-envoy-expected-rq-timeout-ms: " + told[0] + b"\r\n" in upstream.received() + b"\r\n"
    if per_try == 0.3:
        upstream.resets()
    else:
        await stage.advance(0.499)
        upstream.resets()
    await stage.advance(0.001)
    expected = b"x-envoy-expected-rq-timeout-ms: " + told[1]
    assert expected in (await stage.upstream()).received()
    await stage.leaves_nothing()


@pytest.mark.fault("F:sidecar/forward/stream.py:128")
@pytest.mark.parametrize(("size", "status"), [(999, b"200"), (1000, b"200"), (1001, b"413")])
async def test_a_body_that_a_filter_waits_for_may_be_as_large_as_its_limit(
    loop: ManualLoop, size: int, status: bytes
) -> None:
    stage = Stage(loop, hcm(filters=(HttpFilter("buffer", BufferBody(1000)),)))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size, b"x" * (size - 1), b"x")
    if status == b"200":
        upstream = await stage.upstream()
        assert upstream.received().endswith(b"\r\n\r\n" + b"x" * size)
        upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 " + status)
    await stage.leaves_nothing()


@pytest.mark.fault("F:sidecar/forward/stream.py:211")
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("size", "again"), [(1000, True), (1001, False)])
async def test_a_body_as_large_as_the_buffer_limit_is_kept_for_a_retry(
    loop: ManualLoop, size: int, again: bool, at_once: bool
) -> None:
    """What came while a filter held the request up, and what came when it was on its way."""
    made = hcm(forward(ON_ANYTHING)) if at_once else delayed(forward(ON_ANYTHING))
    stage = Stage(loop, made, buffer_limit=1000)
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
    if at_once:
        upstream = await stage.upstream()
    client.sends(b"x" * size)
    if not at_once:
        await stage.advance(1.0)
        upstream = await stage.upstream()
    upstream.resets()
    await stage.advance(1.0)
    assert stage.counter("cluster.up.retry_or_shadow_abandoned") == (0 if again else 1)
    if again:
        second = await stage.upstream()
        assert second.received().endswith(b"\r\n\r\n" + b"x" * size)
        second.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 " if again else b"HTTP/1.1 503 ")
    await stage.leaves_nothing()
