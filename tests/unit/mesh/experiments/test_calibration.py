"""The rule over simulated experiments: how often it is wrong. The same numbers stand in docs/experiments.md."""

from __future__ import annotations

import pytest

from mesh.experiments.checks import ErrorShareIncrease, LatencyRatio
from mesh.experiments.simulate import Setting, simulate, simulate_flagger
from mesh.experiments.traffic import Version
from mesh.experiments.verdict import Verdict

ALPHA = 0.05
RUNS = 2_000
# The hardest case there is: with no tolerance at all, two equal versions lie exactly on the limit.
STRICT = (ErrorShareIncrease(0.0), LatencyRatio(0.95, 1.0))
CHECKS = (ErrorShareIncrease(0.005), LatencyRatio(0.95, 1.2))
SAME = Version(error=0.01, p50=20, p99=100)


def test_a_a_experiments_with_peeking_at_every_interval() -> None:
    """Of 2,000 experiments between equal versions, looked at 30 times each: false alarms, with their interval, within α."""
    outcome = simulate(Setting(STRICT, ALPHA, rate=100, interval=5, looks=30), SAME, SAME, RUNS, seed=11)
    alarms = outcome.interval(Verdict.ROLL_BACK)
    assert outcome.runs == RUNS
    assert alarms.estimate is not None and alarms.high is not None
    assert alarms.estimate <= ALPHA
    assert alarms.high <= ALPHA
    assert outcome.verdicts[Verdict.PROMOTE] <= ALPHA * RUNS  # nor is it said that none is worse at all


@pytest.mark.parametrize("points", [0.02, 0.05])
def test_failing_candidates_are_found(points: float) -> None:
    outcome = simulate(Setting(CHECKS, ALPHA), SAME, SAME.worse(points), 40, seed=2)
    assert outcome.share(Verdict.ROLL_BACK) >= 0.95


def test_slow_candidates_are_found_and_equal_ones_promoted() -> None:
    setting = Setting(CHECKS, ALPHA)
    assert simulate(setting, SAME, SAME.slower(1.5), 40, seed=3).share(Verdict.ROLL_BACK) >= 0.95
    assert simulate(setting, SAME, SAME, 40, seed=4).share(Verdict.PROMOTE) >= 0.9


def test_fewer_wrong_answers_than_fixed_thresholds() -> None:
    """Flagger's defaults on the same versions: a baseline with 1 % errors is rolled back for its own noise, half as slow
    again is promoted."""
    setting, runs = Setting(CHECKS, ALPHA), 40
    wrong_rollbacks = simulate(setting, SAME, SAME, runs, seed=5).share(Verdict.ROLL_BACK)
    wrong_promotions = simulate(setting, SAME, SAME.slower(1.5), runs, seed=6).share(Verdict.PROMOTE)
    assert wrong_rollbacks < simulate_flagger(SAME, runs, seed=5).share(Verdict.ROLL_BACK)
    assert wrong_promotions < simulate_flagger(SAME.slower(1.5), runs, seed=6).share(Verdict.PROMOTE)
