from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.registry.selection import Labelled, Selecting

LABELS = st.dictionaries(st.sampled_from(["app", "version", "team"]), st.sampled_from(["a", "b"]))
NAMESPACES = st.sampled_from(["one", "two"])


@given(
    st.lists(st.tuples(NAMESPACES, LABELS)),
    NAMESPACES,
    LABELS.filter(bool),
)
def test_it_finds_what_asking_each_would_find(
    things: list[tuple[str, dict[str, str]]], namespace: str, selector: dict[str, str]
) -> None:
    numbered = [(place, labels, number) for number, (place, labels) in enumerate(things)]
    expected = [n for place, labels, n in numbered if place == namespace and selector.items() <= labels.items()]
    assert Labelled(numbered).matching(namespace, selector) == expected


def test_selectors_are_found_by_labels() -> None:
    selectors = [("a", {"app": "x"}, 1), ("a", {"app": "x", "version": "v1"}, 2), ("b", {"app": "x"}, 3), ("a", {}, 4)]
    selecting = Selecting(selectors)
    assert selecting.of("a", {"version": "v1", "app": "x", "more": "m"}) == [1, 2]
    assert selecting.of("a", {"app": "x", "version": "v2"}) == [1]
    assert selecting.of("b", {"app": "x"}) == [3]
    assert selecting.of("a", {"app": "y"}) == selecting.of("c", {"app": "x"}) == []
