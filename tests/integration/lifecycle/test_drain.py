"""Draining with real processes: what an admin or a signal asks for, on the real Envoy and on ours."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.upstream import Upstream
from tests.integration.lifecycle.proxy import GET, Proxy

GONE = "downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)"

both = pytest.mark.parametrize("kind", ["envoy", "ours"])


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(free_port()) as running:
        yield running


async def closes(client: Client) -> bool:
    """Whether the answer to a request announces the connection's end."""
    await client.send(GET)
    answer = await client.response()
    assert answer is not None
    assert answer.body == b"hi"
    return answer.closes


async def accepts(port: int) -> bool:
    try:
        async with Client(port):
            return True
    except ConnectionRefusedError:
        return False


async def until_refused(port: int, seconds: float = 3.0) -> float:
    """How long a port still accepted connections; Envoy's workers hear of it a little later."""
    began = time.monotonic()
    while await accepts(port):
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@both
async def test_at_once_means_that_nobody_else_is_accepted(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    flags = ("--drain-strategy", "immediate")
    async with Proxy(kind, tmp_path, upstream.port, *flags) as proxy, Client(proxy.http) as client:
        assert not await closes(client)
        assert await proxy.post("/drain_listeners") == "OK\n"
        assert max(await until_refused(proxy.http), await until_refused(proxy.tcp)) < 0.5
        assert await closes(client)
        assert await proxy.get("/ready") == "LIVE\n"
        assert await proxy.get("/listeners") == f"http::127.0.0.1:{proxy.http}\ntcp::127.0.0.1:{proxy.tcp}\n"
        assert await proxy.stat("listener_manager.listener_stopped") == 2
        assert await proxy.stat("http.in.downstream_cx_drain_close") == 1


@both
async def test_gracefully_means_that_it_accepts_until_the_drain_time_is_over(
    kind: str, tmp_path: Path, upstream: Upstream
) -> None:
    flags = ("--drain-time-s", "1", "--drain-strategy", "immediate")
    async with Proxy(kind, tmp_path, upstream.port, *flags) as proxy, Client(proxy.http) as client:
        assert not await closes(client)
        await proxy.post("/drain_listeners?graceful")
        assert await closes(client)
        assert 0.7 < await until_refused(proxy.http) < 2.0
        assert await client.end(0.1) == "open"


@both
async def test_skip_exit_means_that_it_goes_on_accepting(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    flags = ("--drain-time-s", "0")
    async with Proxy(kind, tmp_path, upstream.port, *flags) as proxy:
        await proxy.post("/drain_listeners?graceful&skip_exit")
        await asyncio.sleep(0.2)
        async with Client(proxy.http) as client:
            assert await closes(client)


@both
async def test_inboundonly_means_the_listeners_of_that_direction(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    async with Proxy(kind, tmp_path, upstream.port) as proxy:
        await proxy.post("/drain_listeners?inboundonly")
        assert await until_refused(proxy.http) < 0.5
        assert await accepts(proxy.tcp)


@both
async def test_quitting_cuts_everything_and_tells_the_log(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    proxy = Proxy(kind, tmp_path, upstream.port)
    async with proxy, Client(proxy.http) as busy, Client(proxy.http) as idle:
        assert not await closes(idle)
        await busy.send(GET.replace(b"/local", b"/delay/5"))
        await upstream.wait_for_requests(1)
        await proxy.post("/quitquitquit")
        assert (await busy.end(), await idle.end()) == ("fin", "fin")
        assert await asyncio.to_thread(proxy.process.wait) == 0
        assert await proxy.lines(2) == ["HTTP/1.1 200 - direct_response", f"HTTP/1.1 0 DC {GONE}"]


async def test_sigterm_lets_requests_in_flight_end(tmp_path: Path, upstream: Upstream) -> None:
    proxy = Proxy("ours", tmp_path, upstream.port)
    async with proxy, Client(proxy.http) as busy, Client(proxy.http) as idle:
        assert not await closes(idle)
        await busy.send(GET.replace(b"/local", b"/delay/0.5"))
        await upstream.wait_for_requests(1)
        proxy.process.signal(signal.SIGTERM)
        assert await idle.end() == "fin"
        assert not await accepts(proxy.http)
        answer = await busy.response()
        assert answer is not None
        assert (answer.body, answer.closes) == (b"slow", True)
        assert await asyncio.to_thread(proxy.process.wait, 3.0) == 0


@pytest.mark.parametrize("again", [True, False], ids=["a second one", "the end of its time"])
async def test_sigterm_does_not_wait_for_ever(tmp_path: Path, upstream: Upstream, again: bool) -> None:
    proxy = Proxy("ours", tmp_path, upstream.port, "--termination-drain-s", "60" if again else "1")
    async with proxy, Client(proxy.http) as busy, Client(proxy.tcp) as session:
        await session.send(b"hello")
        await busy.send(GET.replace(b"/local", b"/delay/30"))
        await upstream.wait_for_requests(1)
        proxy.process.signal(signal.SIGTERM)
        assert await busy.end(0.3) == "open"
        if again:
            proxy.process.signal(signal.SIGTERM)
        assert (await busy.end(3.0), await session.end(3.0)) == ("fin", "fin")
        assert await asyncio.to_thread(proxy.process.wait, 3.0) == 0
        assert f"HTTP/1.1 0 DC {GONE}" in await proxy.lines(2)
