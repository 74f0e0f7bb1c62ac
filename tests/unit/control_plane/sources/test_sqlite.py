"""A disk that is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.sources.source import Selection, SourceError
from control_plane.sources.sqlite import SqliteSource
from tests.unit.control_plane.samples import put, route


async def test_what_does_not_fit_is_refused_and_the_rest_stays(tmp_path: Path) -> None:
    source = SqliteSource(str(tmp_path / "mesh.db"))
    await source.open()
    await source.apply(put(route("a")))
    heard: list[int] = []
    source.listen(lambda commit: heard.append(commit.revision))
    database = source._opened
    await source._do(lambda: database._run("PRAGMA max_page_count = 1"))  # no more than there are
    large = route("b")
    large["metadata"]["annotations"] = {"note": "x" * 100_000}
    with pytest.raises(SourceError, match="full"):
        await source.apply(put(route("a", "v2"), large))
    assert (source.revision, heard) == (1, [])
    assert [stored.document for stored in await source.current()] == [route("a")]
    await source._do(lambda: database._run("PRAGMA max_page_count = 100000"))
    assert (await source.apply(put(large))).revision == 2
    assert len(await source.history(Selection(), 10)) == 2
    await source.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    source = SqliteSource(str(tmp_path / "mesh.db"))
    with pytest.raises(SourceError, match="is not open"):
        await source.current()
