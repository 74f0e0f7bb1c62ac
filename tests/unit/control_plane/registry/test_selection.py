from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.registry.selection import Labelled

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
