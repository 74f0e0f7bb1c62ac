"""A comparer's report, and what an experiment makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mesh.experiments.answers import Answers
from mesh.experiments.data import Counts
from mesh.experiments.lifecycle import Action, decide
from mesh.experiments.stages import stages
from tests.unit.mesh.experiments.test_lifecycle import FIRST, GOOD, OPEN, QUIET, START, spec

SAME = Answers(60, ())
OTHER = Answers(60, tuple(f"body.f{index} in 9, by noise 0" for index in range(7)))
COMPARE = {"host": "comparer", "port": 80, "report": "http://127.0.0.1:9099"}


def test_a_report_is_read() -> None:
    row = {"field": "body.price", "differed": 60, "noise": 1, "examples": [["1", "2"]]}
    found = Answers.decode(json.dumps({"compared": 60, "differences": [row], "noisy": ["body.now"]}))
    assert found == Answers(60, ("body.price in 60, by noise 1",))
    assert found.sentence() == "answers differ, of 60: body.price in 60, by noise 1"
    assert OTHER.sentence().endswith("body.f4 in 9, by noise 0 and 2 more")
    assert SAME.sentence() == ""


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"compared": "x", "differences": []}', "[" * 100_000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Answers.decode(text)
    assert str(caught.value)


def test_answers_that_differ_end_it_and_others_count_as_copies() -> None:
    mirror = {"percent": 50, "requests": 50, "compare": COMPARE}
    given = spec(strategy={"mirror": mirror})
    row = stages(given)
    decision = decide(given, row, FIRST, replace(QUIET, compared=OTHER), GOOD)
    assert (decision.action, decision.reason) == (Action.ROLL_BACK, OTHER.sentence())
    few = replace(QUIET, compared=Answers(20, ()))
    assert "30 requests more" in decide(given, row, FIRST, few, GOOD).reason
    ended = decide(given, row, replace(FIRST, candidate=Counts()), replace(QUIET, compared=SAME), OPEN)
    assert ended.action is Action.FINISH
    assert ended.reason.endswith("; no answer of 60 compared ones differs beyond noise")
    silent = replace(QUIET, silent=61.0, trouble="no report can be had")
    assert decide(given, row, FIRST, replace(silent, now=START + 100), OPEN).action is Action.ROLL_BACK
