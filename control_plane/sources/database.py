"""The tables of a config store in SQLite, and every statement on them. Synchronous: `sqlite.py` runs it in a thread."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from control_plane.sources.database_file import DatabaseFile, Presence, reason_of
from control_plane.sources.source import (
    AbandonedError,
    Action,
    Change,
    Commit,
    Document,
    Event,
    Selection,
    SourceError,
    Stored,
    plan,
)
from mesh.errors import Problem
from mesh.istio.resource import Key

log = logging.getLogger(__name__)

MEMORY: Final = ":memory:"
VERSION: Final = 1
BUSY_SECONDS: Final = 2.0

_SCHEMA: Final = """
CREATE TABLE resources (
  kind TEXT, namespace TEXT, name TEXT, document TEXT NOT NULL, created REAL NOT NULL, revision INTEGER NOT NULL,
  file TEXT NOT NULL, PRIMARY KEY (kind, namespace, name)) WITHOUT ROWID;
CREATE TABLE history (
  id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, time REAL NOT NULL, action TEXT NOT NULL,
  kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, document TEXT, created REAL NOT NULL);
CREATE INDEX history_by_revision ON history (revision);
CREATE INDEX history_by_resource ON history (kind, namespace, name, revision);
CREATE TABLE registrations (id TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
"""
_RESOURCE: Final = "kind, namespace, name, document, created, revision, file"
_EVENT: Final = "revision, time, action, kind, namespace, name, document, created"


def wanted_always() -> bool:
    return True


class Database:
    """One connection, with the file to itself. Raises SourceError when the file cannot be used. `damaged` are the
    resources whose row cannot be read, with the reason."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = None if path == MEMORY else DatabaseFile(path)
        self.damaged: dict[Key, str] = {}
        self._open()

    def _open(self) -> None:
        if self._file is not None:
            self._file.prepare()
        try:
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: {reason_of(error)}") from error
        try:
            self._prepare()
            if self._file is not None:
                self._file.make_private()
        except sqlite3.Error as error:
            self._connection.close()
            raise SourceError(f"{self._path}: {reason_of(error)}") from error
        except SourceError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        # Two control planes on one file would each miss the other's changes: the second is refused.
        self._run("PRAGMA locking_mode = EXCLUSIVE")
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        with self._transaction():
            version = self._run("PRAGMA user_version").fetchone()[0]
            tables = self._run("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            if version == 0 and tables == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._run(statement)
                self._run(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise SourceError(f"{self._path}: is not a config store of version {VERSION}, but of {version}")

    def close(self) -> None:
        self._connection.close()

    # ── resources ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def revision(self) -> int:
        return int(self._run("SELECT COALESCE(MAX(revision), 0) FROM history").fetchone()[0])

    def current(self) -> list[Stored]:
        self.damaged.clear()
        return [stored for row in self._run(f"SELECT {_RESOURCE} FROM resources") if (stored := self._stored(row))]

    def problems(self) -> list[Problem]:
        """The rows that cannot be read, and are therefore not in effect."""
        damaged = self.damaged.copy().items()
        return [Problem(f"{key} is stored but cannot be read: {reason}; apply it again") for key, reason in damaged]

    def apply(self, changes: Sequence[Change], time: float, wanted: Callable[[], bool] = wanted_always) -> Commit:
        """One transaction; `time` is the Unix time of the commit. AbandonedError, and nothing has happened, when it is not
        `wanted` any more right before the commit."""
        self._recover()
        with self._transaction():
            commit = self._apply(changes, time)
            if not wanted():
                raise AbandonedError("nobody waits for this change any more")
        for event in commit.events:
            self.damaged.pop(event.key, None)
        return commit

    def _apply(self, changes: Sequence[Change], time: float) -> Commit:
        before = {stored.key: stored for change in changes if (stored := self._get(change.key))}
        revision = self.revision() + 1
        events: dict[Key, Event] = {}
        for action, change in plan({key: stored.document for key, stored in before.items()}, changes):
            known = before.get(change.key)
            created = change.created
            if created is None:
                created = known.created if known else time
            events[change.key] = Event(revision, time, action, change.key, change.document, created, change.resource)
        rows = {change.key: _encoded(change.document) for change in changes if change.document is not None}
        self._record(events.values(), rows)
        self._delete(change.key for change in changes if change.document is None)
        self._put((change for change in changes if change.document is not None), rows, events, before)
        return Commit(revision if events else revision - 1, tuple(events.values()))

    def _record(self, events: Iterable[Event], rows: Mapping[Key, str]) -> None:
        statement = f"INSERT INTO history ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        self._run_many(statement, ((e.revision, e.time, e.action, *e.key, rows.get(e.key), e.created) for e in events))

    def _delete(self, keys: Iterable[Key]) -> None:
        self._run_many("DELETE FROM resources WHERE kind = ? AND namespace = ? AND name = ?", keys)

    def _put(
        self,
        changes: Iterable[Change],
        rows: Mapping[Key, str],
        events: Mapping[Key, Event],
        before: Mapping[Key, Stored],
    ) -> None:
        values = []
        for change in changes:
            last = events.get(change.key) or before[change.key]
            values.append((*change.key, rows[change.key], last.created, last.revision, change.file))
        self._run_many("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _get(self, key: Key) -> Stored | None:
        where = "kind = ? AND namespace = ? AND name = ?"
        row = self._run(f"SELECT {_RESOURCE} FROM resources WHERE {where}", key).fetchone()
        return None if row is None else self._stored(row)

    def _stored(self, row: Sequence[Any]) -> Stored | None:
        """The resource of a row; None, and one more that is damaged, when it is no JSON object."""
        kind, namespace, name, document, created, revision, file = row
        key = Key(kind, namespace, name)
        try:
            return Stored(key, _decoded(document), created, revision, file)
        except ValueError as error:
            if key not in self.damaged:
                log.error("%s: %s is not in effect: its row cannot be read: %s", self._path, key, error)
            self.damaged[key] = str(error)
            return None

    # ── the past ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, selection: Selection, limit: int, since: int) -> list[Event]:
        where, values = ["revision > ?"], [since, *filter(None, (selection.kind, selection.namespace, selection.name))]
        where += [f"{column} = ?" for column in ("kind", "namespace", "name") if getattr(selection, column)]
        statement = f"SELECT {_EVENT}, id FROM history WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
        return [self._event(row) for row in self._run(statement, (*values, limit))]

    def changes(self, since: int, limit: int, after: int) -> list[Event]:
        statement = f"SELECT {_EVENT}, id FROM history WHERE revision > ? AND id > ? ORDER BY id LIMIT ?"
        return [self._event(row) for row in self._run(statement, (since, after, limit))]

    def at(self, revision: int) -> list[Stored]:
        latest = "SELECT MAX(id) FROM history WHERE revision <= ? GROUP BY kind, namespace, name"
        statement = (
            "SELECT kind, namespace, name, document, created, revision, '' FROM history "
            f"WHERE id IN ({latest}) AND document IS NOT NULL ORDER BY kind, namespace, name"
        )
        found = []
        for kind, namespace, name, document, created, then, file in self._run(statement, (revision,)):
            key = Key(kind, namespace, name)
            try:
                found.append(Stored(key, _decoded(document), created, then, file))
            except ValueError as error:
                raise SourceError(
                    f"{self._path}: {key} as it was at revision {then} cannot be read: {error}"
                ) from error
        return found

    def _event(self, row: Sequence[Any]) -> Event:
        """A change; one whose row cannot be read has no document."""
        revision, time, action, kind, namespace, name, document, created, number = row
        key = Key(kind, namespace, name)
        content = None
        if document is not None:
            try:
                content = _decoded(document)
            except ValueError as error:
                log.error("%s: %s as it was at revision %d cannot be read: %s", self._path, key, revision, error)
        return Event(revision, time, Action(action), key, content, created, id=number)

    # ── workloads ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def registrations(self) -> dict[str, Document]:
        found = {}
        for key, data in self._run("SELECT id, data FROM registrations"):
            try:
                found[key] = _decoded(data)
            except ValueError as error:
                log.error("%s: the registration of %s cannot be read and is left out: %s", self._path, key, error)
        return found

    def save_registrations(self, saved: Mapping[str, Document], removed: Iterable[str]) -> None:
        self._recover()
        with self._transaction():
            rows = [(key, json.dumps(data)) for key, data in saved.items()]
            self._run_many("INSERT OR REPLACE INTO registrations VALUES (?, ?)", rows)
            self._run_many("DELETE FROM registrations WHERE id = ?", [(key,) for key in removed])

    # ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _recover(self) -> None:
        """What is written into a file that somebody has deleted is lost with this process: it is put back first."""
        presence = Presence.SAME if self._file is None else self._file.presence()
        if self._file is None or presence is Presence.SAME:
            return
        if presence is Presence.REPLACED:
            raise SourceError(
                f"{self._path}: was replaced by another file while the control plane ran; nothing is written to it. "
                "Start the control plane again to go on with that file"
            )
        log.error("%s was deleted under the running control plane; it is written anew", self._path)
        try:
            self._file.put_back(self._connection)
        except (OSError, sqlite3.Error) as error:
            raise SourceError(f"{self._path}: was deleted, and cannot be written anew: {error}") from error
        self._open()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._run("ROLLBACK")
            raise

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(statement, rows)


def _decoded(document: Any) -> Document:
    """ValueError for what `_encoded` did not write."""
    try:
        content = json.loads(document)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(content, dict):
        raise ValueError(f"a JSON object was expected, not {document[:40]!r}")
    return content


def _encoded(document: Document | None) -> str:
    return json.dumps(document, separators=(",", ":"))
