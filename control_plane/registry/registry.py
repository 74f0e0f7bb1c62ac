"""The rim of the registry: gives `lifecycle` its time, and keeps on disk what it says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from control_plane.registry.lifecycle import Grace, Lifecycle, News
from control_plane.registry.workload import Workload, decode, encode, problem_of
from control_plane.sources.source import Source, SourceError
from mesh.clock import Clock
from mesh.node import Node
from mesh.tasks import TaskOwner

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
LATE_SECONDS: Final = 0.05  # more than a loop that is not busy ever is


class Registry:
    """Told by the xDS server who is there."""

    def __init__(self, source: Source, grace: Grace, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._endpoints_changed: Callable[[], None] | None = None
        self._lifecycle = Lifecycle(grace, clock)
        self._timer: asyncio.TimerHandle | None = None
        self._unsaved = News({}, set(), False)
        self._saving: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._tasks = TaskOwner("registry")

    def listen(self, endpoints_changed: Callable[[], None]) -> None:
        """Who is called, on the event loop, when what others should do has changed."""
        self._endpoints_changed = endpoints_changed

    async def start(self) -> None:
        """Brings back the workloads of the process before."""
        restored = []
        for key, data in (await self._source.registrations()).items():
            try:
                restored.append(decode(data))
            except (KeyError, TypeError, ValueError) as error:
                log.error("the registration of %s cannot be read and is left out: %r", key, error)
        self._lifecycle.restore(restored)
        if restored:
            log.info("%d workloads are kept from before, until they connect again", len(restored))
        self._settle()

    async def close(self) -> None:
        """Nothing expires any more; what is not on disk yet is written."""
        if self._timer is not None:
            self._timer.cancel()
        self._closing.set()
        if self._saving is not None:
            await self._saving
        await self._tasks.close()

    def connected(self, node: Node) -> None:
        """A stream of `node` has begun, its first or a further one."""
        if node.address and (problem := problem_of(node)):
            log.warning("%s serves nobody: %s", node.id, problem)
        self._lifecycle.connected(_served(node))
        self._settle()

    def disconnected(self, node: Node) -> None:
        """A stream of `node` has ended, and not because we are going."""
        self._lifecycle.disconnected(_served(node))
        self._settle()

    def reported(self, node: Node, problem: str) -> None:
        """A stream of `node` says how its app is."""
        self._lifecycle.reported(_served(node), problem)
        self._settle()

    def workloads(self) -> list[Workload]:
        return self._lifecycle.workloads()

    def _due(self, due: float) -> None:
        """While the loop was busy nobody's return could be seen: that time is not counted against the lost."""
        late = self._clock.monotonic() - due
        if late > LATE_SECONDS:
            self._lifecycle.forgive(late)
        self._settle()

    def _settle(self) -> None:
        """Does what is due, tells who has to know, and sets the timer for what is next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._lifecycle.tick()
        if due is not None:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due, due)
        news = self._lifecycle.take()
        if not news:
            return
        self._log(news)
        self._unsaved.merge(news)
        if self._saving is None or self._saving.done():
            self._saving = self._tasks.start(self._save_all(), "save")
        if news.endpoints and self._endpoints_changed is not None:
            self._endpoints_changed()

    def _log(self, news: News) -> None:
        for workload in news.saved.values():
            state = "healthy" if workload.healthy else "draining" if workload.draining else "unhealthy"
            log.info(
                "workload %s is %s%s", workload.node.id, state, f": {workload.problem}" if workload.problem else ""
            )
        for node_id in news.removed:
            log.info("workload %s is gone", node_id)

    async def _save_all(self) -> None:
        """Whatever gathers while one write is under way is the next one."""
        while self._unsaved:
            if await self._save():
                continue
            if self._closing.is_set():
                return
            try:
                async with asyncio.timeout(RETRY_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                continue

    async def _save(self) -> bool:
        news, self._unsaved = self._unsaved, News({}, set(), False)
        try:
            await self._source.save_registrations({k: encode(w) for k, w in news.saved.items()}, news.removed)
        except SourceError as error:
            log.error("registrations are not on disk: %s", error)
            news.merge(self._unsaved)
            self._unsaved = news
            return False
        return True


def _served(node: Node) -> Node:
    """The node without what others cannot be sent to."""
    return replace(node, service="", labels={}, ports=()) if node.address and problem_of(node) else node
