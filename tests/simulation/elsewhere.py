"""Fields that act elsewhere than in what proxies are told, and the tests that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.simulation.fields import Field

# (kind, message) → field ("*": the others) → test.
TESTS: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {}


def shown_by(field: Field) -> str:
    """The test that shows a field, "" for none."""
    found = TESTS.get((field.kind, field.message), {})
    return found.get(str(field)) or found.get(field.name) or found.get("*", "")
