"""The breaker board: circuit breakers and ejections of all proxies, as JSON, as server-sent events, and as a page.

Proxies are asked only while somebody looks, once a second however many do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Any, Final

import aiohttp
from aiohttp import web

from control_plane.ads.status import ProxyStatus
from control_plane.console.plane import Plane, plane
from mesh.clock import Clock, SystemClock
from mesh.observe.breaker_states import changes, states

FRESH_SECONDS: Final = 1.0
PROXY_SECONDS: Final = 2.0  # a proxy that does not answer by then is shown as silent
PROXY_BYTES: Final = 4 * 1024 * 1024  # of its answer; a longer one is not taken
AT_ONCE: Final = 50
CHANGES_SHOWN: Final = 50


def routes() -> list[web.RouteDef]:
    return [
        web.get("/breakers", page),
        web.get("/api/v1/breakers", breakers),
        web.get("/api/v1/breakers/events", events),
    ]


@dataclass(slots=True)
class Board:
    """What the proxies said last, asked anew when that is older than a second and somebody wants to know."""

    clock: Clock = field(default_factory=SystemClock)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked: float = -FRESH_SECONDS
    _seen: dict[str, Any] = field(default_factory=dict)

    async def seen(self, subject: Plane) -> dict[str, Any]:
        async with self._asking:
            if self.clock.monotonic() - self._asked >= FRESH_SECONDS:
                self._seen = await _ask([proxy for proxy in subject.hub.proxies() if proxy.metrics_port])
                self._asked = self.clock.monotonic()
        return self._seen


async def page(_request: web.Request) -> web.Response:
    """The breaker board, live, for a browser."""
    text = files("control_plane.console").joinpath("breakers.html").read_text(encoding="utf-8")
    return web.Response(text=text, content_type="text/html")


async def breakers(request: web.Request) -> web.Response:
    """Circuit breakers and ejections as all proxies see them, and their last changes."""
    return web.json_response(await request.app[BOARD].seen(plane(request)))


async def events(request: web.Request) -> web.StreamResponse:
    """The same as server-sent events: one each second, until the client leaves."""
    subject, board = plane(request), request.app[BOARD]
    with subject.watchers.place():
        answer = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
        await answer.prepare(request)
        while True:
            text = json.dumps(await board.seen(subject))
            await answer.write(f"data: {text}\n\n".encode())
            await asyncio.sleep(FRESH_SECONDS)


async def _ask(proxies: Sequence[ProxyStatus]) -> dict[str, Any]:
    places = asyncio.Semaphore(AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=PROXY_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:

        async def ask(proxy: ProxyStatus) -> Any:
            async with places:
                return await _breakers_of(session, proxy)

        answers = await asyncio.gather(*(ask(proxy) for proxy in proxies))
    found = {proxy.name: answer for proxy, answer in zip(proxies, answers, strict=True) if isinstance(answer, dict)}
    silent = {proxy.name: answer for proxy, answer in zip(proxies, answers, strict=True) if isinstance(answer, str)}
    return {
        "breakers": [asdict(state) for state in states(found)],
        "changes": [asdict(change) for change in changes(found)[:CHANGES_SHOWN]],
        "silent": silent,
    }


async def _breakers_of(session: aiohttp.ClientSession, proxy: ProxyStatus) -> dict[str, Any] | str:
    """A proxy's answer, or why there is none. A real Envoy has no such page: it has nothing to tell."""
    host = f"[{proxy.address}]" if ":" in proxy.address else proxy.address
    try:
        async with session.get(f"http://{host}:{proxy.metrics_port}/breakers", allow_redirects=False) as response:
            if response.status == 404:
                return {}
            if response.status != 200:
                return f"answered {response.status}"
            body = await _whole(response.content)
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError) as error:
        return str(error) or type(error).__name__
    if body is None:
        return f"answered more than {PROXY_BYTES} bytes"
    return understood(body)


async def _whole(content: aiohttp.StreamReader) -> bytes | None:
    """All of an answer, None for one that is too long."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > PROXY_BYTES:
            return None
    return bytes(body)


def understood(body: bytes) -> dict[str, Any] | str:
    """What a proxy answered, if it is what a proxy of ours answers; a strange one spoils the board for nobody."""
    try:
        found = json.loads(body)
        states({"": found})
        changes({"": found})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "answered something else"
    return found if isinstance(found, dict) else "answered something else"


BOARD: Final = web.AppKey("breaker_board", Board)
