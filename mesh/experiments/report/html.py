"""The report as one HTML file: nothing is loaded, so that it can be handed in; light, dark and on paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from mesh.experiments.checks import share_interval
from mesh.experiments.report import text
from mesh.experiments.report.markdown import METHOD
from mesh.experiments.report.plots import Axis, Band, Line, plot
from mesh.experiments.report.power import power
from mesh.experiments.report.style import STYLE


def html(found: text.Experiment, environment: dict[str, Any], source: str) -> str:
    """The whole page; `source` is the experiment's YAML."""
    title = escape(str(found["question"] or found["name"]))
    body = [f"<h1>{title}</h1>", f'<p class="soft">{escape(_subtitle(found))}</p>', _verdict(found)]
    if "baseline" in found:
        body += ["<h2>Versions</h2>", _table(text.VERSION_HEADINGS, text.versions(found))]
        body += [_table(text.LATENCY_HEADINGS, text.latencies(found))]
        body += ["<h2>Checks</h2>", _table(text.CHECK_HEADINGS, text.checks(found))]
        body += ["<h2>What happened</h2>", *_pictures(found)]
        body += ["<h2>Timeline</h2>", _table(text.EVENT_HEADINGS, text.events(found)), *_grounds(found)]
    body += [
        "<h2>Setup</h2>",
        f"<p>To run it again: <code>mesh experiment run {escape(found['name'])}.yaml</code> with</p>",
    ]
    body += [f"<pre>{escape(source)}</pre>", "<h2>Environment</h2>"]
    body.append(_table(("WHAT", "VALUE"), ([name, str(value)] for name, value in environment.items())))
    body += ["<h2>Method</h2>", f"<p>{escape(METHOD)}</p>"]
    page = f"<body><main>{''.join(body)}</main></body>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head>{page}</html>\n"


def _subtitle(found: text.Experiment) -> str:
    began, ended = text.moment(found.get("began")), text.moment(found.get("ended"))
    names = f"{found['candidate_name']} against {found['baseline_name']}"
    return f"{found['target']}: {names}, {found['strategy']}; {began} to {ended}"


def _verdict(found: text.Experiment) -> str:
    kind = {"promoted": "good", "rolled back": "bad"}.get(found["phase"], "")
    said = escape(str(found["reason"] or found["next"]))
    sentence = str(found.get("sentence", ""))
    more = escape("" if sentence == (found["reason"] or found["next"]) else sentence)
    phase = escape(found["phase"])
    return f'<div class="verdict {kind}"><strong>{phase}</strong>: {said}<br><span class="soft">{more}</span></div>'


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading.capitalize())}</th>" for heading in headings)
    lines = []
    for row in rows:
        cells = "".join(f"<td{_class(cell)}>{escape(cell)}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _class(cell: str) -> str:
    return f' class="{cell}"' if cell in ("kept", "violated") else ""


def _grounds(found: text.Experiment) -> Iterator[str]:
    rows = [
        [f"{event['time'] - found['began']:.1f} s", event["what"], line]
        for event in found["events"]
        for line in event["evidence"]
    ]
    if rows:
        yield "<h2>Evidence at each decision</h2>"
        yield _table(("AFTER", "WHAT", "EVIDENCE"), rows)


def _pictures(found: text.Experiment) -> Iterator[str]:
    began, points = found["began"], found["points"]
    seconds = [point["time"] - began for point in points]
    marks = [event["time"] - began for event in found["events"]]
    time = Axis("seconds since the begin", " s")
    asked = [(at, float(point["weight"])) for at, point in zip(seconds, points, strict=True)]
    observed = [
        (at, 100 * point["split"]) for at, point in zip(seconds, points, strict=True) if point["split"] is not None
    ]
    lines = [Line("asked for", "asked", asked, stepped=True), Line("observed", "candidate", observed)]
    yield plot("The candidate's share of requests", time, Axis("", " %", low=0, high=100), lines, marks=marks)
    yield _success(found, seconds, marks, time)
    for name in ("p50", "p99"):
        lines = [
            Line(found[f"{side}_name"], side, _values(seconds, points, side, name))
            for side in ("baseline", "candidate")
        ]
        yield plot(f"Latency so far, {name}", time, Axis("", " ms", low=0), lines, marks=marks)
    yield _distribution(found)
    yield from power(found)


def _values(seconds: Sequence[float], points: Sequence[Any], side: str, name: str) -> list[tuple[float, float]]:
    return [(at, point[side][name]) for at, point in zip(seconds, points, strict=True) if point[side][name] is not None]


def _success(found: text.Experiment, seconds: Sequence[float], marks: Sequence[float], time: Axis) -> str:
    lines, bands = [], []
    for side in ("baseline", "candidate"):
        shares, rows = [], []
        for at, point in zip(seconds, found["points"], strict=True):
            failed = share_interval(point[side]["failures"], point[side]["requests"], found["alpha"])
            if failed.estimate is None or failed.low is None or failed.high is None:
                continue
            shares.append((at, 100 * (1 - failed.estimate)))
            rows.append((at, 100 * (1 - failed.high), 100 * (1 - failed.low)))
        lines.append(Line(found[f"{side}_name"], side, shares))
        bands.append(Band(side, rows))
    ends = [share for line in lines for _, share in line.points]
    low = min([*ends, 100.0])
    axis = Axis("", " %", low=max(0.0, math.floor(low - max(2.0, (100 - low) / 2))), high=100)
    return plot("Success so far, with always-valid intervals", time, axis, lines, bands, marks)


def _distribution(found: text.Experiment) -> str:
    lines = []
    for side in ("baseline", "candidate"):
        data = found[side]
        rows = [(bound, 100 * share) for bound, share in zip(data["bounds"], data["shares"], strict=True)]
        first = next((index for index, (_, share) in enumerate(rows) if share > 0), 0)
        last = next((index for index, (_, share) in enumerate(rows) if share >= 100), len(rows))
        lines.append(Line(found[f"{side}_name"], side, rows[max(0, first - 1) : last + 1]))
    axis = Axis("milliseconds", "", log=True)
    return plot("Latency: share of requests that took at most so long", axis, Axis("", " %", low=0, high=100), lines)
