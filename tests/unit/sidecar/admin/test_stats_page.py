from __future__ import annotations

import json

import pytest

from sidecar.admin import stats_page
from sidecar.admin.stats_page import Selection
from sidecar.admin.views import QueryError
from sidecar.telemetry.stats import Stats


@pytest.fixture
def stats() -> Stats:
    made = Stats()
    made.counter("b.two").value = 2
    made.gauge("a.gauge").value = -1
    made.counter("c.zero")
    made.histogram("a.empty_ms")
    time = made.histogram("b.time_ms")
    for value in (3, 3, 700):
        time.record(value)
    return made


async def text(stats: Stats, **query: str) -> list[str]:
    return "".join([piece async for piece in stats_page.text(stats, Selection(query))]).splitlines()


async def test_text_is_sorted_with_histograms_last(stats: Stats) -> None:
    lines = await text(stats)
    assert lines[:4] == ["a.gauge: -1", "b.two: 2", "c.zero: 0", "a.empty_ms: No recorded values"]
    assert lines[4].startswith("b.time_ms: P0(nan,2.9) P25(nan,")
    assert lines[4].endswith(" P99.9(nan,699.97) P100(nan,700)")
    assert len(lines[4].split()) == 11


async def test_an_interval_is_shown_once_it_is_over(stats: Stats) -> None:
    stats.latch()
    assert "P100(700,700)" in (await text(stats))[-1]


async def test_only_what_was_used(stats: Stats) -> None:
    lines = await text(stats, usedonly="")
    assert [line.partition(":")[0] for line in lines] == ["a.gauge", "b.two", "b.time_ms"]


async def test_filters_are_searched_for(stats: Stats) -> None:
    assert await text(stats, filter="two|zero") == ["b.two: 2", "c.zero: 0"]
    assert await text(stats, filter="^two") == []


async def test_types(stats: Stats) -> None:
    assert await text(stats, type="Gauges") == ["a.gauge: -1"]
    assert await text(stats, type="Counters") == ["b.two: 2", "c.zero: 0"]
    assert len(await text(stats, type="Histograms")) == 2


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"filter": "["}, "Invalid re2 regex: missing"),
        ({"type": "Nope"}, "invalid &type=Nope"),
        ({"histogram_buckets": "detailed"}, r"usage: /stats\?histogram_buckets=\(summary"),
    ],
)
def test_what_is_not_understood_is_refused(query: dict[str, str], reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        Selection(query)


async def test_json_has_envoys_shape(stats: Stats) -> None:
    found = json.loads("".join([piece async for piece in stats_page.as_json(stats, Selection({}))]))
    *plain, last = found["stats"]
    assert plain[0] == {"name": "a.gauge", "value": -1}
    histograms = last["histograms"]
    assert histograms["supported_quantiles"] == [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]
    empty, time = histograms["computed_quantiles"]
    assert empty == {"name": "a.empty_ms", "values": [{"interval": None, "cumulative": None}] * 10}
    assert time["values"][-1] == {"interval": None, "cumulative": 700.0}


async def test_json_of_nothing_is_json() -> None:
    assert json.loads("".join([piece async for piece in stats_page.as_json(Stats(), Selection({}))]))


@pytest.mark.parametrize(("kind", "wanted"), [("cumulative", [0, 0, 1, 1, 3]), ("disjoint", [0, 0, 1, 0, 2])])
async def test_buckets_of_histograms(kind: str, wanted: list[int]) -> None:
    stats = Stats()
    histogram = stats.histogram("h")
    stats.histogram("none")
    for value in (3.0, 11.0, 12.0):
        histogram.record(value)
    histogram.latch()
    histogram.record(20.0)
    selection = stats_page.Selection({"histogram_buckets": kind})
    text = "".join([piece async for piece in stats_page.text(stats, selection)])
    last = f"{wanted[4]},{wanted[4] + 1}"
    assert text.startswith(f"h: B0.5(0,0) B1(0,0) B5(1,1) B10({wanted[3]},{wanted[3]}) B25({last}) ")
    assert text.endswith("none: No recorded values\n")
    found = json.loads("".join([piece async for piece in stats_page.as_json(stats, selection)]))["stats"]
    [first, _] = found[0]["histograms"]
    assert [bucket["interval"] for bucket in first["buckets"]][:5] == wanted
    assert first["buckets"][4]["upper_bound"] == 25
