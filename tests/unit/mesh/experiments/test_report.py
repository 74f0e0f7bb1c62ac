"""Reports: whole, escaped, and of nothing that has to be loaded."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mesh.experiments.checks import ErrorShareIncrease, LatencyRatio
from mesh.experiments.data import Counts, from_values
from mesh.experiments.describe import describe
from mesh.experiments.report.html import html
from mesh.experiments.report.markdown import markdown
from mesh.experiments.report.plots import Axis, Line, plot
from mesh.experiments.resource import Experiment
from mesh.experiments.run import Event, Phase, Point, Run, brief
from mesh.experiments.verdict import explain
from mesh.istio.load import load

EXAMPLES = Path(__file__).resolve().parents[4] / "examples" / "experiments"
BASE = Counts(900, 4, from_values([10.0 + each for each in range(900)], (50, 100, 500, 1000)))
NEW = Counts(100, 0, from_values([12.0 + each for each in range(100)], (50, 100, 500, 1000)))


class Balanced(HTMLParser):
    """Counts what is open; void elements have no end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def found(question: str = "Is it <good>?", run: Run | None = None) -> dict[str, Any]:
    resource = load((EXAMPLES / "reviews-v3.yaml").read_text(encoding="utf-8"))[0]
    spec: Experiment = resource.spec
    judgement = explain((ErrorShareIncrease(0.005), LatencyRatio(0.5, 4)), BASE, NEW, 0.05)
    data = describe(resource.document, spec, run, judgement, "10 % for 3 s more", 1100.0)
    return {**data, "question": question}


def run() -> Run:
    row = Run(1000.0, Phase.ROLLED_BACK, "errors", baseline=BASE, candidate=NEW, ended=1090.0)
    row = row.with_event(Event(1000.0, "began")).with_event(Event(1090.0, "rolled back", "errors", 0, 10, ("e^4 <b>",)))
    for second in range(0, 90, 10):
        row = row.with_point(Point(1000.0 + second, 10, 0.1, brief(BASE), brief(NEW)))
    return row


def test_a_page_is_well_formed_escaped_and_alone() -> None:
    page = html(found(run=run()), {"python": "3 & more"}, "a: <b>")
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert "Is it &lt;good&gt;?" in page and "e^4 &lt;b&gt;" in page and "3 &amp; more" in page
    assert page.count("<svg") == 6
    assert "needed for a verdict, with a chance of 80 %" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert "prefers-color-scheme:dark" in page and "@media print" in page


def test_before_it_has_begun_there_is_a_page_too() -> None:
    page = html(found(), {}, "")
    assert "waiting" in page
    assert "10 % for 3 s more" in markdown(found(), {}, "")


def test_markdown() -> None:
    text = markdown(found(run=run()), {"machine": "x"}, "kind: Experiment")
    assert "| v1 (baseline) | 900 | 99.56 %" in text
    assert re.search(r"\| v1 \(baseline\) \| [\d.]+ \([\d.]+ … [\d.]+\) \|", text)
    assert "| 90.0 s | rolled back | 10 % | errors |" in text


def test_plots_stay_within_their_frame() -> None:
    line = Line("a", "baseline", [(0.0, -5.0), (1.0, 1e9)])
    picture = plot("t", Axis("x"), Axis("y", low=0, high=10), [line])
    path = re.search(r'class="line baseline" d="([^"]*)"', picture)
    assert path
    assert all(0 <= float(number) <= 640 for number in re.findall(r"[\d.]+", path[1]))
    assert "no data" in plot("t", Axis("x"), Axis("y"), [])


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_accepted(file: Path) -> None:
    kinds = [resource.key.kind for resource in load(file.read_text(encoding="utf-8"), file.name)]
    assert kinds.count("Experiment") == 1
