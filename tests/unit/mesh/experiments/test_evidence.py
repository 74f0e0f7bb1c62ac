"""The statistics: what must hold of them whatever the data."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.experiments.evidence import (
    INFINITE,
    STEPS,
    TOLERANCE,
    crossing,
    holm,
    least_sum,
    log_evidence_above,
    log_evidence_below,
)

shares = st.floats(1e-5, 1 - 1e-5)


def expectation(p: float, truth: float) -> float:
    """Of the evidence of one observation."""
    return truth * math.exp(log_evidence_above(1, 1, p)) + (1 - truth) * math.exp(log_evidence_above(0, 1, p))


@given(shares, shares)
def test_evidence_is_a_supermartingale_under_what_it_speaks_against(p: float, truth: float) -> None:
    """Its expectation is at most 1, for every share that the claim "at most p" allows: the one thing that all rests on."""
    assert expectation(p, min(p, truth)) <= 1 + 1e-9


@given(shares, st.floats(0, 1))
def test_a_fraction_is_no_more_evidence_than_a_coin_with_that_share(p: float, x: float) -> None:
    """What makes counts within a bucket usable: values between 0 and 1 instead of 0 or 1."""
    for step in STEPS:
        odds = math.log(p / (1 - p)) + step
        q = 1 / (1 + math.exp(-odds))
        fraction = (q / p) ** x * ((1 - q) / (1 - p)) ** (1 - x)
        assert fraction <= x * q / p + (1 - x) * (1 - q) / (1 - p) + 1e-6 * q / p


def test_the_mixture_of_ratios_by_hand() -> None:
    ones, trials, p = 7, 50, 0.1
    total = 0.0
    for step in STEPS:
        q = 1 / (1 + math.exp(-(math.log(p / (1 - p)) + step)))
        total += (q / p) ** ones * ((1 - q) / (1 - p)) ** (trials - ones) / len(STEPS)
    assert log_evidence_above(ones, trials, p) == pytest.approx(math.log(total))


def test_ville_a_coin_that_is_watched_at_every_toss() -> None:
    """Against the true share itself, looked at after each of 2,000 tosses: at most α of the runs ever alarm."""
    chance, alarms, runs, alpha, p = random.Random(5), 0, 400, 0.1, 0.03
    for _ in range(runs):
        ones = 0
        for toss in range(1, 2001):
            ones += chance.random() < p
            if toss % 5 == 0 and log_evidence_above(ones, toss, p) >= math.log(1 / alpha):
                alarms += 1
                break
    assert 0 < alarms <= runs * alpha


@given(st.integers(0, 100), st.integers(1, 100), shares, shares)
def test_more_is_claimed_less_is_against_it(ones: int, trials: int, p: float, other: float) -> None:
    ones, (low, high) = min(ones, trials), sorted((p, other))
    assert log_evidence_above(ones, trials, low) >= log_evidence_above(ones, trials, high) - 1e-9
    assert log_evidence_below(ones, trials, low) <= log_evidence_below(ones, trials, high) + 1e-9


@given(st.integers(0, 99), st.integers(1, 100), shares)
def test_a_one_is_evidence_that_there_are_more(ones: int, trials: int, p: float) -> None:
    ones = min(ones, trials - 1)
    assert log_evidence_above(ones + 1, trials, p) > log_evidence_above(ones, trials, p)


def test_what_cannot_be() -> None:
    assert log_evidence_above(1, 10, 0.0) == INFINITE
    assert log_evidence_above(0, 10, 0.0) == log_evidence_above(10, 10, 1.0) == 0
    assert log_evidence_below(9, 10, 1.0) == INFINITE


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12), st.lists(st.floats(-5, 5), min_size=3, max_size=12))
def test_the_least_sum_is_that_of_a_fine_search(ups: list[float], downs: list[float]) -> None:
    def rising(m: float) -> float:
        return sum(max(0.0, m - each) for each in ups)

    def falling(m: float) -> float:
        return sum(max(0.0, each - m) ** 2 for each in downs)

    fine = min(rising(m / 500) + falling(m / 500) for m in range(-3000, 3001))
    found = least_sum(rising, falling, [-6.0, 0.0, 6.0], 0.0, -math.inf)
    assert fine - 2 * TOLERANCE - 1e-6 <= found <= fine + 1e-6


def test_the_least_sum_ends_early() -> None:
    calls = []

    def rising(m: float) -> float:
        calls.append(m)
        return m

    assert least_sum(rising, lambda m: -m, [0.0, 1.0], 0.5, 1.0) == 0
    assert len(calls) == 1


def test_crossing() -> None:
    assert crossing(lambda x: x < 0.3, 0.0, 1.0) == pytest.approx(0.3)
    assert crossing(lambda x: True, 0.0, 1.0) == 1.0


def test_holm_steps_down() -> None:
    alpha = 0.05
    assert holm([math.log(3 / alpha), math.log(2 / alpha), math.log(1 / alpha)], alpha) == [True, True, True]
    assert holm([math.log(2.9 / alpha), 0, 0], alpha) == [False, False, False]
    assert holm([0, math.log(3 / alpha), math.log(1 / alpha)], alpha) == [False, True, False]
    assert holm([], alpha) == []
