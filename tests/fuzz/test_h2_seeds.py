"""What the frame fuzzer starts from breaks no rule, whole or byte by byte."""

from __future__ import annotations

import pytest

from tests.fuzz.h2 import ANSWERS, REQUESTS, broken, heard, main
from tests.fuzz.h2_subjects import Client, Server


@pytest.mark.parametrize("words", REQUESTS)
def test_a_request_breaks_no_rule(words: str) -> None:
    assert broken(Server(), REQUESTS[words], range(min(len(REQUESTS[words]), 200))) == ""


@pytest.mark.parametrize("words", ANSWERS)
def test_an_answer_breaks_no_rule(words: str) -> None:
    assert broken(Client(), ANSWERS[words], range(min(len(ANSWERS[words]), 200))) == ""


def test_what_is_compared_is_there() -> None:
    answers = heard(Client(), ANSWERS["three answers"], ())
    assert all("answermore" in noted and "complete" in noted for noted in answers.noted)
    requests = heard(Server(), REQUESTS["4.2 HEADERS larger than the frame size"], ())
    assert requests.why == b"http2.too_large_frame"


def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "1", "--seed", "7"]) == 0
    assert "no rule broken" in capsys.readouterr().out
