from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.istio.dump import dump
from mesh.istio.load import load
from mesh.istio.schema import normalise
from mesh.istio.yaml_nodes import compose
from tests.unit.mesh.istio.documents import document, route


def read(text: str) -> Any:
    (node,) = compose(text)
    return node.data


@pytest.mark.parametrize(
    "text", ["1e3", "on", "yes", "5", "-0", "null", "~", "", "0755", "+5", "a: b", "# a", "a\nb\n", "2024-01-01"]
)
def test_strings_stay_strings(text: str) -> None:
    assert read(dump({"a": text})) == {"a": text}


def test_it_is_what_people_write() -> None:
    text = dump(document("VirtualService", route(timeout="5s")))
    assert text == (
        "apiVersion: networking.istio.io/v1\n"
        "kind: VirtualService\n"
        "metadata:\n"
        "  name: sample\n"
        "spec:\n"
        "  hosts:\n"
        "  - reviews\n"
        "  http:\n"
        "  - route:\n"
        "    - destination:\n"
        "        host: reviews\n"
        "    timeout: 5s\n"
    )
    (resource,) = load(text)
    assert resource.spec.http[0].timeout == 5.0


def test_shared_values_are_written_out() -> None:
    shared = {"x": 1}
    assert dump({"a": shared, "b": shared}) == "a:\n  x: 1\nb:\n  x: 1\n"


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t ")) | st.sampled_from(
    [
        "true",
        "1",
        "1.5",
        "1e3",
        "-1E-5",
        "null",
        ".5",
        "0x1f",
        "<<",
        "=",
        "!",
        "&a",
        "*a",
        "- a",
        "? a",
        "a ",
        " a",
        "---",
    ]
)
_DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXT, _DATA, max_size=4))
def test_whatever_is_written_is_read_back(data: dict[str, Any]) -> None:
    assert read(dump(data)) == normalise(data)
