"""`dir:///path`: a folder of YAML and JSON files, watched. The files are the truth.

A change of a file takes effect by itself. A file with errors is reported, and what it last asked for stays. What changes
through the API is written into the folder, where git sees it; a folder that cannot be written refuses the API's changes.

Everything that a folder cannot remember (revisions, history, workloads) is in a hidden folder within, `.mesh`, which git
is told to ignore; where that cannot be, it lives as long as the process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from control_plane.sources import intent
from control_plane.sources.database import MEMORY
from control_plane.sources.database_file import FOLDER_MODE
from control_plane.sources.edit import edit
from control_plane.sources.folder import Folder
from control_plane.sources.source import (
    Change,
    Commit,
    Document,
    Event,
    Listener,
    RefusedError,
    Selection,
    SourceError,
    Stored,
    plan,
)
from control_plane.sources.sqlite import SqliteSource, Wanted
from mesh.clock import Clock
from mesh.errors import Problem
from mesh.istio.resource import Key, Resource
from mesh.tasks import TaskOwner

log = logging.getLogger(__name__)

STATE: Final = ".mesh"
QUIET_MILLISECONDS: Final = 100  # an editor writes a file in several steps
LONGEST_MILLISECONDS: Final = 1600
LOOK_MILLISECONDS: Final = 5000
_NOT_OURS: Final = frozenset((STATE, ".git"))


class DirectorySource:
    """The folder, and a `SqliteSource` that follows it and remembers."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self._root = root
        self._clock = clock
        self._folder = Folder(root)
        self._memory = SqliteSource(MEMORY, clock)
        self._problems: tuple[Problem, ...] = ()
        self._one_at_a_time = asyncio.Lock()
        self._tasks = TaskOwner("config-folder")

    @property
    def url(self) -> str:
        return f"dir://{self._root}"

    @property
    def revision(self) -> int:
        return self._memory.revision

    async def open(self) -> None:
        if not self._root.is_dir():
            raise SourceError(f"{self._root} is no folder; make it, or name another one with --store dir:///PATH")
        self._memory = SqliteSource(self._state_file(), self._clock)
        await self._memory.open()
        try:
            await asyncio.to_thread(intent.finish, self._root, self._root / STATE)
            await self._follow()
        except OSError as error:
            await self._memory.close()
            raise SourceError(f"{self._root} cannot be read: {error.strerror}") from error
        self._tasks.start(self._watch(), "watch")

    async def close(self) -> None:
        await self._tasks.close()
        await self._memory.close()

    def listen(self, listener: Listener) -> None:
        self._memory.listen(listener)

    async def current(self) -> list[Stored]:
        return await self._memory.current()

    async def apply(self, changes: Sequence[Change]) -> Commit:
        """Writes the files, all or none, and follows them. RefusedError when that cannot be."""
        # A client that goes away before the first file is written has changed nothing, later everything.
        wanted = Wanted()
        try:
            return await asyncio.shield(self._tasks.start(self._apply(changes, wanted), "apply"))
        except asyncio.CancelledError:
            wanted.no_more = True
            raise

    async def _apply(self, changes: Sequence[Change], wanted: Wanted) -> Commit:
        async with self._one_at_a_time:
            try:
                await self._follow()  # what somebody else has just written counts
                stored = {each.key: each for each in await self._memory.current()}
                planned = [change for _, change in plan({k: each.document for k, each in stored.items()}, changes)]
                places = {key: each.file for key, each in stored.items()}
                texts = await asyncio.to_thread(edit, planned, places, self._text)
                if wanted.no_more:
                    return Commit(self.revision)
                await asyncio.to_thread(intent.write, self._root, self._root / STATE, texts)
                return await self._follow({change.key: change for change in planned})
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                message = f"cannot be changed ({reason}); change its files where they come from"
                raise RefusedError(Problem(message, file=str(self._root))) from error

    async def history(self, selection: Selection, limit: int, since: int = 0) -> list[Event]:
        return await self._memory.history(selection, limit, since)

    async def changes(self, since: int, limit: int, after: int = 0) -> list[Event]:
        return await self._memory.changes(since, limit, after)

    async def at(self, revision: int) -> list[Stored]:
        return await self._memory.at(revision)

    def problems(self) -> Sequence[Problem]:
        return (*self._problems, *self._memory.problems())

    async def registrations(self) -> dict[str, Document]:
        return await self._memory.registrations()

    async def save_registrations(self, saved: Mapping[str, Document], removed: Iterable[str]) -> None:
        await self._memory.save_registrations(saved, removed)

    # ── from the folder ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self) -> None:
        """Looks whenever something moves, and from time to time: not every file system tells."""
        try:
            await self._look_when_told(polling=False)
        except (OSError, RuntimeError) as error:  # RuntimeError: watchfiles' own, such as no more inotify watches
            log.warning("%s cannot be watched (%s): looking at it all the time instead", self._root, error)
            await self._look_when_told(polling=True)

    async def _look_when_told(self, polling: bool) -> None:
        from watchfiles import awatch

        async for _ in awatch(
            self._root,
            watch_filter=_concerns_us,
            debounce=LONGEST_MILLISECONDS,
            step=QUIET_MILLISECONDS,
            rust_timeout=LOOK_MILLISECONDS,
            yield_on_timeout=True,
            force_polling=polling or None,
        ):
            async with self._one_at_a_time:
                try:
                    await self._follow()
                except OSError as error:
                    problem = Problem(f"cannot be read, what it held stays: {error.strerror}", file=str(self._root))
                    self._report((problem,))
                except SourceError as error:
                    log.error("changes in %s are not in effect: %s", self._root, error)

    async def _follow(self, hints: Mapping[Key, Change] | None = None) -> Commit:
        """Makes the memory what the folder asks for; `hints` are changes that have just been written there."""
        wish = await asyncio.to_thread(self._folder.read)
        stored = {each.key: each for each in await self._memory.current()}
        changes = [
            _change(resource, (hints or {}).get(key))
            for key, resource in wish.resources.items()
            if key not in stored or (stored[key].document, stored[key].file) != (resource.document, resource.file)
        ]
        changes += [
            Change(key, None)
            for key, each in stored.items()
            if key not in wish.resources and each.file not in wish.broken
        ]
        order = {key: index for index, key in enumerate(hints or {})}
        changes.sort(key=lambda change: order.get(change.key, len(order)))
        commit = await self._memory.apply(changes) if changes else Commit(self.revision)
        self._report(wish.problems)  # last: a file is mended once what it asks for is in effect
        return commit

    def _report(self, problems: tuple[Problem, ...]) -> None:
        for problem in problems:
            if problem not in self._problems:
                log.error("not in effect: %s", problem)
        mended = {problem.file for problem in self._problems} - {problem.file for problem in problems}
        for file in sorted(mended):
            log.info("%s has no errors any more", file)
        self._problems = problems

    def _state_file(self) -> str:
        """Where the memory is; in the process when the folder cannot be written."""
        state = self._root / STATE
        try:
            state.mkdir(mode=FOLDER_MODE, exist_ok=True)
            (state / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            log.warning("%s: %s: history and workloads are forgotten with this process", state, error.strerror)
            return MEMORY
        return str(state / "state.db")

    # ── into the folder ───────────────────────────────────────────────────────────────────────────────────────────────

    def _text(self, name: str) -> str | None:
        return intent.text_of(self._root / name)


def _change(resource: Resource, hint: Change | None) -> Change:
    created = hint.created if hint else None
    return Change(resource.key, resource.document, created, resource, resource.file)


def _concerns_us(_change: object, path: str) -> bool:
    return not _NOT_OURS.intersection(Path(path).parts)
