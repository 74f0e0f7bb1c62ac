from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sidecar.config.model import Direction, MetricChange
from sidecar.telemetry import istio_metrics
from sidecar.telemetry.changed_metrics import changed_requests
from sidecar.telemetry.istio_metrics import REQUEST_LABELS, IstioMetrics
from sidecar.telemetry.prometheus import IstioCollector
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, exchange, node
from tests.unit.sidecar.telemetry.test_istio_metrics import RATINGS


class Recorded:
    """Requests that were recorded with changes, as a scrape sees them."""

    def __init__(self, *changes: MetricChange, direction: Direction = Direction.OUTBOUND) -> None:
        self.metrics = IstioMetrics(node())
        self.record = changed_requests(self.metrics, direction, changes)

    def of(self, **fields: Any) -> Recorded:
        self.record(exchange(**fields), CLOCK_START + 0.042)
        return self

    def samples(self, metric: str) -> list[tuple[dict[str, str], float]]:
        registry = CollectorRegistry()
        registry.register(IstioCollector(self.metrics))
        return [
            (sample.labels, sample.value)
            for family in registry.collect()
            for sample in family.samples
            if sample.name == metric
        ]


def test_a_tag_more_and_one_less_of_one_metric() -> None:
    tags = (("destination_port", "string(upstream.port)"), ("request_method", "request.method"))
    recorded = Recorded(MetricChange("requests_total", False, tags, frozenset(("response_flags",))))
    recorded.of(peer=RATINGS).of(peer=RATINGS, method=b"POST").of(peer=RATINGS)
    counted = {labels["request_method"]: (labels, value) for labels, value in recorded.samples("istio_requests_total")}
    assert {method: value for method, (_, value) in counted.items()} == {"GET": 2, "POST": 1}
    labels = counted["GET"][0]
    assert set(labels) == {*REQUEST_LABELS, "destination_port", "request_method"} - {"response_flags"}
    assert labels["destination_workload"] == "ratings-v1"
    # Of the other metrics everything is as usual.
    ((labels, value),) = recorded.samples("istio_request_duration_milliseconds_count")
    assert (set(labels), value) == (set(REQUEST_LABELS), 3)


def test_a_usual_tag_says_something_else() -> None:
    recorded = Recorded(MetricChange("requests_total", tags=(("source_version", "'canary'"),))).of()
    ((labels, _),) = recorded.samples("istio_requests_total")
    assert labels["source_version"] == "canary"


def test_a_metric_that_is_dropped() -> None:
    recorded = Recorded(MetricChange("request_bytes", drop=True)).of()
    assert not recorded.samples("istio_request_bytes_count")
    assert recorded.samples("istio_response_bytes_count")[0][1] == 1


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("filter_state.upstream_peer.workload", "ratings-v1"),
        ("destination.namespace", "default"),
        ("source.app", "productpage"),
        ("filter_state.downstream_peer.service", "productpage"),
        ("destination.revision", "version-1"),
        ("request.headers['nosuch']", "unknown"),
        ("'nosuch' in request.headers ? 'yes' : 'no'", "no"),
        ("connection.mtls", "false"),
        ("response.code", "200"),
        ("request.path", "x" * 256),
    ],
)
def test_what_tags_may_say(expression: str, expected: str) -> None:
    recorded = Recorded(MetricChange("requests_total", tags=(("tag", expression),)))
    recorded.of(peer=RATINGS, path=b"x" * 1000)
    ((labels, _),) = recorded.samples("istio_requests_total")
    assert labels["tag"] == expected


def test_past_the_limit_series_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(istio_metrics, "MAX_SERIES", 2)
    recorded = Recorded(
        *(MetricChange(name, tags=(("path", "request.path"),)) for name in istio_metrics.REQUEST_METRICS)
    )
    for number in range(5):
        recorded.of(path=b"/%d" % number)
    counted = {labels["path"]: value for labels, value in recorded.samples("istio_requests_total")}
    assert counted == {"/0": 1, "/1": 1, "unknown": 3}
    assert recorded.metrics.overflow.value == 3
