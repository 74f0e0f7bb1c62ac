"""How a downstream connection ends: by limits of time and of requests."""

from __future__ import annotations

import pytest

from sidecar.config.model import DirectResponse, Hcm, PathMatch, Route, RouteMatch
from tests.harness.stage import ManualLoop, Stage, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
HELLO = Route(RouteMatch(PathMatch.PREFIX, "/"), DirectResponse(200, b"hello"))


def direct(**fields: object) -> Hcm:
    return hcm(HELLO, **fields)


async def test_an_idle_connection_ends(loop: ManualLoop) -> None:
    """The time-out announces the end, for whoever is just sending; it comes `drain_timeout` later, and its FIN after
    the delayed close."""
    stage = Stage(loop, direct(idle_timeout=5.0, drain_timeout=2.0))
    client = stage.client()
    await stage.advance(4.0)
    client.sends(GET)
    await stage.advance(4.0)
    assert b"connection: close" not in client.received()
    await stage.advance(1.2)
    assert stage.counter("http.test.downstream_cx_idle_timeout") == 1
    client.sends(GET)
    assert b"connection: close\r\n" in client.received()
    await stage.advance(2.1)
    assert not client.closing
    client.sends(GET)
    assert client.received() == b""
    await stage.advance(1.0)
    assert client.lost
    await stage.leaves_nothing()


@pytest.mark.parametrize("busy", [True, False])
async def test_an_old_connection_ends(loop: ManualLoop, busy: bool) -> None:
    stage = Stage(loop, hcm(max_connection_duration=3.0, drain_timeout=1.0))
    client = stage.client()
    if busy:
        client.sends(GET)
        upstream = await stage.upstream()
    await stage.advance(5.4)
    assert client.lost is not busy
    if busy:
        upstream.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert b"connection: close\r\n" in client.received()
    await stage.settle()
    assert client.lost
    assert stage.counter("http.test.downstream_cx_max_duration_reached") == 1
    await stage.leaves_nothing()


async def test_so_many_requests_a_connection(loop: ManualLoop) -> None:
    stage = Stage(loop, direct(max_requests_per_connection=2))
    client = stage.client()
    client.sends(GET * 3)
    assert client.received().count(b"HTTP/1.1 200 ") == 2
    await stage.settle()
    assert client.lost
    await stage.leaves_nothing()
