"""A real store for tests of experiments, in memory or in a file that outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import yaml

from control_plane.sources.database import MEMORY
from control_plane.sources.source import Commit
from control_plane.sources.sqlite import SqliteSource
from control_plane.store.store import ConfigStore
from control_plane.store.texts import File
from control_plane.world import MeshConfig, World
from mesh.clock import Clock, SystemClock


class Quiet:
    """What the store tells of itself, and nobody listens."""

    def changed(self, commit: Commit) -> None: ...
    def endpoints_changed(self) -> None: ...
    def debounced(self, seconds: float) -> None: ...
    def published(self, world: World, seconds: float) -> None: ...


@asynccontextmanager
async def opened(path: str = MEMORY, clock: Clock | None = None) -> AsyncIterator[ConfigStore]:
    source = SqliteSource(path)
    await source.open()
    store = ConfigStore(source, lambda: (), lambda world, since: None, Quiet(), MeshConfig(), clock or SystemClock())
    await store.start()
    try:
        yield store
    finally:
        store.stop()
        await source.close()


async def apply(store: ConfigStore, *documents: dict[str, Any]) -> None:
    await store.apply([File("test.yaml", yaml.safe_dump_all(documents))])


async def until(there: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not there():  # noqa: ASYNC110 - looks are a matter of time
            await asyncio.sleep(0.01)
