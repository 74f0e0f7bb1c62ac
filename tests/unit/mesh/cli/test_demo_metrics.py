"""Metrics to edges, histograms to quantiles, the load generator's reports to totals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.demo_metrics import Counts, Edge, Latencies, LoadTotals, Window, parse, quantile

EDGE = Edge("productpage", "reviews", "v1")


def labels(**more: str) -> str:
    all_labels = {
        "reporter": "source",
        "source_canonical_service": "productpage",
        "destination_canonical_service": "reviews",
        "destination_canonical_revision": "v1",
        **more,
    }
    return ",".join(f'{name}="{value}"' for name, value in all_labels.items())


def test_parse_counts_what_callers_saw() -> None:
    text = "\n".join(
        [
            "# TYPE istio_requests_total counter",
            f"istio_requests_total{{{labels(response_code='200')}}} 7",
            f"istio_requests_total{{{labels(response_code='503')}}} 2",
            f"istio_requests_total{{{labels(response_code='0')}}} 1",
            f"istio_requests_total{{{labels(response_code='200', reporter='destination')}}} 99",
            f"istio_request_duration_milliseconds_bucket{{{labels(le='5')}}} 3",
            f"istio_request_duration_milliseconds_bucket{{{labels(le='+Inf')}}} 10",
            "istio_request_bytes_bucket{} 1",
            "envoy_something 1",
        ]
    )
    assert parse([text]) == {EDGE: Counts(10, 3, {5.0: 3, float("inf"): 10})}
    assert parse([text, text])[EDGE].total == 20


def test_a_destination_without_a_sidecar_is_known_by_its_service() -> None:
    text = f"istio_requests_total{{{labels(destination_canonical_service='unknown', destination_service_name='db')}}} 1"
    assert list(parse([text])) == [Edge("productpage", "db", "v1")]


def test_window_shows_the_change_of_its_seconds() -> None:
    window = Window(5)
    for now in range(10):
        window.add(now, {EDGE: Counts(10.0 * now, 1.0 * now, {10.0: 10.0 * now, float("inf"): 10.0 * now})})
    stats = window.edges()[EDGE]
    assert stats.rate == 10
    assert stats.success == pytest.approx(0.9)
    assert stats.p50 == pytest.approx(5)


def test_window_survives_a_restarted_proxy() -> None:
    window = Window()
    window.add(0, {EDGE: Counts(1000, 0)})
    window.add(1, {EDGE: Counts(5, 0)})
    assert window.edges()[EDGE].rate == 5
    assert Window().edges() == {}


def test_quantile_as_prometheus() -> None:
    buckets = {1.0: 0.0, 5.0: 50.0, 10.0: 90.0, float("inf"): 100.0}
    assert quantile(buckets, 0.5) == 5.0
    assert quantile(buckets, 0.7) == 7.5
    assert quantile(buckets, 0.99) == 10.0
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0}, 0.5) is None


@given(st.lists(st.floats(0.01, 100_000), min_size=1))
def test_latencies_are_right_to_two_percent(values: list[float]) -> None:
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = sorted(values)[max(0, -(-len(values) // 2) - 1)]
    median = latencies.quantile(0.5)
    assert median is not None
    assert exact * 0.999 <= median <= exact * 1.021


@pytest.mark.fault(41)
def test_totals() -> None:
    """A page without its reviews is no success."""
    report = {
        "milliseconds": [1.0, 2.0, 3.0],
        "statuses": {"200": 2, "503": 1},
        "versions": {"v1": 1, "none": 1},
        "skipped": 4,
    }
    totals = LoadTotals.of([report, report])
    assert (totals.requests, totals.succeeded, totals.skipped, totals.fallbacks) == (6, 4, 8, 2)
    assert totals.success == pytest.approx(1 / 3)
    assert totals.shares() == [("v1", 2, 1.0)]
    assert LoadTotals().success is None
    assert LoadTotals().latencies.quantile(0.5) is None
