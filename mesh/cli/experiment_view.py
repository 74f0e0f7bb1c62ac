"""What `mesh experiment watch` shows: a picture for terminals, lines for pipes. Pure but for rich."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mesh.experiments.report import text

BAR = 24


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Each decision once, and where it stands when it has changed. Lines are told apart by their text."""
    began = found.get("began") or 0.0
    for event in found["events"]:
        reason = f": {event['reason']}" if event["reason"] else ""
        yield f"{event['time'] - began:7.1f} s  {event['what']} ({event['weight']} %){reason}"
        yield from (f"           {line}" for line in event["evidence"])
    if found["phase"] == "waiting" and found["next"]:
        yield f"waiting: {found['next']}"
    if found["phase"] not in ("running", "paused", "waiting"):
        yield f"{found['phase']}: {found['reason']}"
        for row in text.versions(found):
            yield f"  {row[0]:28} {row[1]:>8} requests  {row[2]:>9} ok  p50 {row[4]}  p99 {row[6]}"


def picture(found: Mapping[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text(str(found["question"] or found["name"]), style="bold")
    state = Text.assemble((found["phase"], _style(found["phase"])), f"  {found['reason'] or found['next']}")
    if "baseline" not in found:
        return Group(head, state)
    rows = [head, state, Text(_split(found)), Text(found["sentence"], style="dim"), Text("")]
    return Group(
        *rows,
        _table(Table, text.VERSION_HEADINGS, text.versions(found)),
        Text(""),
        _table(Table, text.LATENCY_HEADINGS, text.latencies(found)),
        Text(""),
        _table(Table, text.CHECK_HEADINGS, text.checks(found)),
        Text(""),
        _table(Table, text.EVENT_HEADINGS, list(text.events(found))[-6:]),
    )


def _split(found: Mapping[str, Any]) -> str:
    """`asked for 20 %  █████………………  observed 19.6 %`"""
    shares = [point["split"] for point in found["points"][-10:] if point["split"] is not None]
    observed = sum(shares) / len(shares) if shares else None
    filled = round(BAR * (observed or 0.0))
    return (
        f"asked for {found['weight']} %   {'█' * filled}{'░' * (BAR - filled)}   observed {text.percent(observed, 1)}"
    )


def _table(kind: Any, headings: Any, rows: Any) -> Any:
    from rich.text import Text

    table = kind(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    return table


def _style(cell: str) -> str:
    if cell in ("kept", "promoted", "finished"):
        return "green"
    return "bold red" if cell in ("violated", "rolled back", "paused") else ""
