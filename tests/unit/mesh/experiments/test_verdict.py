"""Verdicts, and how much is missing."""

from __future__ import annotations

import random

import pytest

from mesh.experiments.checks import (
    ErrorShare,
    ErrorShareIncrease,
    LatencyLimit,
    LatencyRatio,
    quantile_interval,
    share_interval,
)
from mesh.experiments.data import Counts, from_values
from mesh.experiments.verdict import State, Verdict, explain, judge

BOUNDS = tuple(1.15**step for step in range(60))
ALPHA = 0.05


def counts(requests: int, error: float, slower: float = 1.0, seed: int = 1) -> Counts:
    chance = random.Random(seed)
    values = [slower * chance.lognormvariate(3, 0.5) for _ in range(requests)]
    return Counts(requests, round(requests * error), from_values(values, BOUNDS))


CHECKS = (ErrorShareIncrease(0.005), LatencyRatio(0.95, 1.2))


@pytest.mark.parametrize(
    ("candidate", "verdict", "broken"),
    [
        (counts(20_000, 0.004, seed=2), Verdict.PROMOTE, []),
        (counts(2_000, 0.06, seed=2), Verdict.ROLL_BACK, ["errors ≤ baseline + 0.5 points"]),
        (counts(4_000, 0.004, 1.5, seed=2), Verdict.ROLL_BACK, ["p95 ≤ 1.2 × baseline"]),
        (counts(4_000, 0.08, 1.6, seed=2), Verdict.ROLL_BACK, [check.name for check in CHECKS]),
        (counts(50, 0.0, seed=2), Verdict.NOT_ENOUGH, []),
        (Counts(), Verdict.NOT_ENOUGH, []),
    ],
)
def test_verdicts(candidate: Counts, verdict: Verdict, broken: list[str]) -> None:
    judgement = judge(CHECKS, counts(20_000, 0.004), candidate, ALPHA)
    assert judgement.verdict is verdict
    assert [finding.name for finding in judgement.findings if finding.state is State.VIOLATED] == broken
    assert explain(CHECKS, counts(20_000, 0.004), candidate, ALPHA).verdict is verdict


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (ErrorShare(0.01), counts(3000, 0.001), counts(3000, 0.03)),
        (LatencyLimit(0.95, 60.0), counts(3000, 0), counts(3000, 0, 1.6)),
    ],
)
def test_absolute_checks_need_no_baseline(check: ErrorShare | LatencyLimit, good: Counts, bad: Counts) -> None:
    assert judge([check], Counts(), good, ALPHA).verdict is Verdict.PROMOTE
    assert judge([check], Counts(), bad, ALPHA).verdict is Verdict.ROLL_BACK


@pytest.mark.parametrize(("requests", "error"), [(200, 0.0), (400, 0.002), (150, 0.03)])
def test_what_is_missing_is_what_is_missing(requests: int, error: float) -> None:
    """When so many more have come, with the same shares, there is a verdict; with a tenth less there is none."""
    base, new = Counts(requests, 0), Counts(requests, requests * error)
    missing = explain(CHECKS[:1], base, new, ALPHA).more
    assert missing
    for share, decided in ((1.0, True), (0.9, False)):
        factor = (requests + share * missing) / requests
        verdict = judge(CHECKS[:1], base.times(factor), new.times(factor), ALPHA).verdict
        assert (verdict is not Verdict.NOT_ENOUGH) is decided


def test_too_near_a_limit_to_tell() -> None:
    judgement = explain(CHECKS[:1], Counts(1000, 0), Counts(1000, 5), ALPHA)
    assert judgement.more is None
    assert "too near" in judgement.sentence()


def test_sentences() -> None:
    judgement = explain(CHECKS[:1], Counts(100, 0), Counts(100, 0), ALPHA)
    assert judgement.sentence(10.0) == (
        f"not enough data yet: {judgement.more} more requests, about {-(-judgement.more // 10)} s at this rate"
    )
    assert judge(CHECKS[:1], counts(9000, 0), counts(900, 0.2), ALPHA).sentence().startswith("roll back: errors ≤")


def test_effects_hold_the_truth() -> None:
    base, new = counts(20_000, 0.004, seed=3), counts(20_000, 0.010, 1.3, seed=4)
    errors, ratio = (finding.effect for finding in explain(CHECKS, base, new, ALPHA).findings)
    assert errors.low is not None and errors.high is not None
    assert errors.low < 0.006 < errors.high < 0.012
    assert ratio.low is not None and ratio.high is not None
    assert 1.2 < ratio.low < 1.3 < ratio.high < 1.4


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_intervals_cover_at_every_look(share: float) -> None:
    """Over runs that are looked at 20 times each, the truth is outside at any look in at most α of the runs."""
    chance, missed, runs = random.Random(9), 0, 60
    for _ in range(runs):
        ones = 0
        for look in range(1, 21):
            ones += sum(chance.random() < share for _ in range(50))
            found = share_interval(ones, 50 * look, 0.1)
            assert found.low is not None and found.high is not None
            if not found.low - 1e-9 <= share <= found.high + 1e-9:
                missed += 1
                break
    assert missed <= runs * 0.1


def test_the_interval_of_a_quantile() -> None:
    found = quantile_interval(counts(5_000, 0).latencies, 0.5, ALPHA)
    assert found.low is not None and found.high is not None
    assert found.low < 20.1 < found.high < 22  # e³
    assert quantile_interval(from_values([1e6] * 50, BOUNDS), 0.9, ALPHA).high is None
