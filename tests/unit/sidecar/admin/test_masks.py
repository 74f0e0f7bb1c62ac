"""A FieldMask over messages that are JSON."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.admin.masks import masked, parse

MESSAGE = {"@type": "t", "a": {"b": 1, "c": {"d": 2}}, "list": [{"x": 1}], "empty": {}}


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        ("a", {"@type": "t", "a": {"b": 1, "c": {"d": 2}}}),
        ("a.b", {"@type": "t", "a": {"b": 1}}),
        ("a.b,a.c.d, list", {"@type": "t", "a": {"b": 1, "c": {"d": 2}}, "list": [{"x": 1}]}),
        ("empty", {"@type": "t", "empty": {}}),
        ("list.x", {}),
        ("nope", {}),
        ("a.nope", {}),
        ("a.b.nope", {}),
    ],
)
def test_what_is_left(mask: str, wanted: dict[str, Any]) -> None:
    assert masked(MESSAGE, parse(mask)) == wanted
