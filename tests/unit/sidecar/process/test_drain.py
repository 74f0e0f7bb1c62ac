"""How likely a response is to end its connection while a drain goes on."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.process.drain import DrainPolicy


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def share(policy: DrainPolicy, clock: Clock, after: float) -> float:
    sequence = policy.begin()
    clock.now += after
    return sum(sequence.closes() for _ in range(2000)) / 2000


@pytest.mark.parametrize(
    ("after", "wanted"), [(0.0, 0.0), (0.5, 0.1), (5.0, 0.5), (9.5, 1.0), (10.0, 1.0), (99.0, 1.0)]
)
def test_gradually_more_the_later_it_is(after: float, wanted: float) -> None:
    clock = Clock()
    policy = DrainPolicy(10.0, rng=random.Random(1), clock=clock)
    assert share(policy, clock, after) == pytest.approx(wanted, abs=0.04)


@pytest.mark.parametrize("seconds", [0.0, 600.0])
def test_immediately_all_of_them(seconds: float) -> None:
    clock = Clock()
    assert share(DrainPolicy(seconds, immediate=True, clock=clock), clock, 0.0) == 1.0


def test_without_a_drain_time_there_is_nothing_to_wait_for() -> None:
    clock = Clock()
    assert share(DrainPolicy(0.0, clock=clock), clock, 0.0) == 1.0


@given(st.floats(0, 1000, allow_nan=False), st.floats(0, 2000, allow_nan=False), st.integers())
def test_whatever_the_times_there_is_an_answer(seconds: float, after: float, seed: int) -> None:
    clock = Clock()
    sequence = DrainPolicy(seconds, rng=random.Random(seed), clock=clock).begin()
    clock.now += after
    assert sequence.closes() or after < seconds
