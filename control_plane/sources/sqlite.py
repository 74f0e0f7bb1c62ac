"""`sqlite:///path`: a file of one's own. Durable: what was answered is on disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from control_plane.sources.database import Database
from control_plane.sources.database_file import reason_of
from control_plane.sources.source import (
    AbandonedError,
    Change,
    Commit,
    Document,
    Event,
    Listener,
    Selection,
    SourceError,
    Stored,
)
from mesh.clock import Clock, SystemClock
from mesh.errors import Problem
from mesh.tasks import TaskOwner

T = TypeVar("T")


class Wanted:
    """Whether somebody still waits for a change; asked in the store's thread right before its commit."""

    def __init__(self) -> None:
        self.no_more = False

    def __call__(self) -> bool:
        return not self.no_more


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
        # A client that goes away before the commit leaves none; one that goes away during it none that nobody was told of.
        wanted = Wanted()
        try:
            return await asyncio.shield(self._tasks.start(self._apply(changes, wanted), "apply"))
        except asyncio.CancelledError:
            wanted.no_more = True
            raise

    async def _apply(self, changes: Sequence[Change], wanted: Wanted) -> Commit:
        try:
            commit = await self._do(lambda: self._opened.apply(changes, self._clock.wall(), wanted))
        except AbandonedError:
            return Commit(self._revision)
        self._revision = commit.revision
        if commit.events:
            for listener in self._listeners:
                listener(commit)
        return commit

    async def history(self, selection: Selection, limit: int, since: int = 0) -> list[Event]:
        return await self._do(lambda: self._opened.history(selection, limit, since))

    async def changes(self, since: int, limit: int, after: int = 0) -> list[Event]:
        return await self._do(lambda: self._opened.changes(since, limit, after))

    async def at(self, revision: int) -> list[Stored]:
        return await self._do(lambda: self._opened.at(revision))

    def problems(self) -> Sequence[Problem]:
        return () if self._database is None else self._database.problems()

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
            raise SourceError(f"{self._path}: {reason_of(error)}") from error
