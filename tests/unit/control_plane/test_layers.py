from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.layers import Layers

contents = st.dictionaries(st.sampled_from("abcd"), st.integers())


@given(contents, contents)
def test_two_layers_are_one_mapping(shared: dict[str, int], own: dict[str, int]) -> None:
    layers, expected = Layers(shared, own), {**shared, **own}
    assert layers == expected
    assert dict(layers) == expected
    assert (len(layers), set(layers)) == (len(expected), set(expected))
    assert all((name in layers) == (name in expected) for name in "abcd")
