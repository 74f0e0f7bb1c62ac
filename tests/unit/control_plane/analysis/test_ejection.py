"""Outlier detection that cannot eject."""

import pytest

from tests.unit.control_plane.analysis.support import REVIEWS, analysed, codes, deployment, document


def rule(detection: str, more: str = "") -> str:
    return document(
        "DestinationRule", "reviews", f"{{host: reviews, trafficPolicy: {{outlierDetection: {detection}}}{more}}}"
    )


def test_two_hosts_and_ten_percent() -> None:
    workload = deployment("reviews", "app: reviews", replicas=2)
    (found,) = analysed(REVIEWS, workload, rule("{consecutive5xxErrors: 3}"))
    assert (found.code.number, found.field) == ("MESH0004", "spec.trafficPolicy.outlierDetection")
    assert found.message == (
        "reviews has 2 endpoints, and one of them is 50 % of all: more than maxEjectionPercent 10, so that none is ever "
        "ejected. Set maxEjectionPercent to 50 or more"
    )


@pytest.mark.parametrize(
    ("percent", "replicas", "said"), [(49, 2, True), (50, 2, False), (10, 10, False), (10, 9, True)]
)
def test_the_limit_is_envoys(percent: int, replicas: int, said: bool) -> None:
    workload = deployment("reviews", "app: reviews", replicas=replicas)
    found = codes(REVIEWS, workload, rule(f"{{maxEjectionPercent: {percent}}}"))
    assert found == ([("MESH0004", "reviews")] if said else [])


def test_a_subset_counts_its_own() -> None:
    parts = [deployment(f"reviews-{v}", f"app: reviews, version: {v}", replicas=n) for v, n in (("v1", 19), ("v2", 1))]
    subset = "{name: v2, labels: {version: v2}, trafficPolicy: {outlierDetection: {maxEjectionPercent: 60}}}"
    (found,) = analysed(REVIEWS, *parts, rule("{maxEjectionPercent: 60}", f", subsets: [{subset}]"))
    assert found.field == "spec.subsets[0].trafficPolicy.outlierDetection"
    assert "1 endpoint with version=v2, and one of them is 100 % of all" in found.message
