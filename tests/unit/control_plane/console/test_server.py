"""The HTTP API's listening socket."""

from __future__ import annotations

import pytest
from aiohttp import web

from control_plane.console.server import HttpServer
from tests.harness.sockets import SYSTEM_MOST, backlogs


@pytest.mark.fault(25)
async def test_as_many_may_wait_to_be_accepted_as_the_system_allows() -> None:
    server = HttpServer(web.Application(), "127.0.0.1", 0)
    await server.start()
    assert backlogs(server._runner) == [SYSTEM_MOST]
    await server.stop()
