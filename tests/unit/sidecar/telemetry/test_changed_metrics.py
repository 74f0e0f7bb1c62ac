from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sidecar.config.model import Direction, MetricChange
from sidecar.telemetry import istio_metrics
from sidecar.telemetry.changed_metrics import changed_requests, changed_sessions
from sidecar.telemetry.istio_metrics import REQUEST_LABELS, TCP_LABELS, IstioMetrics
from sidecar.telemetry.prometheus import IstioCollector
from sidecar.telemetry.tcp_metrics import TCP_METRICS
from sidecar.telemetry.uses import Use
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, exchange, node
from tests.unit.sidecar.telemetry.test_istio_metrics import RATINGS


class Recorded:
    """Requests that were recorded with changes, as a scrape sees them."""

    def __init__(self, *changes: MetricChange, direction: Direction = Direction.OUTBOUND) -> None:
        self.metrics, self.changes = IstioMetrics(node()), changes
        self.record = changed_requests(self.metrics, direction, changes)

    @property
    def use(self) -> Use:
        return Use(False, True, self.changes)

    def of(self, **fields: Any) -> Recorded:
        self.record(exchange(**fields), CLOCK_START + 0.042)
        return self

    def samples(self, metric: str) -> list[tuple[dict[str, str], float]]:
        return samples(self.metrics, metric)


def samples(metrics: IstioMetrics, name: str) -> list[tuple[dict[str, str], float]]:
    registry = CollectorRegistry()
    registry.register(IstioCollector(metrics))
    return [
        (sample.labels, sample.value)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
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


# ── what nobody counts any more ───────────────────────────────────────────────────────────────────────────────────────


def test_series_of_before_go() -> None:
    """They would stand beside the new ones, under the same labels where a metric is as usual."""
    metrics = IstioMetrics(node())
    before = metrics.requests(Direction.OUTBOUND)
    before(exchange(peer=RATINGS), CLOCK_START)
    asked = metrics.requests(Direction.INBOUND)
    asked(exchange(peer=RATINGS), CLOCK_START)
    after = changed_requests(metrics, Direction.OUTBOUND, (MetricChange("request_bytes", drop=True),))
    metrics.forget(Use(False, True))
    after(exchange(peer=RATINGS), CLOCK_START)
    before(exchange(peer=RATINGS), CLOCK_START)  # on a connection that is left, with and without a series of its own
    before(exchange(peer=RATINGS, status=500), CLOCK_START)
    counted = samples(metrics, "istio_requests_total")
    assert sorted((labels["reporter"], value) for labels, value in counted) == [("destination", 1), ("source", 1)]
    assert [labels["reporter"] for labels, _ in samples(metrics, "istio_request_bytes_count")] == ["destination"]


def test_what_is_usual_again_begins_anew() -> None:
    recorded = Recorded(MetricChange("requests_total", tags=(("path", "request.path"),))).of()
    recorded.metrics.requests(Direction.OUTBOUND)(exchange(peer=RATINGS), CLOCK_START)
    recorded.metrics.forget(recorded.use)
    recorded.of()  # on a connection that is left
    ((labels, value),) = recorded.samples("istio_requests_total")
    assert "path" not in labels and value == 1


# ── TCP ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tags_of_sessions() -> None:
    metrics = IstioMetrics(node())
    changes = (
        MetricChange("tcp_connections_opened_total", tags=(("port", "string(upstream.port)"),)),
        MetricChange("tcp_sent_bytes_total", drop=True),
        MetricChange("tcp_received_bytes_total", removed=frozenset(("response_flags",))),
    )
    opened, closed = changed_sessions(metrics, Direction.OUTBOUND, changes, 5.0)
    session = exchange(peer=RATINGS, status=0)
    opened(session)
    session.bytes_received = 10
    closed(session, CLOCK_START + 1)
    found = {name: samples(metrics, f"istio_{name}") for name in TCP_METRICS}
    ((labels, value),) = found["tcp_connections_opened_total"]
    assert (labels["port"], value) == ("9080", 1) and set(labels) == {*TCP_LABELS, "port"}
    assert not found["tcp_sent_bytes_total"]
    ((labels, value),) = found["tcp_received_bytes_total"]
    assert value == 10 and set(labels) == {*TCP_LABELS} - {"response_flags"}
    ((labels, value),) = found["tcp_connections_closed_total"]
    assert value == 1 and set(labels) == {*TCP_LABELS}


def test_sessions_of_before_go() -> None:
    metrics = IstioMetrics(node())
    opened, closed = metrics.sessions(Direction.OUTBOUND)
    session = exchange(peer=RATINGS)
    opened(session)
    changed_sessions(metrics, Direction.OUTBOUND, (MetricChange("tcp_sent_bytes_total", drop=True),), 5.0)
    metrics.forget(Use(True, True))
    closed(session, CLOCK_START)
    assert not metrics.tcp.all_series()
