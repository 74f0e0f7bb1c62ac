"""A board without Grafana: its panels with what a Prometheus says, as one HTML page.

    python -m examples.grafana.draw mesh-overview --prometheus http://127.0.0.1:9090 > board.html
    chromium --headless --screenshot=board.png --window-size=1280,1600 board.html

Stats, time series, state timelines and tables, each at the place that it has in Grafana.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

FOLDER: Final = Path(__file__).parent / "dashboards"
STEPS: Final = 120  # points of a series
VARIABLES: Final = {"service": ".*", "workload": ".*", "proxy": ".*"}
COLOURS: Final = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#17becf",
    "#bcbd22",
    "#7f7f7f",
)
STATES: Final = {0.0: "#2f9e44", 1.0: "#f59f00", 2.0: "#e03131"}
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 190, 66, 18  # of a plot
NAMES_SHOWN = 8
_open = build_opener(ProxyHandler({})).open

_PAGE: Final = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 13px/1.4 "DejaVu Sans", sans-serif; margin: 12px; background: #f4f5f5; color: #222 }}
h1 {{ font-size: 18px; margin: 2px 0 8px }}
main {{ display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px }}
section {{ background: #fff; border: 1px solid #ddd; padding: 6px 10px; min-width: 0 }}
h2 {{ font-size: 13px; margin: 0 0 4px }} .row {{ background: none; border: none; padding: 4px 0 0 }}
.stat {{ font-size: 28px; text-align: center; padding: 8px 0; color: #1a7f37 }}
.key {{ display: inline-block; margin-right: 10px; font-size: 11px }} .none {{ color: #999; text-align: center }}
i {{ display: inline-block; width: 10px; height: 10px; margin-right: 4px }}
svg {{ width: 100%; display: block }} text {{ font-size: 10px; fill: #666 }}
table {{ width: 100%; border-collapse: collapse }}
td, th {{ text-align: left; padding: 2px 8px; border-bottom: 1px solid #eee }}
</style></head><body><h1>{title}</h1><main>{panels}</main></body></html>
"""


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A Prometheus, and of which time: Unix seconds."""

    prometheus: str
    begin: float
    end: float
    variables: Mapping[str, str]

    def series(self, expression: str, legend: str) -> list[Series]:
        step = max(1, round((self.end - self.begin) / STEPS))
        variables = {
            "__rate_interval": f"{max(4 * step, 20)}s",
            "__range": f"{self.end - self.begin:.0f}s",
            **self.variables,
        }
        query = re.sub(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))", lambda found: variables[found[1] or found[2]], expression)
        words = urlencode({"query": query, "start": self.begin, "end": self.end, "step": step})
        with _open(f"{self.prometheus}/api/v1/query_range?{words}", timeout=30) as answer:
            found = json.load(answer)["data"]["result"]
        return [Series(_name(legend, each["metric"]), each["metric"], _points(each["values"])) for each in found]


def _name(legend: str, labels: Mapping[str, str]) -> str:
    if legend in ("", "__auto"):
        return ", ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend).strip()


def _points(values: Sequence[tuple[float, str]]) -> list[tuple[float, float]]:
    return [(at, float(text)) for at, text in values if text not in ("NaN", "+Inf", "-Inf")]


# ── panels ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def page(board: Mapping[str, Any], asked: Asked) -> str:
    panels = "".join(_panel(panel, asked) for panel in board["panels"])
    return _PAGE.format(title=escape(board["title"]), panels=panels)


def _panel(panel: Mapping[str, Any], asked: Asked) -> str:
    at = panel["gridPos"]
    place = f"grid-column: {at['x'] + 1} / span {at['w']}; grid-row: {at['y'] + 1} / span {at['h']}"
    title = f"<h2>{escape(panel['title'])}</h2>"
    if panel["type"] == "row":
        return f'<section class="row" style="{place}">{title}</section>'
    unit = partial(_with_unit, panel.get("fieldConfig", {}).get("defaults", {}).get("unit", ""))
    targets = [target for target in panel.get("targets", ()) if target.get("expr")]
    found = [asked.series(target["expr"], target.get("legendFormat", "")) for target in targets]
    every = [series for each in found for series in each if series.points]
    if not every:
        body = '<p class="none">no data</p>'
    elif panel["type"] == "stat":
        body = f'<div class="stat">{unit(every[0].points[-1][1])}</div>'
    elif panel["type"] == "table":
        body = _table(found, [_heading(panel, target) for target in targets])
    elif panel["type"] == "state-timeline":
        body = _states(every, asked)
    else:
        body = _lines(every, asked, unit)
    return f'<section style="{place}">{title}{body}</section>'


def _heading(panel: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """What the panel calls a query's column."""
    value = f"Value #{target.get('refId', '')}"
    renamed = (each.get("options", {}).get("renameByName", {}) for each in panel.get("transformations", ()))
    return next((names[value] for names in renamed if value in names), value)


def _table(found: Sequence[Sequence[Series]], headings: Sequence[str]) -> str:
    """A row for each set of labels, a column for each query."""
    rows: dict[str, list[str]] = {}
    for column, series in enumerate(found):
        for each in series:
            if each.points:
                rows.setdefault(each.name, ["–"] * len(found))[column] = f"{each.points[-1][1]:.4g}"
    lines = (
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for name, cells in rows.items()
    )
    head = "".join(f"<th>{escape(each)}</th>" for each in ("", *headings))
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _states(series: Sequence[Series], asked: Asked) -> str:
    shown = sorted(series, key=lambda each: -max(value for _, value in each.points))[:NAMES_SHOWN]
    height, left, wide = 20, 220, 1160
    scale = (wide - left) / (asked.end - asked.begin)
    parts = []
    for line, each in enumerate(shown):
        parts.append(f'<text x="0" y="{line * height + 13}">{escape(each.name)}</text>')
        step = (asked.end - asked.begin) / STEPS * scale + 1
        for at, value in each.points:
            x = left + (at - asked.begin) * scale
            fill = STATES.get(value, STATES[2.0])
            parts.append(
                f'<rect x="{x:.1f}" y="{line * height + 2}" width="{step:.1f}" height="{height - 4}" fill="{fill}"/>'
            )
    return f'<svg viewBox="0 0 {wide} {len(shown) * height}">{"".join(parts)}</svg>'


def _lines(series: Sequence[Series], asked: Asked, unit: partial[str]) -> str:
    most = max(value for each in series for _, value in each.points) or 1.0
    across, up = (WIDTH - LEFT) / (asked.end - asked.begin), (HEIGHT - BOTTOM - 6) / (most * 1.05)
    parts = list(_grid(most, up, unit, asked))
    for number, each in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        for run in _runs(each.points, 3 * (asked.end - asked.begin) / STEPS):
            places = " ".join(
                f"{LEFT + (at - asked.begin) * across:.1f},{HEIGHT - BOTTOM - value * up:.1f}" for at, value in run
            )
            parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    keys = "".join(
        f'<span class="key"><i style="background: {COLOURS[number % len(COLOURS)]}"></i>{escape(each.name)}</span>'
        for number, each in enumerate(series[:NAMES_SHOWN])
    )
    more = f'<span class="key">and {len(series) - NAMES_SHOWN} more</span>' if len(series) > NAMES_SHOWN else ""
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>{keys}{more}'


def _runs(points: Sequence[tuple[float, float]], gap: float) -> Iterator[list[tuple[float, float]]]:
    """The points, apart where nothing is known for longer than `gap`."""
    run: list[tuple[float, float]] = []
    for point in points:
        if run and point[0] - run[-1][0] > gap:
            yield run
            run = []
        run.append(point)
    yield run


def _grid(most: float, up: float, unit: partial[str], asked: Asked) -> Iterator[str]:
    for part in range(5):
        value = most * part / 4
        y = HEIGHT - BOTTOM - value * up
        yield f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
        yield f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{unit(value)}</text>'
    for part in range(5):
        moment = asked.begin + (asked.end - asked.begin) * part / 4
        x = LEFT + (WIDTH - LEFT) * part / 4
        anchor = "start" if part == 0 else "end" if part == 4 else "middle"
        shown = time.strftime("%H:%M:%S", time.localtime(moment))
        yield f'<text x="{x:.0f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{shown}</text>'


def _with_unit(unit: str, value: float) -> str:
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    suffix = {"reqps": " req/s", "ms": " ms", "s": " s", "bytes": " B", "Bps": " B/s"}.get(unit, "")
    return f"{value:.3g}{suffix}" if abs(value) < 1000 else f"{value:,.0f}{suffix}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="examples.grafana.draw", description=__doc__.partition("\n")[0])
    parser.add_argument("board", choices=sorted(path.stem for path in FOLDER.glob("*.json")))
    parser.add_argument("--prometheus", metavar="URL", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=5.0, help="how far back (default 5)")
    parser.add_argument(
        "--variable", action="append", default=[], metavar="NAME=VALUE", help="of the board, as service=reviews"
    )
    given = parser.parse_args(arguments)
    variables = VARIABLES | dict(each.split("=", 1) for each in given.variable)
    now = time.time()
    asked = Asked(given.prometheus, now - 60 * given.minutes, now, variables)
    print(page(json.loads((FOLDER / f"{given.board}.json").read_text(encoding="utf-8")), asked))


if __name__ == "__main__":
    main()
