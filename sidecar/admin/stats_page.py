"""/stats: Envoy's statistics as text, JSON or for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from json import dumps
from typing import Any

from sidecar.admin.views import QueryError, compile_filter
from sidecar.telemetry.cells import BUCKETS, QUANTILES, Counter, Gauge, Histogram, quantiles, up_to
from sidecar.telemetry.prometheus import used
from sidecar.telemetry.registry import Cell, Stats

_TYPES: Mapping[str, tuple[type[Cell], ...]] = {
    "All": (Counter, Gauge, Histogram),
    "Counters": (Counter,),
    "Gauges": (Gauge,),
    "Histograms": (Histogram,),
    "TextReadouts": (),
}
_KNOWN = ("usedonly", "filter", "format", "type", "histogram_buckets")
_BUCKETS = ("summary", "cumulative", "disjoint")
# Statistics rendered between two breaths.
_PIECE = 1000


class Selection:
    """What a query asks for."""

    def __init__(self, query: Mapping[str, str]) -> None:
        for name in query:
            if name not in _KNOWN:
                raise QueryError(f"{name}: not implemented; {', '.join(_KNOWN)} are")
        self.used_only = "usedonly" in query
        self.matches = compile_filter(query["filter"]) if "filter" in query else None
        try:
            self.kinds = _TYPES[query.get("type", "All")]
        except KeyError as error:
            raise QueryError(f"invalid &type={query['type']}; one of {', '.join(_TYPES)}") from error
        self.buckets = query.get("histogram_buckets", "summary") or "summary"
        if self.buckets not in _BUCKETS:
            raise QueryError(f"usage: /stats?histogram_buckets=({'|'.join(_BUCKETS)})")

    def takes(self, name: str, cell: Cell) -> bool:
        if not isinstance(cell, self.kinds) or (self.used_only and not used(cell)):
            return False
        return self.matches is None or bool(self.matches(name))


async def selected(stats: Stats, selection: Selection) -> tuple[list[tuple[str, float]], list[tuple[str, Histogram]]]:
    """Counters and gauges, and histograms, each in order of their names; lets the loop breathe on the way."""
    plain: list[tuple[str, float]] = []
    histograms: list[tuple[str, Histogram]] = []
    for part in stats.parts():
        for stat in part:
            if selection.takes(stat.name, stat.cell):
                if isinstance(stat.cell, Histogram):
                    histograms.append((stat.name, stat.cell))
                else:
                    plain.append((stat.name, stat.cell.value))
        await asyncio.sleep(0)
    plain.sort()
    histograms.sort(key=lambda item: item[0])
    return plain, histograms


async def text(stats: Stats, selection: Selection) -> AsyncIterator[str]:
    plain, histograms = await selected(stats, selection)
    for start in range(0, len(plain), _PIECE):
        yield "".join(f"{name}: {int(value)}\n" for name, value in plain[start : start + _PIECE])
    for name, histogram in histograms:
        if selection.buckets == "summary":
            yield f"{name}: {_summary(histogram)}\n"
        else:
            columns = _buckets(histogram, cumulative=selection.buckets == "cumulative")
            shown = " ".join(f"B{_number(bound)}({now},{ever})" for bound, now, ever in columns)
            yield f"{name}: {shown if histogram.bins else 'No recorded values'}\n"


def _buckets(histogram: Histogram, *, cumulative: bool) -> Iterator[tuple[float, int, int]]:
    """For each of Envoy's bounds how many were at most that (of the last interval, and ever), or in its bucket only."""
    before = (0, 0)
    for bound, now, ever in zip(BUCKETS, up_to(histogram.interval()), histogram.buckets(), strict=True):
        yield (bound, now, ever) if cumulative else (bound, now - before[0], ever - before[1])
        before = now, ever


def _summary(histogram: Histogram) -> str:
    """`P0(interval,since start) …`."""
    ever = quantiles(histogram.bins)
    if not ever:
        return "No recorded values"
    lately = quantiles(histogram.interval()) or [float("nan")] * len(ever)
    return " ".join(
        f"P{_percent(quantile)}({_number(now)},{_number(value)})"
        for quantile, now, value in zip(QUANTILES, lately, ever, strict=True)
    )


def _percent(quantile: float) -> str:
    return f"{quantile * 100:g}"


def _number(value: float) -> str:
    return f"{value:.10g}"


async def as_json(stats: Stats, selection: Selection) -> AsyncIterator[str]:
    plain, histograms = await selected(stats, selection)
    yield '{"stats":['
    for index, (name, value) in enumerate(plain):
        yield ("," if index else "") + dumps({"name": name, "value": int(value)})
    if not histograms:
        yield "]}\n"
        return
    if selection.buckets != "summary":
        yield (
            ("," if plain else "") + dumps({"histograms": [_bucketed(each, selection) for each in histograms]}) + "]}\n"
        )
        return
    computed = [{"name": name, "values": _values(histogram)} for name, histogram in histograms]
    content: dict[str, Any] = {
        "supported_quantiles": [quantile * 100 for quantile in QUANTILES],
        "computed_quantiles": computed,
    }
    yield ("," if plain else "") + dumps({"histograms": content}) + "]}\n"


def _bucketed(named: tuple[str, Histogram], selection: Selection) -> dict[str, Any]:
    name, histogram = named
    columns = _buckets(histogram, cumulative=selection.buckets == "cumulative")
    buckets = [{"upper_bound": bound, "interval": now, "cumulative": ever} for bound, now, ever in columns]
    return {"name": name, "buckets": buckets}


def _values(histogram: Histogram) -> list[dict[str, float | None]]:
    ever: list[float | None] = [*quantiles(histogram.bins)] or [None] * len(QUANTILES)
    lately: list[float | None] = [*quantiles(histogram.interval())] or [None] * len(QUANTILES)
    return [{"interval": now, "cumulative": value} for now, value in zip(lately, ever, strict=True)]
