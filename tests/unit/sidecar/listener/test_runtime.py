"""One listener: whom it gives a connection to, and how it starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecar.codec.h1_server import ServerConnection
from sidecar.config.listener_model import SYSTEM_BACKLOG
from sidecar.config.model import FilterChain, FilterChainMatch
from tests.harness.listeners import Setting, http, listener, says
from tests.harness.ports import free_port
from tests.harness.sockets import SYSTEM_MOST, backlog


async def test_a_simple_listener_has_no_detour(setting: Setting) -> None:
    setting.manager.set_listener(listener(http()))
    wire = setting.accept()
    assert isinstance(wire.protocol, ServerConnection)
    assert says(wire) == b"one"
    assert not wire.closing


async def test_a_listener_that_goes_while_it_starts_does_not_serve(setting: Setting) -> None:
    class Server:
        closed = False

        def close(self) -> None:
            self.closed = True

    server, proceed = Server(), asyncio.Event()

    async def create_server(_accept: Any, **_more: Any) -> Server:
        await proceed.wait()
        return server

    setting.loop.create_server = create_server  # type: ignore[attr-defined]
    setting.manager.set_listener(listener(http(), port=free_port(), bind_to_port=True))
    [runtime] = setting.started
    task = asyncio.get_running_loop().create_task(runtime.serve_forever())
    await asyncio.sleep(0)
    setting.manager.remove_listener("http")
    proceed.set()
    await task
    assert server.closed


@pytest.mark.fault(25)
@pytest.mark.parametrize(("configured", "wanted"), [(SYSTEM_BACKLOG, SYSTEM_MOST), (7, 7)])
@pytest.mark.parametrize("again", [False, True], ids=["at first", "after a pause"])
async def test_so_many_may_wait_to_be_accepted(setting: Setting, configured: int, wanted: int, again: bool) -> None:
    setting.loop.create_server = asyncio.get_running_loop().create_server  # type: ignore[attr-defined]
    config = listener(http(), port=free_port(), bind_to_port=True, backlog=configured)
    setting.manager.set_listener(config)
    [runtime] = setting.started
    await runtime.serve_forever()
    if again:
        runtime.pause()
        runtime.resume()
        await runtime.serve_forever()
    [server] = runtime._servers
    assert backlog(server.sockets[0]) == wanted
    setting.manager.remove_listener("http")


async def test_nobody_is_served_where_no_chain_matches(setting: Setting) -> None:
    chain = FilterChain("tls", FilterChainMatch(transport="tls"), http())
    setting.manager.set_listener(listener(http(), chains=(chain,)))
    wire = setting.accept()
    await setting.stage.settle()
    assert wire.lost
    assert setting.stage.counter("listener.127.0.0.1_8080.no_filter_chain_match") == 1
