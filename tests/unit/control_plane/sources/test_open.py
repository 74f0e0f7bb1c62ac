from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.sources.directory import DirectorySource
from control_plane.sources.open import default_url, open_source
from control_plane.sources.source import SourceError
from control_plane.sources.sqlite import SqliteSource


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("sqlite:///tmp/mesh.db", SqliteSource, "sqlite:///tmp/mesh.db"),
        ("sqlite:////tmp/mesh.db", SqliteSource, "sqlite:///tmp/mesh.db"),
        ("sqlite://mesh.db", SqliteSource, "sqlite://mesh.db"),
        ("dir:///etc/mesh", DirectorySource, "dir:///etc/mesh"),
    ],
)
def test_urls(url: str, kind: type, shown: str) -> None:
    source = open_source(url)
    assert isinstance(source, kind)
    assert source.url == shown


def test_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jason")
    assert open_source("dir://~/mesh").url == "dir:///home/jason/mesh"
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_url() == "sqlite:///home/jason/.local/state/asyncmesh/mesh.db"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_url() == "sqlite:///state/asyncmesh/mesh.db"


@pytest.mark.parametrize("url", ["etcd://localhost:2379", "kubernetes://", "mesh.db", "sqlite://", "dir:///", ""])
def test_others_are_refused_with_what_there_is(url: str) -> None:
    with pytest.raises(SourceError, match=r"sqlite:///PATH .* and dir:///PATH"):
        open_source(url)


async def test_files_that_are_no_store_of_ours(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is no database, whatever its name says\n" * 100)
    with pytest.raises(SourceError, match="not a SQLite database"):
        await SqliteSource(str(text)).open()
    with pytest.raises(SourceError, match="cannot be opened for writing: Not a directory"):
        await SqliteSource(str(text / "below.db")).open()
