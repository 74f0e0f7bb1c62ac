"""A load's report as a table's rows, as JSON, and as Fortio's JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from mesh.load.processes import Report
from mesh.load.recorder import Totals

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
HEADINGS = ("REQUEST", "REQUESTS", "SUCCESS", "P50", "P90", "P99", "P99.9", "MAX")
FORTIO_PERCENTILES = (50, 75, 90, 95, 99, 99.9)
VERSION = "asyncmesh"


def rows(report: Report) -> Iterator[list[str]]:
    """A row a kind of request, and one for all where there are several."""
    for name, totals in zip(report.names, report.kinds, strict=True):
        yield _row(name, totals)
    if len(report.kinds) > 1:
        yield _row("all", report.totals)


def _row(name: str, totals: Totals) -> list[str]:
    success = "-" if totals.success is None else f"{100 * totals.success:.2f} %"
    quantiles = [milliseconds(totals.quantile(q)) for q in (0.5, 0.9, 0.99, 0.999, 1.0)]
    return [name[:28], str(totals.requests), success, *quantiles]


def milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def failures(totals: Totals) -> str:
    """`503 12, timeout 3`; empty when all went well."""
    found = {str(status): n for status, n in sorted(totals.statuses.items()) if not 200 <= status < 400}
    found |= dict(sorted(totals.errors.items()))
    return ", ".join(f"{name} {n}" for name, n in found.items())


def headline(report: Report) -> str:
    """What was asked for, and what became of it, in a line."""
    totals, plan = report.totals, report.plan
    done = f"{totals.requests} requests in {report.seconds:.1f} s, {report.rate:.1f}/s"
    return f"{plan.schedule.describe()}: {done}"


def as_json(report: Report) -> dict[str, Any]:
    """Everything; latencies in milliseconds, from the moment a request was due (`latency`) or was sent (`service`)."""
    return {
        "schedule": report.plan.schedule.describe(),
        "began": datetime.fromtimestamp(report.began, UTC).isoformat(),
        "seconds": round(report.seconds, 3),
        "rate": round(report.rate, 3),
        "processes": report.plan.processes,
        "connections": report.plan.connections,
        "cpu_us_per_request": round(1e6 * report.cpu / report.totals.requests, 1) if report.totals.requests else None,
        "all": _totals(report.totals),
        "requests": {name: _totals(totals) for name, totals in zip(_distinct(report.names), report.kinds, strict=True)},
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names, numbered where they are there twice."""
    return [name if names.count(name) == 1 else f"{name} #{index + 1}" for index, name in enumerate(names)]


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "succeeded": totals.succeeded,
        "statuses": {str(status): n for status, n in sorted(totals.statuses.items())},
        "errors": dict(totals.errors),
        "labels": dict(totals.labels),
        "received": totals.received,
        "latency": _quantiles(totals.latency, totals),
        "service": _quantiles(totals.service, totals),
        "mean": totals.mean,
        "deviation": totals.deviation,
    }


def _quantiles(histogram: Any, totals: Totals) -> dict[str, float]:
    if not totals.answered:
        return {}
    return {f"p{100 * q:g}": histogram.get_value_at_percentile(100 * q) / 1000 for q in QUANTILES}


def as_fortio(report: Report) -> dict[str, Any]:
    """The fields of Fortio's HTTP results that its report page and the scripts of others read. Seconds."""
    totals, plan = report.totals, report.plan
    return {
        "RunType": "HTTP",
        "Labels": plan.requests[0].url,
        "StartTime": datetime.fromtimestamp(report.began, UTC).isoformat(),
        "RequestedQPS": plan.schedule.describe(),
        "RequestedDuration": f"{plan.seconds:g}s" if plan.seconds else f"exactly {plan.count} calls",
        "ActualQPS": report.rate,
        "ActualDuration": int(report.seconds * 1e9),
        "NumThreads": plan.connections,
        "Version": VERSION,
        "DurationHistogram": _fortio_histogram(totals.latency, totals.answered, totals.mean, totals.deviation),
        "Exactly": plan.count,
        "URL": plan.requests[0].url,
        "NumConnections": 1,
        "RetCodes": {
            **{str(status): n for status, n in sorted(totals.statuses.items())},
            **({"-1": sum(totals.errors.values())} if totals.errors else {}),
        },
        "Sizes": {"Count": totals.answered, "Sum": totals.received},
    }


def _fortio_histogram(histogram: Any, count: int, mean: float | None, deviation: float) -> dict[str, Any]:
    if not count or mean is None:
        return {"Count": 0, "Min": 0, "Max": 0, "Sum": 0, "Avg": 0, "StdDev": 0, "Data": [], "Percentiles": []}
    data, below, start = [], 0, histogram.get_min_value() / 1e6
    for each in histogram.get_recorded_iterator():
        seen = each.total_count_to_this_value
        end = each.value_iterated_to / 1e6
        data.append({"Start": start, "End": end, "Percent": 100 * seen / count, "Count": seen - below})
        below, start = seen, end
    return {
        "Count": count,
        "Min": histogram.get_min_value() / 1e6,
        "Max": histogram.get_max_value() / 1e6,
        "Sum": mean * count / 1000,
        "Avg": mean / 1000,
        "StdDev": deviation / 1000,
        "Data": data,
        "Percentiles": [
            {"Percentile": p, "Value": histogram.get_value_at_percentile(p) / 1e6} for p in FORTIO_PERCENTILES
        ],
    }
