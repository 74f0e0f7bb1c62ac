"""Numbers and rows as reports and views print them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Experiment = Mapping[str, Any]


def moment(seconds: float | None) -> str:
    return "-" if not seconds else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def interval(found: Mapping[str, Any], show: Any) -> str:
    """`99.20 % (98.71 … 99.54)`"""
    if found["estimate"] is None:
        return "-"
    low, high = show(found["low"]), show(found["high"]) if found["high"] is not None else "∞"
    return f"{show(found['estimate'])} ({low} … {high})"


def effect(check: Mapping[str, Any]) -> str:
    """A check's effect in its own unit."""
    name = str(check["name"])
    if "×" in name:
        return interval(check["effect"], lambda value: "-" if value is None else f"{value:.2f} ×")
    if "points" in name:
        return interval(check["effect"], lambda value: "-" if value is None else f"{100 * value:+.2f}")
    if "success" in name:
        return interval(check["effect"], lambda value: f"{percent(value)} fail")
    return interval(check["effect"], milliseconds)


def versions(found: Experiment) -> Iterator[list[str]]:
    """A row a version: requests, success, p50, p90, p99."""
    for side in ("baseline", "candidate"):
        data = found[side]
        quantiles = [milliseconds(data["latency"][name]["estimate"]) for name in ("p50", "p90", "p99")]
        success = data["success"]
        band = "-" if success["estimate"] is None else f"{percent(success['low'])} … {percent(success['high'])}"
        yield [
            f"{found[f'{side}_name']} ({side})",
            f"{data['requests']:.0f}",
            percent(success["estimate"]),
            band,
            *quantiles,
        ]


def latencies(found: Experiment) -> Iterator[list[str]]:
    """A row a version: its quantiles with their intervals, in milliseconds."""
    for side in ("baseline", "candidate"):
        quantiles = (found[side]["latency"][name] for name in ("p50", "p90", "p99"))
        yield [f"{found[f'{side}_name']} ({side})", *(interval(each, _number) for each in quantiles)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


LATENCY_HEADINGS = ("MILLISECONDS", "P50", "P90", "P99")
VERSION_HEADINGS = ("VERSION", "REQUESTS", "SUCCESS", "ALWAYS-VALID INTERVAL", "P50", "P90", "P99")


def checks(found: Experiment) -> Iterator[list[str]]:
    for check in found["checks"]:
        more = "" if check["state"] != "open" else "?" if check["more"] is None else f"{check['more']} more"
        yield [check["name"], check["state"] + (f", {more}" if more else ""), effect(check)]


CHECK_HEADINGS = ("CHECK", "STATE", "EFFECT (ALWAYS-VALID INTERVAL)")


def events(found: Experiment) -> Iterator[list[str]]:
    began = found.get("began") or 0.0
    for event in found["events"]:
        yield [f"{event['time'] - began:.1f} s", event["what"], f"{event['weight']} %", event["reason"]]


EVENT_HEADINGS = ("AFTER", "WHAT", "WEIGHT", "WHY")
