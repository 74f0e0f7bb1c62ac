"""The tables of a config store in SQLite, and every statement on them. Synchronous: `sqlite.py` runs it in a thread."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from control_plane.sources.source import Action, Change, Commit, Document, Event, Selection, SourceError, Stored, plan
from mesh.istio.resource import Key

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
_EVENT: Final = "revision, time, action, kind, namespace, name, document, created"


class Database:
    """One connection, with the file to itself. Raises SourceError when the file cannot be used."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise SourceError(f"{path}: cannot be opened: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise SourceError(f"{path}: {_reason(error)}") from error
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
        rows = self._run("SELECT kind, namespace, name, document, created, revision, file FROM resources")
        return [_stored(row) for row in rows]

    def apply(self, changes: Sequence[Change], time: float) -> Commit:
        """One transaction; `time` is the Unix time of the commit."""
        with self._transaction():
            return self._apply(changes, time)

    def _apply(self, changes: Sequence[Change], time: float) -> Commit:
        before = {stored.key: stored for change in changes if (stored := self._get(change.key))}
        revision = self.revision()
        events: list[Event] = []
        for action, change in plan({key: stored.document for key, stored in before.items()}, changes):
            known = before.get(change.key)
            created = change.created
            if created is None:
                created = known.created if known else time
            event = Event(revision + 1, time, action, change.key, change.document, created, change.resource)
            self._record(event)
            events.append(event)
        for change in changes:
            self._write(change, time, before.get(change.key), {event.key: event for event in events})
        return Commit(revision + 1 if events else revision, tuple(events))

    def _record(self, event: Event) -> None:
        row = (event.revision, event.time, event.action, *event.key, _encoded(event.document), event.created)
        self._run(f"INSERT INTO history ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _write(self, change: Change, time: float, known: Stored | None, events: Mapping[Key, Event]) -> None:
        if change.document is None:
            self._run("DELETE FROM resources WHERE kind = ? AND namespace = ? AND name = ?", change.key)
            return
        event = events.get(change.key)
        created = event.created if event else known.created if known else time
        revision = event.revision if event else known.revision if known else 0
        row = (*change.key, _encoded(change.document), created, revision, change.file)
        self._run("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _get(self, key: Key) -> Stored | None:
        columns = "kind, namespace, name, document, created, revision, file"
        where = "kind = ? AND namespace = ? AND name = ?"
        row = self._run(f"SELECT {columns} FROM resources WHERE {where}", key).fetchone()
        return None if row is None else _stored(row)

    # ── the past ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, selection: Selection, limit: int, since: int) -> list[Event]:
        where, values = ["revision > ?"], [since, *filter(None, (selection.kind, selection.namespace, selection.name))]
        where += [f"{column} = ?" for column in ("kind", "namespace", "name") if getattr(selection, column)]
        statement = f"SELECT {_EVENT} FROM history WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?"
        return [_event(row) for row in self._run(statement, (*values, limit))]

    def changes(self, since: int, limit: int) -> list[Event]:
        last = "SELECT MAX(revision) FROM (SELECT revision FROM history WHERE revision > ? ORDER BY id LIMIT ?)"
        statement = f"SELECT {_EVENT} FROM history WHERE revision > ? AND revision <= ({last}) ORDER BY id"
        return [_event(row) for row in self._run(statement, (since, since, limit))]

    def at(self, revision: int) -> list[Stored]:
        latest = "SELECT MAX(id) FROM history WHERE revision <= ? GROUP BY kind, namespace, name"
        statement = (
            "SELECT kind, namespace, name, document, created, revision, '' FROM history "
            f"WHERE id IN ({latest}) AND document IS NOT NULL ORDER BY kind, namespace, name"
        )
        return [_stored(row) for row in self._run(statement, (revision,))]

    # ── workloads ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def registrations(self) -> dict[str, Document]:
        return {key: json.loads(data) for key, data in self._run("SELECT id, data FROM registrations")}

    def save_registrations(self, saved: Mapping[str, Document], removed: Iterable[str]) -> None:
        with self._transaction():
            rows = [(key, json.dumps(data)) for key, data in saved.items()]
            self._connection.executemany("INSERT OR REPLACE INTO registrations VALUES (?, ?)", rows)
            self._connection.executemany("DELETE FROM registrations WHERE id = ?", [(key,) for key in removed])

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


def _stored(row: Sequence[Any]) -> Stored:
    kind, namespace, name, document, created, revision, file = row
    return Stored(Key(kind, namespace, name), json.loads(document), created, revision, file)


def _event(row: Sequence[Any]) -> Event:
    revision, time, action, kind, namespace, name, document, created = row
    content = None if document is None else json.loads(document)
    return Event(revision, time, Action(action), Key(kind, namespace, name), content, created)


def _encoded(document: Document | None) -> str | None:
    return None if document is None else json.dumps(document, separators=(",", ":"))


def _reason(error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text:
        return "is in use by another control plane; end that one, or name another file with --store"
    if "not a database" in text:
        return "is not a SQLite database; name another file with --store"
    return f"cannot be used: {text}"
