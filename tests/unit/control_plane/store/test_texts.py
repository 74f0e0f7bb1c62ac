from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.store import texts
from control_plane.store.texts import File, as_yaml, difference, load_files
from mesh.errors import ConfigError
from tests.unit.control_plane.samples import key, route, text


def test_all_files_are_one_batch() -> None:
    files = [File("a.yaml", text(route("a"), route("b"))), File("c.yaml", text(route("c")))]
    assert [(r.key.name, r.file) for r in load_files(files).resources] == [
        ("a", "a.yaml"),
        ("b", "a.yaml"),
        ("c", "c.yaml"),
    ]


def test_the_problems_of_all_files_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        load_files([File("a.yaml", "kind: [\n"), File("b.yaml", text(route())), File("c.yaml", "a: 1\n")])
    assert {problem.file for problem in caught.value.problems} == {"a.yaml", "c.yaml"}


TWICE = [File("a.yaml", text(route("a", "v1"))), File("b.yaml", text(route("b"), route("a", "v2")))]


def test_of_a_resource_in_two_files_the_last_counts_and_that_is_said() -> None:
    loaded = load_files(TWICE)
    assert [(r.key.name, r.file) for r in loaded.resources] == [("b", "b.yaml"), ("a", "b.yaml")]
    (note,) = loaded.skipped
    assert (note.file, note.line, note.field) == ("a.yaml", 1, "metadata.name")
    assert note.message.startswith("VirtualService/default/a is there again in b.yaml:")


def test_strictly_a_resource_in_two_files_is_an_error_with_both_places() -> None:
    with pytest.raises(ConfigError) as caught:
        load_files(TWICE, strict=True)
    (problem,) = caught.value.problems
    assert (problem.file, problem.field) == ("a.yaml", "metadata.name")
    assert "b.yaml:" in problem.message


def test_a_difference_is_a_unified_diff_without_regard_to_order() -> None:
    old, new = route("a", "v1"), route("a", "v2")
    assert difference(key(old), old, dict(reversed(old.items()))) == ""
    changed = difference(key(old), old, new)
    assert "-        subset: v1\n+        subset: v2\n" in changed
    assert changed.startswith("--- live/VirtualService/default/a\n+++ new/VirtualService/default/a\n")
    assert difference(key(old), None, new).count("\n+") == as_yaml(new).count("\n") + 1


LINES = st.lists(st.sampled_from("abc"), max_size=30)


@pytest.mark.fault(10)
@given(LINES, LINES, LINES, LINES)
def test_ends_that_are_the_same_make_no_difference_to_the_diff(
    head: list[str], old: list[str], new: list[str], tail: list[str]
) -> None:
    before, after = {"x": [*head, *old, *tail]}, {"x": [*head, *new, *tail]}
    document = key(route())
    expected = difflib.unified_diff(
        as_yaml(before).splitlines(keepends=True), as_yaml(after).splitlines(keepends=True), "live", "new"
    )
    found = difference(document, before, after).splitlines(keepends=True)
    assert patched(as_yaml(before), found) == as_yaml(after)
    assert bool(found) == bool(list(expected))


@pytest.mark.fault(10)
def test_texts_that_have_little_in_common_are_not_compared_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_COMPARISONS", 100)
    monkeypatch.setattr(difflib, "unified_diff", lambda *_: pytest.fail("compared"))
    before, after = {"x": [f"a{n}" for n in range(50)]}, {"x": [f"b{n}" for n in range(40)]}
    found = difference(key(route()), before, after).splitlines(keepends=True)
    assert patched(as_yaml(before), found) == as_yaml(after)


def patched(text: str, diff: list[str]) -> str:
    """What becomes of a text by a unified diff, which has to fit."""
    lines, done, at = text.splitlines(keepends=True), [], 0
    for line in diff[2:]:
        if line.startswith("@@"):
            start, _, count = line.split()[1].lstrip("-").partition(",")
            begin = int(start) - (0 if count == "0" else 1)
            done += lines[at:begin]
            at = begin
        elif line[0] == "+":
            done.append(line[1:])
        else:
            assert lines[at] == line[1:]
            at += 1
            if line[0] == " ":
                done.append(line[1:])
    return "".join(done + lines[at:])


@pytest.mark.fault(24)
def test_files_without_any_resource_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load_files([File("a.yaml", "# nothing\n"), File("b.yaml", "---\n")])
    assert str(caught.value) == "a.yaml, b.yaml: there is no resource in it: nothing but blanks and comments"
