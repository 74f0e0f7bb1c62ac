"""`sqlite:///path`: a file of one's own. Durable: what was answered is on disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from control_plane.sources.database import MEMORY, Database
from control_plane.sources.source import Change, Commit, Document, Event, Listener, Selection, SourceError, Stored
from mesh.clock import Clock, SystemClock
from mesh.errors import Problem
from mesh.tasks import TaskOwner

T = TypeVar("T")


class SqliteSource:
    """Every statement runs in one thread, so one after the other. `path` may be `MEMORY`: gone with the process."""

    def __init__(self, path: str, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._thread = ThreadPoolExecutor(1, "config-store")
        self._tasks = TaskOwner("config-store")
        self._listeners: list[Listener] = []
        self._database: Database | None = None
        self._revision = 0

    @property
    def url(self) -> str:
        return f"sqlite://{self._path}"

    @property
    def revision(self) -> int:
        return self._revision

    async def open(self) -> None:
        if self._path != MEMORY:
            try:
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SourceError(f"{self._path}: its folder cannot be made: {error.strerror}") from error
        loop = asyncio.get_running_loop()
        self._database = await loop.run_in_executor(self._thread, Database, self._path)
        self._revision = await self._do(self._database.revision)

    async def close(self) -> None:
        """Waits for what is being written."""
        if self._database is not None:
            await self._do(self._database.close)
            self._database = None
        self._thread.shutdown()
        await self._tasks.close()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def current(self) -> list[Stored]:
        return await self._do(self._opened.current)

    async def apply(self, changes: Sequence[Change]) -> Commit:
        # A client that goes away must not leave a commit behind that nobody was told about.
        return await asyncio.shield(self._tasks.start(self._apply(changes), "apply"))

    async def _apply(self, changes: Sequence[Change]) -> Commit:
        commit = await self._do(lambda: self._opened.apply(changes, self._clock.wall()))
        self._revision = commit.revision
        if commit.events:
            for listener in self._listeners:
                listener(commit)
        return commit

    async def history(self, selection: Selection, limit: int, since: int = 0) -> list[Event]:
        return await self._do(lambda: self._opened.history(selection, limit, since))

    async def changes(self, since: int, limit: int) -> list[Event]:
        return await self._do(lambda: self._opened.changes(since, limit))

    async def at(self, revision: int) -> list[Stored]:
        return await self._do(lambda: self._opened.at(revision))

    def problems(self) -> Sequence[Problem]:
        return ()

    async def registrations(self) -> dict[str, Document]:
        return await self._do(self._opened.registrations)

    async def save_registrations(self, saved: Mapping[str, Document], removed: Iterable[str]) -> None:
        gone = list(removed)
        await self._do(lambda: self._opened.save_registrations(saved, gone))

    @property
    def _opened(self) -> Database:
        if self._database is None:
            raise SourceError(f"{self.url} is not open")
        return self._database

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: {error}") from error
