"""What a plan promises is what simulated experiments take."""

from __future__ import annotations

import pytest

from mesh.experiments.checks import ErrorShareIncrease
from mesh.experiments.planning import needed_for_errors
from mesh.experiments.simulate import Setting, simulate
from mesh.experiments.traffic import Version
from mesh.experiments.verdict import Verdict


@pytest.mark.parametrize(
    ("baseline", "candidate", "verdict"),
    [(0.005, 0.005, Verdict.PROMOTE), (0.005, 0.025, Verdict.ROLL_BACK), (0.01, 0.06, Verdict.ROLL_BACK)],
)
def test_a_plan_is_kept(baseline: float, candidate: float, verdict: Verdict) -> None:
    needed = needed_for_errors(baseline, candidate, 0.005, share=0.5, alpha=0.05, power=0.8)
    assert needed.total and needed.candidate
    setting = Setting((ErrorShareIncrease(0.005),), rate=100, interval=needed.total / 100 / 20, looks=20)
    within = simulate(setting, Version(baseline), Version(candidate), 50, seed=3).share(verdict)
    assert within >= 0.7  # of 50; 0.8 are promised
    setting = Setting((ErrorShareIncrease(0.005),), rate=100, interval=needed.total / 100 / 60, looks=20)
    assert simulate(setting, Version(baseline), Version(candidate), 50, seed=4).share(verdict) < within


def test_what_lies_on_the_limit_is_never_decided() -> None:
    assert needed_for_errors(0.005, 0.01, 0.005, share=0.5, alpha=0.05, power=0.8).total is None
