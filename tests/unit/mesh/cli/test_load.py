"""The load generator counts what it got, and never has more than its share open."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from mesh.cli.load import MOST_IN_FLIGHT, Generator


async def test_counts_statuses_versions_and_failures() -> None:
    answers = iter(
        [
            web.Response(text='<section data-reviews-version="v2">'),
            web.Response(text='<section data-reviews-version="none">'),
            web.Response(status=503),
        ]
    )
    stop = asyncio.Event()

    async def page(request: web.Request) -> web.Response:
        answer = next(answers, None)
        if answer is None:
            stop.set()
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return answer

    app = web.Application()
    app.router.add_get("/", page)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        generator = Generator(str(server.make_url("/")), 500, session)
        await generator.run(stop)
    report = generator.report()
    assert report["statuses"]["200"] == 2
    assert report["statuses"]["503"] == 1
    assert sum(report["statuses"].values()) == len(report["milliseconds"])
    assert len(report["statuses"]) == 3  # and the connection that was closed
    assert report["versions"] == {"v2": 1, "none": 1}
    assert generator.report()["milliseconds"] == []


async def test_is_bounded_when_nobody_answers() -> None:
    stop, release = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def page(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == MOST_IN_FLIGHT:
            asyncio.get_running_loop().call_later(0.05, stop.set)
            asyncio.get_running_loop().call_later(0.06, release.set)
        await release.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", page)
    connector = aiohttp.TCPConnector(limit=0)
    async with TestServer(app) as server, aiohttp.ClientSession(connector=connector) as session:
        generator = Generator(str(server.make_url("/")), 5000, session)
        await generator.run(stop)
    assert waiting == MOST_IN_FLIGHT
    report = generator.report()
    assert report["skipped"] > 0
    assert report["statuses"] == {"200": MOST_IN_FLIGHT}
