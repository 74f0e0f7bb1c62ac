"""One listener: whom it gives a connection to, and how it starts."""

from __future__ import annotations

import asyncio
from typing import Any

from sidecar.codec.h1_server import ServerConnection
from sidecar.config.model import FilterChain, FilterChainMatch
from tests.harness.listeners import Setting, http, listener, says
from tests.harness.ports import free_port


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


async def test_nobody_is_served_where_no_chain_matches(setting: Setting) -> None:
    chain = FilterChain("tls", FilterChainMatch(transport="tls"), http())
    setting.manager.set_listener(listener(http(), chains=(chain,)))
    wire = setting.accept()
    await setting.stage.settle()
    assert wire.lost
    assert setting.stage.counter("listener.127.0.0.1_8080.no_filter_chain_match") == 1
