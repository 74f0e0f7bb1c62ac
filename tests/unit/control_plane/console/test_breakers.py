"""The breaker board asks proxies that may answer anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from control_plane.ads.status import ProxyStatus
from control_plane.console.breakers import PROXY_BYTES, Board, understood

CLUSTER = "outbound|9080||ratings.default.svc.cluster.local"
GOOD = {
    "breakers": [{"cluster": CLUSTER, "host": "*", "state": "open", "reason": "3 failures in a row"}],
    "events": [{"at": 1.0, "cluster": CLUSTER, "host": "*", "state": "open", "reason": "3 failures in a row"}],
}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"5",
        b'{"breakers": [{}]}',
        b'{"breakers": 5}',
        b'{"events": [{"cluster": "outbound|1||a"}]}',
        b'{"breakers": [{"cluster": 5}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_of_ours_is_said_to_be_none(body: bytes) -> None:
    assert understood(body) == "answered something else"


def test_an_answer_of_ours_is_understood() -> None:
    assert understood(json.dumps(GOOD).encode()) == GOOD


class Subject:
    """As much of a Plane as the board asks."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self.hub = self
        self._proxies = [
            ProxyStatus("id", name, "default", "", "sidecar", "127.0.0.1", True, 0.0, metrics_port=port)
            for name in paths
        ]

    def proxies(self) -> list[ProxyStatus]:
        return self._proxies


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A proxy that answers in two pieces the first time, then with a redirect, then with too much."""
    answers = iter(("pieces", "redirect", "long"))

    async def breakers(request: web.Request) -> web.StreamResponse:
        kind = next(answers)
        if kind == "redirect":
            raise web.HTTPFound("http://127.0.0.1:1/elsewhere")
        response = web.StreamResponse()
        await response.prepare(request)
        text = json.dumps(GOOD).encode() if kind == "pieces" else b" " * (PROXY_BYTES + 1)
        await response.write(text[:40])
        await asyncio.sleep(0.05)  # so that it is another piece
        await response.write(text[40:])
        return response

    app = web.Application()
    app.add_routes([web.get("/breakers", breakers)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def seen(port: int) -> dict[str, Any]:
    return await Board().seen(Subject(port, ["reviews-v2"]))  # type: ignore[arg-type]


async def test_an_answer_is_read_whole_redirects_are_not_followed_and_too_much_is_not_taken(port: int) -> None:
    found = await seen(port)
    assert [each["state"] for each in found["breakers"]] == ["open"]
    assert found["silent"] == {}
    assert (await seen(port))["silent"] == {"reviews-v2": "answered 302"}
    assert (await seen(port))["silent"] == {"reviews-v2": f"answered more than {PROXY_BYTES} bytes"}
