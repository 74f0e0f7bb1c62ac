from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from control_plane.sources import folder as folder_module
from control_plane.sources.folder import Folder
from tests.unit.control_plane.samples import key, route, text


def write(root: Path, name: str, content: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_yaml_and_json_everywhere_below_but_nothing_hidden(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", text(route("a")))
    write(tmp_path, "deep/er/b.yml", text(route("b")))
    write(tmp_path, "c.json", '{"apiVersion": "v1", "kind": "List", "items": []}')
    for name in (".hidden.yaml", ".git/x.yaml", "deep/.mesh/x.yaml", "README.md", "x.yaml~", "x.yaml.swp"):
        write(tmp_path, name, "not: ours")
    wish = Folder(tmp_path).read()
    assert {k.name: r.file for k, r in wish.resources.items()} == {"a": "a.yaml", "b": "deep/er/b.yml"}
    assert not wish.problems


def test_a_broken_file_is_reported_and_the_others_count(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", text(route("a")))
    write(tmp_path, "b.yaml", text(route("b")) + "---\nkind: [\n")
    wish = Folder(tmp_path).read()
    assert list(wish.resources) == [key(route("a"))]
    assert wish.broken == {"b.yaml"}
    assert {problem.file for problem in wish.problems} == {"b.yaml"}


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    path = write(tmp_path, "a.yaml", text(route("a")))
    first = folder.read().resources[key(route("a"))]
    assert folder.read().resources[key(route("a"))] is first
    path.write_text(text(route("a", "v2")) + "# longer\n")
    assert folder.read().resources[key(route("a"))].document == route("a", "v2")
    path.unlink()
    assert not folder.read().resources


def test_of_two_files_with_one_resource_the_second_is_broken_until_the_first_is_changed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = write(tmp_path, "a.yaml", text(route("a"), route("x")))
    write(tmp_path, "b.yaml", text(route("b"), route("x", "v2")))
    wish = folder.read()
    assert wish.broken == {"b.yaml"}
    assert "first in a.yaml:" in wish.problems[0].message
    first.write_text(text(route("a")))
    wish = folder.read()
    assert not wish.broken
    assert wish.resources[key(route("x"))].file == "b.yaml"


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    wish = Folder(tmp_path).read()
    assert wish.broken == {"bytes.yaml", "gone.yaml"}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Folder(tmp_path / "nowhere").read()


@pytest.mark.fault(9)
def test_what_is_no_regular_file_holds_nobody_up(tmp_path: Path) -> None:
    write(tmp_path, "good.yaml", text(route("a")))
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "one.yaml").symlink_to(tmp_path / "other.yaml")
    (tmp_path / "other.yaml").symlink_to(tmp_path / "one.yaml")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "to_folder.yaml").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.yaml"))
        wish = Folder(tmp_path).read()
    assert [k.name for k in wish.resources] == ["a"]
    assert {p.file: p.message.partition(": ")[2] for p in wish.problems} == {
        "device.yaml": "it is a device, not a regular file",
        "one.yaml": "Too many levels of symbolic links",
        "other.yaml": "Too many levels of symbolic links",
        "pipe.yaml": "it is a pipe, not a regular file",
        "socket.yaml": "it is a socket, not a regular file",
    }


@pytest.mark.fault(9)
def test_the_size_and_the_number_of_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.yaml", text(route("a")))
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    (problem,) = Folder(tmp_path).read().problems
    assert "it has 104,857,600 bytes; 33,554,432 is the limit" in problem.message
    monkeypatch.setattr(folder_module, "MAX_FILES", 1)
    with pytest.raises(OSError, match="more than 1 files"):
        Folder(tmp_path).read()
