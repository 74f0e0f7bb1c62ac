"""Which requests are sent again over another connection."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.connection_pool import KEY
from sidecar.config.model import Resend
from tests.unit.sidecar.config.build import Parts, cluster_of, parts, problems


def given(**fields: Any) -> Parts:
    found = parts()
    found.cluster.update(metadata={"filter_metadata": {KEY: fields, "other": {"x": 1}}})
    return found


def test_none_unless_asked_for() -> None:
    assert cluster_of(parts()).resend is Resend.NEVER
    assert cluster_of(given()).resend is Resend.NEVER


@pytest.mark.parametrize("word", list(Resend))
def test_words(word: Resend) -> None:
    assert cluster_of(given(resend_on_reused_connection=word.value)).resend is word


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"resend_on_reused_connection": "often"},
            "resend_on_reused_connection: is 'often', must be one of never, idempotent",
        ),
        ({"resend_on_reused_connection": 1}, "resend_on_reused_connection: is 1, must be one of"),
        ({"resend": "never"}, "resend: is not known"),
    ],
)
def test_mistakes(fields: dict[str, Any], expected: str) -> None:
    assert [expected in problem for problem in problems(given(**fields))] == [True]
