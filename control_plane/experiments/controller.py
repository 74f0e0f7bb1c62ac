"""All experiments of this control plane: begins, follows and ends them as their resources come and go.

What an experiment does to routes and how far it has come are one revision: whenever this process ends, the next one finds
both or neither.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import aiohttp

from control_plane.experiments.collector import ProxyCollector
from control_plane.experiments.conductor import Conductor
from control_plane.experiments.ledger import EXPERIMENT, RUN, Ledger
from control_plane.registry.workload import Workload
from control_plane.store.store import ConfigStore
from mesh.clock import Clock
from mesh.errors import MeshError
from mesh.istio.resource import Key
from mesh.tasks import TaskOwner

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5  # for experiments that came or went without a change being heard


class Experiments:
    """One for the process. `conductors` has one for each experiment that there is, by the key of its resource; one that is
    over has nothing to do any more and stays to be shown, until its resource goes."""

    def __init__(self, store: ConfigStore, workloads: Callable[[], Iterable[Workload]], clock: Clock) -> None:
        self._store = store
        self._workloads = workloads
        self._clock = clock
        self._ledger = Ledger(store)
        self._tasks = TaskOwner("experiments")
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._troubles: dict[Key, str] = {}
        self.conductors: dict[Key, Conductor] = {}

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(trust_env=False)
        self._tasks.start(self._follow(), "follow")

    async def close(self) -> None:
        await self._tasks.close()
        if self._session is not None:
            await self._session.close()

    async def _follow(self) -> None:
        """Keeps a task for each experiment that there is. What one of them meets does not keep it from the others."""
        while True:
            news = self._store.news
            await self._settle()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await news.wait()
            except TimeoutError:
                continue

    async def _settle(self) -> None:
        wanted = {key: resource for key, resource in self._store.accepted.resources.items() if key.kind == EXPERIMENT}
        for key, conductor in list(self.conductors.items()):
            if wanted.get(key) is None or wanted[key].spec != conductor.spec:
                await self._attempt(key, self._end(key))
        for key in [key for key in self._store.accepted.resources if key.kind == RUN]:
            if Key(EXPERIMENT, key.namespace, key.name) not in wanted:
                await self._attempt(key, self._ledger.forget(key, self._clock.wall()))
        for key, resource in wanted.items():
            if key not in self.conductors:
                await self._attempt(key, self._begin(key, resource.spec))

    async def _attempt(self, key: Key, work: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong is said once, in the log and in the experiment's status, and is tried again."""
        try:
            await work
        except Exception as error:
            trouble = str(error) if isinstance(error, MeshError) else f"{type(error).__name__}: {error}"
            if self._troubles.get(key) != trouble:
                self._troubles[key] = trouble
                log.error("%s: %s", key, trouble, exc_info=None if isinstance(error, MeshError) else error)
            if key in self.conductors:
                self.conductors[key].next = trouble
        else:
            self._troubles.pop(key, None)

    async def _begin(self, key: Key, spec: object) -> None:
        assert self._session is not None  # noqa: S101
        collector = ProxyCollector(self._session, self._workloads)
        conductor = Conductor(key, spec, self._ledger, collector, self._session, self._clock)  # type: ignore[arg-type]
        self.conductors[key] = conductor
        self._running[key] = self._tasks.start(conductor.run(), key.name)

    async def _end(self, key: Key) -> None:
        del self.conductors[key]
        task = self._running.pop(key)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
