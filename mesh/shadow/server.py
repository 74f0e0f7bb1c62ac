"""The comparer: takes requests, answers at once, and asks baseline and candidate for itself. Bounded in all it holds."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from mesh.experiments.answers import REPORT_PATH
from mesh.shadow.compare import MOST_BODY, Answer, Comparison
from mesh.tasks import TaskOwner

log = logging.getLogger(__name__)

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS"))
HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "host",
    )
)
ASK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Shadowing:
    """`most` requests are compared, `at_once` of them at a time; what comes beyond is counted and left."""

    baseline: str
    candidate: str
    most: int = 10_000
    at_once: int = 32
    any_method: bool = False


class Comparer:
    """`app` is its HTTP server. The request's own sender is answered 202 before anybody is asked."""

    def __init__(self, shadowing: Shadowing, comparison: Comparison, session: aiohttp.ClientSession) -> None:
        self._shadowing = shadowing
        self._session = session
        self._tasks = TaskOwner("shadow")
        self._open = 0
        self._ended = asyncio.Event()
        self.comparison = comparison
        self.taken = self.skipped = self.failed = 0
        self.app = web.Application(client_max_size=MOST_BODY)
        self.app.router.add_get(REPORT_PATH, self._report)
        self.app.router.add_route("*", "/{path:.*}", self._take)

    async def close(self) -> None:
        """Waits for what is being compared; each question has its time-out."""
        while self._open:
            self._ended.clear()
            await self._ended.wait()
        await self._tasks.close()

    async def _report(self, request: web.Request) -> web.Response:
        return web.json_response(self.report())

    def report(self) -> dict[str, Any]:
        """What has been found so far."""
        found, comparison = self.comparison.differences(), self.comparison
        rows = [
            {"field": each.name, "differed": each.differed, "noise": each.noise, "examples": each.examples}
            for each in found
        ]
        return {"compared": comparison.compared, "differences": rows, "noisy": comparison.noisy()}

    async def _take(self, request: web.Request) -> web.Response:
        shadowing = self._shadowing
        usable = shadowing.any_method or request.method in IDEMPOTENT
        if not usable or self.taken >= shadowing.most or self._open >= shadowing.at_once:
            self.skipped += 1
            return web.Response(status=202, text="not compared\n")
        self.taken += 1
        self._open += 1
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        self._tasks.start(self._compare(request.method, request.path_qs, headers, body), "compare")
        return web.Response(status=202, text="is compared\n")

    async def _compare(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            baseline, candidate = self._shadowing.baseline, self._shadowing.candidate
            asked = [self._ask(origin, method, path, headers, body) for origin in (baseline, baseline, candidate)]
            answers = await asyncio.gather(*asked)
            self.comparison.add(*answers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.failed += 1
            log.warning("%s %s was not compared: %s", method, path, error)
        finally:
            self._open -= 1
            self._ended.set()

    async def _ask(self, origin: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        url = origin.rstrip("/") + path
        async with self._session.request(
            method, url, headers=headers, data=body or None, timeout=timeout, allow_redirects=False
        ) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, found, await answer.read())
