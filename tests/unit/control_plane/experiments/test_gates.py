"""The webhook of a stage: only its own 200 agrees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mesh.experiments.run import Phase
from tests.unit.control_plane.experiments.test_conductor import Scene, play


@asynccontextmanager
async def gate(status: int) -> AsyncIterator[tuple[str, list[Any]]]:
    """A webhook that answers with `status`; a redirect leads to a page that agrees to everything."""
    asked: list[Any] = []

    async def hook(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response(status=status, headers={"location": "/yes"} if 300 <= status < 400 else {})

    async def agree(request: web.Request) -> web.Response:
        asked.append("followed")
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/hook", hook), web.route("*", "/yes", agree)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [204, 301, 302, 307, 308, 403, 500])
async def test_what_is_no_200_does_not_agree(status: int) -> None:
    async with gate(status) as (url, asked), aiohttp.ClientSession() as session:
        scene = Scene(strategy={"canary": {"steps": [{"weight": 10, "webhook": url}, {"weight": 50, "manual": True}]}})
        scene.conductor._session = session
        await play(scene, lambda: len(asked) > 2 and scene.conductor.next == f"{url} answered {status}")
    assert asked[0] == {"experiment": "e", "namespace": "default", "stage": "10 %"}
    assert "followed" not in asked
    assert (scene.phase, scene.conductor.state and scene.conductor.state.stage) == (Phase.RUNNING, 0)


async def test_a_200_agrees_once_for_its_own_stage() -> None:
    async with gate(200) as (url, asked), aiohttp.ClientSession() as session:
        scene = Scene(strategy={"canary": {"steps": [{"weight": 10, "webhook": url}, {"weight": 50, "manual": True}]}})
        scene.conductor._session = session
        await play(scene, lambda: "50 % until somebody agrees" in scene.conductor.next)
        await asyncio.sleep(0)
    assert len(asked) == 1
