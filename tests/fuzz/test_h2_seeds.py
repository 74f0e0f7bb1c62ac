"""What the frame fuzzer starts from breaks no rule, whole or byte by byte."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.h2 import SEEDS, broken, main

pytestmark = pytest.mark.skipif(
    os.environ.get("MESH_TEST_NATIVE") == "1", reason="its session is a subclass, which compiled classes cannot have"
)


@pytest.mark.parametrize("words", SEEDS)
def test_a_seed_breaks_no_rule(words: str) -> None:
    text = SEEDS[words]
    assert broken(text, range(min(len(text), 200))) == ""


def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "1", "--seed", "7"]) == 0
    assert "no rule broken" in capsys.readouterr().out
