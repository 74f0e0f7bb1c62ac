"""The last configuration on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.xds import CLUSTER, ENDPOINT
from sidecar.xds.cache import CacheError, Stored, load, save

STORED = st.builds(Stored, st.text(max_size=5), st.sampled_from((CLUSTER, ENDPOINT)), st.binary(max_size=20))
SNAPSHOT = st.dictionaries(
    st.sampled_from((CLUSTER, ENDPOINT)),
    st.dictionaries(st.text(min_size=1, max_size=5), STORED, max_size=3),
    max_size=2,
)
ONE = {CLUSTER: {"a": Stored("1", CLUSTER, b"x")}}


@given(snapshot=SNAPSHOT)
def test_comes_back_as_it_was_saved(
    snapshot: dict[str, dict[str, Stored]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cache") / "kept"
    save(path, snapshot)
    assert load(path) == snapshot


def test_nothing_saved_is_nothing() -> None:
    assert load(Path("/nonexistent/kept")) == {}


def test_the_folder_is_made_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "kept"
    save(path, ONE)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["kept"]


def test_a_later_one_replaces_it(tmp_path: Path) -> None:
    save(tmp_path / "kept", ONE)
    save(tmp_path / "kept", {})
    assert load(tmp_path / "kept") == {}


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty"])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "kept"
    save(path, ONE)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-1]
    elif damage == "flipped":
        data[-1] ^= 1
    elif damage == "other":
        data[:10] = b"mesh-xds-9"
    else:
        data.clear()
    path.write_bytes(data)
    with pytest.raises(CacheError, match="damaged"):
        load(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="Is a directory"):
        load(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save(tmp_path / "file" / "kept", ONE)


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept"
    save(path, ONE)

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        save(path, {})
    monkeypatch.undo()
    assert load(path) == ONE
    assert os.listdir(tmp_path) == ["kept"]
