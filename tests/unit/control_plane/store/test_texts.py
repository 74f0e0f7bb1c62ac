from __future__ import annotations

import pytest

from control_plane.store.texts import File, as_yaml, difference, load_files
from mesh.errors import ConfigError
from tests.unit.control_plane.samples import key, route, text


def test_all_files_are_one_batch() -> None:
    files = [File("a.yaml", text(route("a"), route("b"))), File("c.yaml", text(route("c")))]
    assert [(r.key.name, r.file) for r in load_files(files)] == [("a", "a.yaml"), ("b", "a.yaml"), ("c", "c.yaml")]


def test_the_problems_of_all_files_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        load_files([File("a.yaml", "kind: [\n"), File("b.yaml", text(route())), File("c.yaml", "a: 1\n")])
    assert {problem.file for problem in caught.value.problems} == {"a.yaml", "c.yaml"}


def test_a_resource_in_two_files_is_an_error_with_both_places() -> None:
    with pytest.raises(ConfigError) as caught:
        load_files([File("a.yaml", text(route("a"))), File("b.yaml", text(route("b"), route("a")))])
    (problem,) = caught.value.problems
    assert (problem.file, problem.field) == ("b.yaml", "metadata.name")
    assert problem.line > 1
    assert "first in a.yaml:1" in problem.message


def test_a_difference_is_a_unified_diff_without_regard_to_order() -> None:
    old, new = route("a", "v1"), route("a", "v2")
    assert difference(key(old), old, dict(reversed(old.items()))) == ""
    changed = difference(key(old), old, new)
    assert "-        subset: v1\n+        subset: v2\n" in changed
    assert changed.startswith("--- live/VirtualService/default/a\n+++ new/VirtualService/default/a\n")
    assert difference(key(old), None, new).count("\n+") == as_yaml(new).count("\n") + 1
