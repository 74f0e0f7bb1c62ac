"""What the demo shows fits its terminal and rounds nothing away."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mesh.cli.demo_metrics import Edge, EdgeStats, LoadTotals
from mesh.cli.demo_view import Picture, commands_to_try, milliseconds, percent, plain_line, render, summary

REPORT = {"milliseconds": [5.0] * 10, "statuses": {"200": 9, "503": 1}, "versions": {"v1": 8, "v2": 1}, "skipped": 0}


def picture() -> Picture:
    totals = LoadTotals.of([REPORT])
    edges = {
        Edge("productpage", "reviews", "v1"): EdgeStats(9.5, 0.9, 4.2, 31.0),
        Edge("istio-ingressgateway", "productpage", "v1"): EdgeStats(0.0, None, None, None),
    }
    made = Picture(
        20,
        url="http://127.0.0.1:8080/productpage",
        server="http://127.0.0.1:15080",
        seconds=12,
        left=8,
        totals=totals,
        recent=totals,
        edges=edges,
    )
    made.events.append("reviews-v1 ended with code 137; it is started again")
    made.hosts = ["productpage-v1 → reviews 127.0.1.21:15006: ejected after failures"]
    return made


@pytest.mark.fault(41)
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 50), (60, 12), (60, 24)])
def test_the_view_fits(width: int, height: int) -> None:
    out = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with out.capture() as capture:
        out.print(render(picture(), width, height))
    lines = capture.get().splitlines()
    assert len(lines) <= height
    assert "90.00 %" in capture.get()
    assert max(len(line) for line in lines) <= width
    for figure in ("9.5", "90.0 %", "31 ms", "p50 5.1 ms", "p99 5.1 ms", "20 pages/s", "8 s left"):
        assert figure in capture.get(), "a figure, or its unit, is cut off"
    assert ("4.2 ms" in capture.get()) == (width >= 76)


@pytest.mark.fault(41)
def test_the_headline_s_latencies_are_those_of_the_rows() -> None:
    """Of the last seconds: what was slow an hour ago does not stay slow in the headline."""
    old = {**REPORT, "milliseconds": [900.0] * 1000}
    made = picture()
    made.totals, made.recent = LoadTotals.of([old, REPORT]), LoadTotals.of([REPORT])
    out = Console(file=io.StringIO(), width=100, color_system=None)
    with out.capture() as capture:
        out.print(render(made, 100, 50))
    assert "p50 5.1 ms" in capture.get()
    assert "p50 5.1 ms" in plain_line(made)


@pytest.mark.fault(41)
def test_pages_without_reviews_are_not_ok() -> None:
    totals = LoadTotals.of(
        [{"milliseconds": [5.0] * 10, "statuses": {"200": 10}, "versions": {"v1": 6, "none": 4}, "skipped": 0}]
    )
    made = picture()
    made.totals = totals
    assert "60.00 % ok" in plain_line(made)
    assert "success    60.00 %" in summary(totals, 20)
    out = Console(file=io.StringIO(), width=100, color_system=None)
    with out.capture() as capture:
        out.print(render(made, 100, 50))
    assert "60.00 % ok" in capture.get() and "4 without reviews" in capture.get()


def test_callers_come_in_the_order_of_a_request() -> None:
    out = Console(file=io.StringIO(), width=100, color_system=None)
    with out.capture() as capture:
        out.print(render(picture(), 100, 50))
    text = capture.get()
    assert text.index("\nistio-ingressgateway") < text.index("\nproductpage")
    assert "ejected after failures" in text
    assert "it is started again" in text


def test_a_new_demo_has_nothing_to_show_yet() -> None:
    out = Console(file=io.StringIO(), width=100, color_system=None)
    with out.capture() as capture:
        out.print(render(Picture(20), 100, 50))
    assert "no metrics yet" in capture.get()
    assert plain_line(Picture(20))


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.00 %"), (0.9999999, "99.99 %"), (0.5, "50.00 %"), (0.0, "0.00 %"), (None, "–")],
)
def test_percent_never_rounds_a_failure_away(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_milliseconds() -> None:
    assert [milliseconds(value) for value in (None, 4.25, 31.7)] == ["–", "4.2 ms", "32 ms"]


def test_plain_line_and_summary() -> None:
    totals = LoadTotals.of([REPORT, {**REPORT, "versions": {"none": 2}, "skipped": 3}])
    text = "\n".join(summary(totals, 20))
    for part in ("20 in 20.0 s", "80.00 %", "reviews v1      8    88.9%", "503: 2", "2 pages without", "not sent   3"):
        assert part in text
    line = plain_line(Picture(20, totals=totals, recent=totals))
    assert "v1 89%" in line
    assert "2 pages without reviews" in line


def test_commands_are_those_of_the_readers_shell() -> None:
    default = commands_to_try(Picture(20, server="http://127.0.0.1:15080"))
    other = commands_to_try(Picture(20, server="http://127.9.9.1:15080", mesh=".venv/bin/mesh", examples="/x"))
    assert default[0][1] == "mesh apply -w -f examples/bookinfo/networking/reviews-90-10.yaml"
    assert other[0][1] == ".venv/bin/mesh apply -s http://127.9.9.1:15080 -w -f /x/reviews-90-10.yaml"
