"""What is counted is counted once, wherever it is summed."""

from __future__ import annotations

import random

import pytest

from mesh.load.recorder import Recorder, Totals


def recorded(values: list[int]) -> Totals:
    recorder, totals = Recorder(), Totals()
    recorder.latencies += values
    recorder.service += values
    recorder.statuses[200] += len(values)
    totals.add(recorder.take())
    return totals


def test_quantiles_are_right_to_three_digits() -> None:
    chance = random.Random(1)
    values = sorted(int(chance.lognormvariate(9, 1)) for _ in range(10_000))
    totals = recorded(values)
    for q in (0.5, 0.9, 0.99, 0.999):
        assert totals.quantile(q) == pytest.approx(values[round(q * len(values)) - 1] / 1000, rel=0.002)
    assert totals.mean == pytest.approx(sum(values) / len(values) / 1000)


def test_taking_empties() -> None:
    recorder = Recorder()
    recorder.statuses[200] += 1
    recorder.take()
    assert recorder.take()["statuses"] == {}


def test_totals_of_several_are_the_totals_of_all() -> None:
    one, other = recorded([1000, 2000]), recorded([9000])
    other.errors["timeout"] += 1
    one.merge([other])
    assert one.quantile(1.0) == pytest.approx(9, rel=0.001)
    assert (one.requests, one.answered, one.success) == (4, 3, 0.75)


def test_nothing_is_known_of_nothing() -> None:
    totals = Totals()
    assert (totals.success, totals.quantile(0.5), totals.mean) == (None, None, None)
