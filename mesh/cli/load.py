"""A load generator: asks for a page at a fixed rate, and reports a JSON line every half second.

Runs as a process of its own (`python -m mesh.cli.load URL RATE`): measuring and drawing do not disturb each other.
Open loop: a slow answer does not slow the questions down; but no more than `MOST_IN_FLIGHT` are open at once, and what
would have been one more is counted as skipped. Ends on SIGTERM, after the open ones have ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections import Counter
from typing import Any

import aiohttp

from mesh.tasks import TaskOwner

MOST_IN_FLIGHT = 64
REPORT_SECONDS = 0.5
REQUEST_SECONDS = 15.0
VERSION = re.compile(rb'data-reviews-version="([\w.-]+)"')
FALLBACK = "none"  # the page's word for reviews that could not be had


class Generator:
    """Counts since the last `report()`."""

    def __init__(self, url: str, rate: float, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._interval = 1 / rate
        self._session = session
        self._tasks = TaskOwner("load")
        self._open = 0
        self._idle = asyncio.Event()
        self._clear()

    def _clear(self) -> None:
        self._milliseconds: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._versions: Counter[str] = Counter()
        self._skipped = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until `stop`, then waits for what is under way."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stop.is_set():
            if self._open < MOST_IN_FLIGHT:
                self._open += 1
                self._tasks.start(self._request(), "request")
            else:
                self._skipped += 1
            due = max(due + self._interval, loop.time() - 1.0)  # at most a second is caught up with
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
        while self._open:
            self._idle.clear()
            await self._idle.wait()

    async def _request(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._session.get(self._url) as response:
                body = await response.read()
                self._statuses[str(response.status)] += 1
                if found := VERSION.search(body):
                    self._versions[found[1].decode()] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self._statuses[type(error).__name__] += 1
        finally:
            self._milliseconds.append(round((loop.time() - began) * 1000, 2))
            self._open -= 1
            self._idle.set()

    def report(self) -> dict[str, Any]:
        report = {
            "milliseconds": self._milliseconds,
            "statuses": dict(self._statuses),
            "versions": dict(self._versions),
            "skipped": self._skipped,
        }
        self._clear()
        return report


async def main(url: str, rate: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connector = aiohttp.TCPConnector(limit=MOST_IN_FLIGHT)
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        generator = Generator(url, rate, session)
        async with asyncio.TaskGroup() as group:
            printing = group.create_task(_print_reports(generator))
            await generator.run(stop)
            printing.cancel()
        _print(generator)


async def _print_reports(generator: Generator) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        _print(generator)


def _print(generator: Generator) -> None:
    print(json.dumps(generator.report()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
