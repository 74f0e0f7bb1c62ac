"""Requests that go on once they are complete."""

from __future__ import annotations

from sidecar.config.filter_model import BufferBody
from sidecar.config.model import MILLION, FaultConfig, HttpFilter
from sidecar.filters import NO_STEPS, Hold
from sidecar.filters.buffer import TOO_LARGE, BufferFilter
from tests.harness.stage import ManualLoop, Stage, forward, hcm
from tests.unit.sidecar.filters.support import Bench, asked, exchange

POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def stage(loop: ManualLoop, limit: int) -> Stage:
    return Stage(loop, config=hcm(forward(), filters=(HttpFilter("b", BufferBody(limit)),)))


def test_a_route_has_a_limit_of_its_own_or_none() -> None:
    bench = Bench()
    assert asked(bench.steps(BufferFilter, BufferBody(1)), exchange()) == Hold(1, TOO_LARGE)
    assert asked(bench.steps(BufferFilter, BufferBody(1), BufferBody(2)), exchange()) == Hold(2, TOO_LARGE)
    assert bench.steps(BufferFilter, BufferBody(1), BufferBody(None)) is NO_STEPS


async def test_the_upstream_gets_the_whole_body_at_once(loop: ManualLoop) -> None:
    here = stage(loop, 10)
    client = here.client()
    client.sends(POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert not here.finished
    client.sends(b"2\r\nde\r\n0\r\n\r\n")
    upstream = await here.upstream()
    received = upstream.received()
    assert received.endswith(b"\r\n\r\nabcde")
    assert b"content-length: 5\r\n" in received
    assert b"transfer-encoding" not in received
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    await here.leaves_nothing()


async def test_too_much_is_refused_as_soon_as_it_is_there(loop: ManualLoop) -> None:
    here = stage(loop, 4)
    client = here.client()
    client.sends(POST + b"content-length: 100\r\n\r\n01234")
    answer = client.received()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"Payload Too Large")
    (exchange,) = here.finished
    assert exchange.details == "request_payload_too_large"


async def test_what_came_during_a_delay_counts_too(loop: ManualLoop) -> None:
    delay = HttpFilter("f", FaultConfig(delay=1.0, delay_chance=MILLION))
    for limit, status in ((10, b"200"), (4, b"413")):
        config = hcm(forward(), filters=(delay, HttpFilter("b", BufferBody(limit))))
        here = Stage(loop, config=config, buffer_limit=3)
        client = here.client()
        client.sends(POST + b"content-length: 9\r\n\r\n01234")
        await here.advance(1.0)
        if status == b"200":
            client.sends(b"5678")
            upstream = await here.upstream()
            assert upstream.received().endswith(b"\r\n\r\n012345678")
            upstream.sends(OK)
        assert client.received().startswith(b"HTTP/1.1 " + status)
        await here.leaves_nothing()


async def test_a_client_that_leaves_meanwhile_leaves_nothing(loop: ManualLoop) -> None:
    here = stage(loop, 10)
    client = here.client()
    client.sends(POST + b"content-length: 10\r\n\r\n01234")
    client.resets()
    await here.leaves_nothing()
