"""What only a folder does: follow its files, and be written."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from control_plane.sources.directory import DirectorySource
from control_plane.sources.source import Action, RefusedError, SourceError
from tests.unit.control_plane.samples import gone, put, route, text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "config"
    root.mkdir()
    return root


@pytest.fixture
async def source(root: Path) -> AsyncIterator[DirectorySource]:
    (root / "routes.yaml").write_text(f"# ours\n---\n{text(route('a'), route('b'))}")
    source = DirectorySource(root)
    await source.open()
    yield source
    await source.close()


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - what is waited for is a file system's doing
            await asyncio.sleep(0.01)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


async def names(source: DirectorySource) -> dict[str, str]:
    """Name → subset."""
    return {
        s.key.name: s.document["spec"]["http"][0]["route"][0]["destination"]["subset"] for s in await source.current()
    }


async def test_what_the_folder_holds_is_there_from_the_start(source: DirectorySource) -> None:
    assert await names(source) == {"a": "v1", "b": "v1"}
    assert source.revision == 1


async def test_a_changed_file_takes_effect(source: DirectorySource, root: Path) -> None:
    heard: list[tuple[str, Action]] = []
    source.listen(lambda commit: heard.extend((event.key.name, event.action) for event in commit.events))
    (root / "routes.yaml").write_text(text(route("a", "v2")))
    (root / "more.yaml").write_text(text(route("c")))
    await eventually(lambda: len(heard) == 3)
    assert sorted(heard) == [("a", Action.CONFIGURED), ("b", Action.DELETED), ("c", Action.CREATED)]
    assert await names(source) == {"a": "v2", "c": "v1"}


async def test_a_broken_file_keeps_its_last_good_version(
    source: DirectorySource, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "routes.yaml").write_text(text(route("a", "v2"), {**route("b"), "kind": "VirtualSrvice"}))
    (root / "more.yaml").write_text(text(route("c")))
    await eventually(lambda: source.revision == 2)
    assert await names(source) == {"a": "v1", "b": "v1", "c": "v1"}
    (problem,) = source.problems()
    assert (problem.file, problem.field) == ("routes.yaml", "kind")
    assert "routes.yaml:" in caplog.text
    (root / "routes.yaml").write_text(text(route("a", "v2")))
    await eventually(lambda: source.revision == 3)
    await eventually(lambda: source.problems() == ())
    assert await names(source) == {"a": "v2", "c": "v1"}


async def test_the_last_good_version_outlives_a_restart(source: DirectorySource, root: Path) -> None:
    (root / "routes.yaml").write_text("kind: [\n")
    await eventually(source.problems)
    await source.close()
    again = DirectorySource(root)
    await again.open()
    assert await names(again) == {"a": "v1", "b": "v1"}
    assert again.problems()
    await again.close()
    await source.open()


async def test_a_resource_that_moves_to_another_file_stays(source: DirectorySource, root: Path) -> None:
    (root / "other.yaml").write_text(text(route("b")))
    (root / "routes.yaml").write_text(text(route("a")))
    (root / "marker.yaml").write_text(text(route("marker")))
    await eventually(lambda: source.revision == 2)
    await source.apply(put(route("b", "v2")))
    assert "v2" in (root / "other.yaml").read_text()


async def test_a_folder_that_vanishes_takes_nothing_along(source: DirectorySource, root: Path) -> None:
    await source.close()
    watched = DirectorySource(root)
    await watched.open()
    moved = shutil.move(root, root.with_name("moved"))
    with pytest.raises(RefusedError):
        await watched.apply(put(route("a", "v2")))
    assert await names(watched) == {"a": "v1", "b": "v1"}
    shutil.move(moved, root)
    await watched.apply(put(route("a", "v2")))
    assert await names(watched) == {"a": "v2", "b": "v1"}
    await watched.close()
    await source.open()


async def test_a_change_through_the_api_is_in_the_folder(source: DirectorySource, root: Path) -> None:
    commit = await source.apply([*put(route("a", "v2")), *put(route("new")), *gone(route("b"))])
    assert {event.key.name for event in commit.events} == {"a", "b", "new"}
    assert (root / "routes.yaml").read_text() == f"# ours\n---\n{text(route('a', 'v2'))}"
    assert files(root) == [".mesh", "routes.yaml", "virtualservice.default.new.yaml"]


async def test_what_somebody_has_just_written_is_not_overwritten(source: DirectorySource, root: Path) -> None:
    (root / "routes.yaml").write_text(text(route("a"), route("b", "v7")))
    await source.apply(put(route("a", "v2")))
    assert await names(source) == {"a": "v2", "b": "v7"}


async def test_a_broken_file_refuses_the_change(source: DirectorySource, root: Path) -> None:
    (root / "routes.yaml").write_text("kind: [\n")
    with pytest.raises(RefusedError, match="mend it first"):
        await source.apply([*put(route("new")), *put(route("a", "v2"))])
    assert files(root) == [".mesh", "routes.yaml"]
    assert await names(source) == {"a": "v1", "b": "v1"}


async def test_when_one_file_cannot_be_written_none_is(source: DirectorySource, root: Path) -> None:
    blocked = root / "virtualservice.default.new.yaml"
    blocked.mkdir()
    before = (root / "routes.yaml").read_text()
    with pytest.raises(RefusedError):
        await source.apply([*put(route("a", "v2")), *put(route("new"))])
    assert (root / "routes.yaml").read_text() == before
    assert await names(source) == {"a": "v1", "b": "v1"}


async def test_git_sees_nothing_of_our_own(source: DirectorySource, root: Path) -> None:
    assert (root / ".mesh" / ".gitignore").read_text() == "*\n"


async def test_a_folder_that_cannot_be_written_is_followed_all_the_same(root: Path) -> None:
    (root / "routes.yaml").write_text(text(route("a")))
    (root / ".mesh").write_text("in the way")  # as root, a test cannot take its own rights away
    source = DirectorySource(root)
    await source.open()
    assert await names(source) == {"a": "v1"}
    await source.close()


async def test_there_has_to_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no folder"):
        await DirectorySource(tmp_path / "nowhere").open()
    shutil.rmtree(tmp_path)
