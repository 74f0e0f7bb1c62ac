from __future__ import annotations

from pathlib import Path

import pytest

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
