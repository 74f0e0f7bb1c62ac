"""Scraped pages → what each version did."""

from __future__ import annotations

import pytest

from mesh.experiments.samples import Meter, Reader, Sample, Selection

HOST = "reviews.default.svc.cluster.local"


def line(name: str, value: float, **labels: str) -> str:
    everything = {"reporter": "source", "destination_service": HOST, "destination_version": "v1", **labels}
    pairs = ",".join(f'{key}="{text}"' for key, text in everything.items())
    return f"{name}{{{pairs}}} {value}"


def page(total: float, failed: float = 0, version: str = "v1") -> str:
    return "\n".join(
        [
            "# TYPE istio_requests_total counter",
            line("istio_requests_total", total - failed, response_code="200", destination_version=version),
            line("istio_requests_total", failed, response_code="503", destination_version=version),
            line("istio_request_duration_milliseconds_bucket", total / 2, le="10", destination_version=version),
            line("istio_request_duration_milliseconds_bucket", total, le="+Inf", destination_version=version),
            line("istio_requests_total", 99, reporter="destination"),
            line("istio_requests_total", 99, destination_service="ratings.default.svc.cluster.local"),
            "envoy_something_else 5",
        ]
    )


def samples(total: float, failed: float = 0, version: str = "v1") -> list[Sample]:
    return list(Reader(Selection(HOST)).read(page(total, failed, version)))


def test_only_what_callers_saw_of_the_host_counts() -> None:
    found = samples(10, 2)
    assert [(each.version, each.failed, each.bound, each.value) for each in found] == [
        ("v1", False, None, 8.0),
        ("v1", True, None, 2.0),
        ("v1", True, 10.0, 5.0),
        ("v1", True, float("inf"), 10.0),
    ]


def test_what_was_counted_before_is_not_ours() -> None:
    meter = Meter()
    assert meter.take({"a": samples(100, 10)}) == {}
    done = meter.take({"a": samples(140, 12)})["v1"]
    assert (done.requests, done.failures, done.latencies.counts, done.latencies.total) == (40, 2, (20.0,), 40)
    assert meter.take({"a": samples(140, 12)}) == {}


def test_a_new_series_of_a_known_proxy_counts_from_zero() -> None:
    meter = Meter()
    meter.take({"a": samples(5)})
    done = meter.take({"a": [*samples(5), *samples(7, 1, "v3")]})
    assert (done["v3"].requests, done["v3"].failures) == (7, 1)


def test_a_proxy_that_was_started_again_counts_from_zero() -> None:
    meter = Meter()
    meter.take({"a": samples(100)})
    assert meter.take({"a": samples(30)})["v1"].requests == 30


def test_a_proxy_that_is_silent_for_a_look_loses_nothing() -> None:
    meter = Meter()
    meter.take({"a": samples(10), "b": samples(10)})
    meter.take({"a": samples(20)})
    assert meter.take({"a": samples(20), "b": samples(25)})["v1"].requests == 15


def test_proxies_add_up() -> None:
    meter = Meter()
    meter.take({"a": samples(0), "b": samples(0)})
    assert meter.take({"a": samples(10, 1), "b": samples(20, 2)})["v1"].failures == 3


def test_a_reader_that_knows_its_series_reads_the_same() -> None:
    reader = Reader(Selection(HOST))
    assert list(reader.read(page(10, 2))) == list(reader.read(page(10, 2))) == samples(10, 2)
    assert [each.value for each in reader.read(page(30, 3))] == [each.value for each in samples(30, 3)]


@pytest.mark.parametrize(
    "bad",
    [
        line("istio_requests_total", 1, response_code="200").removesuffix("1") + "many",
        line("istio_requests_total", float("nan"), response_code="200"),
        line("istio_requests_total", float("inf"), response_code="200"),
        line("istio_requests_total", -1, response_code="200"),
        line("istio_request_duration_milliseconds_bucket", 1, le="x"),
        line("istio_request_duration_milliseconds_bucket", 1, le="nan"),
        line("istio_request_duration_milliseconds_bucket", 1, le="0"),
        line("istio_request_duration_milliseconds_bucket", 1),
    ],
)
def test_a_line_that_cannot_be_read_is_left_out(bad: str) -> None:
    assert list(Reader(Selection(HOST)).read(f"{bad}\n{page(10, 2)}")) == samples(10, 2)


@pytest.mark.parametrize(
    ("where", "read"),
    [
        ({"source_app": "shop"}, 7),
        ({"source_app": "shop", "source_workload": "shop-v1"}, 7),
        ({"source_app": "shopping"}, 0),
        ({"app": "shop"}, 0),  # another label ends so
        ({"nobody_has_it": ""}, 8),
    ],
)
def test_only_what_has_all_labels_of_a_filter_counts(where: dict[str, str], read: int) -> None:
    text = "\n".join(
        [
            line("istio_requests_total", 7, source_app="shop", source_workload="shop-v1", response_code="200"),
            line("istio_requests_total", 1, source_app="cron", source_workload="cron-v1", response_code="200"),
        ]
    )
    found = Reader(Selection(HOST, where=tuple(where.items()))).read(text)
    assert sum(each.value for each in found) == read


def test_a_selection_is_written_as_a_selector() -> None:
    text = str(Selection(HOST, where=(("source_app", 'a"b'),)))
    assert text == f'destination_service="{HOST}",reporter="source",source_app="a\\"b"'
