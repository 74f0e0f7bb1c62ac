from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.telemetry.cells import BOUNDS, BUCKETS, QUANTILES, Histogram, quantiles


def test_bounds_are_two_significant_digits_and_hold_every_bucket() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert set(BUCKETS) <= set(BOUNDS)
    assert all(high / low < 1.101 for low, high in pairwise(BOUNDS))


@given(st.lists(st.floats(0, 1e9), max_size=50))
def test_buckets_count_what_is_at_most_their_bound(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    assert histogram.buckets() == [sum(value <= bound for value in values) for bound in BUCKETS]
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))


@given(st.lists(st.floats(0.02, 1e9), min_size=1, max_size=50))
def test_quantiles_rise_and_are_within_a_bin_of_the_truth(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    found = quantiles(histogram.bins)
    assert found == sorted(found)
    ordered = sorted(values)
    for quantile, value in zip(QUANTILES, found, strict=True):
        truth = ordered[max(math.ceil(quantile * len(ordered)) - 1, 0)]
        assert truth / 1.11 <= value <= truth * 1.11


def test_nothing_recorded_has_no_quantiles() -> None:
    assert quantiles({}) == []


def test_an_interval_is_what_came_since_the_last_latch() -> None:
    histogram = Histogram()
    histogram.record(3)
    assert histogram.interval() == {}
    histogram.latch()
    first = histogram.interval()
    assert sum(first.values()) == 1
    histogram.record(700)
    assert histogram.interval() == first
    histogram.latch()
    assert quantiles(histogram.interval())[0] > 600
    histogram.latch()
    assert histogram.interval() == {}


def test_reset_forgets_everything() -> None:
    histogram = Histogram()
    histogram.record(3)
    histogram.latch()
    histogram.reset()
    assert (histogram.count, histogram.sum, histogram.interval()) == (0, 0.0, {})
