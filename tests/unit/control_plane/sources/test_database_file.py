"""The file of a SQLite store: whose it is, and what becomes of it under the running process."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from control_plane.sources.source import SourceError
from control_plane.sources.sqlite import SqliteSource
from tests.unit.control_plane.samples import put, route


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.fault(6)
async def test_a_store_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "asyncmesh" / "mesh.db"
    before = os.umask(0)
    try:
        source = SqliteSource(str(path))
        await source.open()
        await source.apply(put(route()))
    finally:
        os.umask(before)
    assert {p.name: mode(p) for p in path.parent.iterdir()} == {"mesh.db": 0o600, "mesh.db-wal": 0o600}
    assert mode(path.parent) == mode(path.parent.parent) == 0o700
    await source.close()


@pytest.mark.fault(6)
async def test_a_store_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"
    source = SqliteSource(str(path))
    await source.open()
    await source.close()
    path.chmod(0o644)
    await source_opened(path)
    assert mode(path) == 0o600


async def source_opened(path: Path) -> None:
    source = SqliteSource(str(path))
    await source.open()
    await source.close()


async def test_the_rights_of_a_file_that_is_no_store_stay(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, whatever its name says\n" * 100)
    path.chmod(0o644)
    with pytest.raises(SourceError, match="not a SQLite database"):
        await source_opened(path)
    assert mode(path) == 0o644


@pytest.mark.fault(13)
@pytest.mark.parametrize("whole_folder", [False, True])
async def test_a_store_that_is_deleted_under_us_loses_nothing(tmp_path: Path, whole_folder: bool) -> None:
    path = tmp_path / "state" / "mesh.db"
    source = SqliteSource(str(path))
    await source.open()
    await source.apply(put(route("a")))
    for each in list(path.parent.iterdir()) if whole_folder else [path]:
        each.unlink()
    if whole_folder:
        path.parent.rmdir()
    assert (await source.apply(put(route("b")))).revision == 2
    await source.apply(put(route("c")))
    await source.save_registrations({"x": {"y": 1}}, [])
    assert mode(path) == 0o600
    await source.close()
    again = SqliteSource(str(path))
    await again.open()
    assert [stored.key.name for stored in await again.current()] == ["a", "b", "c"]
    assert list(await again.registrations()) == ["x"]
    await again.close()


@pytest.mark.fault(13)
async def test_a_store_that_is_replaced_under_us_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"
    source = SqliteSource(str(path))
    await source.open()
    path.rename(tmp_path / "moved.db")
    path.write_text("somebody else's")
    with pytest.raises(SourceError, match="was replaced by another file"):
        await source.apply(put(route("b")))
    assert path.read_text() == "somebody else's"
    await source.close()


@pytest.mark.fault(13)
async def test_rows_that_cannot_be_read_keep_nobody_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mesh.db"
    source = SqliteSource(str(path))
    await source.open()
    await source.apply(put(route("a"), route("b"), route("c")))
    await source.save_registrations({"x": {"y": 1}, "z": {}}, [])
    await source.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE resources SET document = '{\"kind\": ' WHERE name = 'a'")
        connection.execute("UPDATE resources SET document = '[]' WHERE name = 'b'")
        connection.execute("UPDATE registrations SET data = '{' WHERE id = 'x'")
    connection.close()
    source = SqliteSource(str(path))
    await source.open()
    assert [stored.key.name for stored in await source.current()] == ["c"]
    assert list(await source.registrations()) == ["z"]
    problems = [str(problem) for problem in source.problems()]
    assert len(problems) == 2
    assert "VirtualService/default/a is stored but cannot be read" in problems[0]
    assert "VirtualService/default/a is not in effect" in caplog.text
    # The history still has them.
    assert {stored.key.name for stored in await source.at(1)} == {"a", "b", "c"}
    await source.apply(put(route("a"), route("b")))
    assert not source.problems()
    assert len(await source.current()) == 3
    await source.close()


@pytest.mark.fault(13)
async def test_a_past_that_cannot_be_read_is_no_past_to_go_back_to(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"
    source = SqliteSource(str(path))
    await source.open()
    await source.apply(put(route("a")))
    await source.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE history SET document = '{'")
    connection.close()
    source = SqliteSource(str(path))
    await source.open()
    with pytest.raises(SourceError, match="VirtualService/default/a as it was at revision 1 cannot be read"):
        await source.at(1)
    assert [event.document for event in await source.changes(0, 10)] == [None]
    await source.close()


@pytest.mark.fault(13)
async def test_a_disk_that_became_read_only_is_named(tmp_path: Path) -> None:
    source = SqliteSource(str(tmp_path / "mesh.db"))
    await source.open()
    database = source._opened
    await source._do(lambda: database._run("PRAGMA query_only = 1"))
    with pytest.raises(SourceError, match=r"cannot be written \(a read-only disk"):
        await source.apply(put(route()))
    await source.close()


@pytest.mark.fault(13)
async def test_the_systems_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be opened for writing: Not a directory"):
        await source_opened(tmp_path / "file" / "mesh.db")
    with pytest.raises(SourceError, match="cannot be opened for writing: Is a directory"):
        await source_opened(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="is no regular file"):
        await source_opened(tmp_path / "pipe")
