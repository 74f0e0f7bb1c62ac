"""Names of kinds, as kubectl takes them."""

from __future__ import annotations

import pytest

from mesh.cli.errors import CliError
from mesh.cli.kinds import parse_kind, parse_target
from mesh.istio.kinds import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_spelling(kind: str) -> None:
    lower = kind.lower()
    irregular = {
        "serviceentry": "serviceentries",
        "workloadentry": "workloadentries",
        "telemetry": "telemetries",
        "endpoints": "endpoints",
    }
    plural = irregular.get(lower, f"{lower}s")
    for word in (kind, lower, plural, *KINDS[kind].short, f"{plural}.networking.istio.io"):
        assert parse_kind(word) == kind


def test_all_is_every_kind() -> None:
    assert parse_kind("all") == ""


def test_unknown_kind_suggests() -> None:
    with pytest.raises(CliError) as caught:
        parse_kind("virtualservce")
    assert caught.value.hints[0] == "did you mean virtualservice?"
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vs"], ("VirtualService", "")),
        (["vs", "a"], ("VirtualService", "a")),
        (["vs/a"], ("VirtualService", "a")),
        (["all"], ("", "")),
    ],
)
def test_parse_target(words: list[str], expected: tuple[str, str]) -> None:
    assert parse_target(words) == expected


def test_parse_target_refuses_more() -> None:
    with pytest.raises(CliError):
        parse_target(["vs", "a", "b"])
