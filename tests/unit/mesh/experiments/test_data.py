"""Buckets and what is read off them."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.demo_metrics import quantile as prometheus_quantile
from mesh.experiments.data import Counts, Latencies, from_values, halves

BOUNDS = (1.0, 5.0, 10.0, 25.0, 50.0)
values = st.lists(st.floats(0.01, 200), min_size=1, max_size=60)


@given(values, st.floats(0.01, 1))
def test_a_quantile_is_prometheus_histogram_quantile(row: list[float], q: float) -> None:
    latencies = from_values(row, BOUNDS)
    buckets = {**dict(zip(latencies.bounds, latencies.counts, strict=True)), math.inf: latencies.total}
    assert latencies.quantile(q) == pytest.approx(prometheus_quantile(buckets, q))
    assert Latencies.of(buckets) == latencies


@given(values, st.floats(0, 300), st.floats(0, 300))
def test_counts_grow(row: list[float], one: float, other: float) -> None:
    latencies = from_values(row, BOUNDS)
    low, high = sorted((one, other))
    assert 0 <= latencies.at_most(low) <= latencies.at_most(high) <= latencies.total


def test_counts_within_a_bucket_are_spread_evenly() -> None:
    latencies = Latencies((10.0, 20.0), (4.0, 8.0), 9.0)
    assert [latencies.at_most(x) for x in (0, 5, 10, 15, 20, 99)] == [0, 2, 4, 6, 8, 8]


def test_sums() -> None:
    one = Counts(10, 1, Latencies((1.0, 2.0), (4.0, 9.0), 10.0))
    total = one.plus(one).plus(Counts())
    assert total == one.times(2) == Counts(20, 2, Latencies((1.0, 2.0), (8.0, 18.0), 20.0))
    other = Latencies((2.0,), (2.0,), 2.0)
    assert one.latencies.plus(other) == Latencies((1.0, 2.0), (5.0, 11.0), 12.0)


def test_nothing_is_known_of_nothing() -> None:
    assert Latencies().quantile(0.5) is None
    assert Latencies.of({}) == Latencies()
    assert Counts().error_share is None


def test_halves_add_up_and_are_even_in_the_long_run() -> None:
    whole = Counts(10_000, 400, Latencies((10.0, 20.0), (6_000.0, 9_000.0), 10_000.0))
    one, other = halves(whole, Random(1))
    assert one.plus(other) == whole
    for each in (one, other):
        assert abs(each.requests - 5_000) < 250  # five standard deviations
        assert abs(each.failures - 200) < 50
        assert list(each.latencies.counts) == sorted(each.latencies.counts)
        assert each.latencies.counts[-1] <= each.latencies.total
    assert halves(Counts(), Random(1)) == (Counts(), Counts())
