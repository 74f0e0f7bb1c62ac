"""Tables on a terminal and in a pipe, ages, documents."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest
import yaml

from mesh.cli.output import Format, age, print_data, print_table

HEADINGS = ["NAME", "STATE"]
ROWS = [["reviews-v1.default", "SYNCED"], ["a", "x" * 200]]


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADINGS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME                 STATE"
    assert lines[2].endswith("x" * 200)


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, headings: list[str], rows: list[list[str]]) -> list[str]:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(headings, rows)
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()


def test_a_terminal_gets_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = on_terminal(monkeypatch, 60, HEADINGS, ROWS)
    assert max(len(line) for line in lines) <= 60
    assert "reviews-v1.default" in lines[1]
    assert "".join(lines).count("x") == 200  # folded, not cut


STATUS = ["NAME", "ADDRESS", "CDS", "LDS", "EDS", "RDS", "CONNECTED"]
ROUTES = ["NAME", "HOST", "MATCH", "TO"]
LONG = "outbound|9080|v1|reviews.default.svc.cluster.local"
WIDE = {
    "proxy-status": (STATUS, [["istio-ingressgateway", "127.0.0.1", "SYNCED", "SYNCED", "SYNCED", "NOT SENT", "119m"]]),
    "routes": (
        ROUTES,
        [["http_proxy", "reviews.default.svc.cluster.local (+7)", "^ / and header end-user", f"{LONG} 90, {LONG} 10"]],
    ),
    "many": ([f"COLUMN{number}" for number in range(12)], [[f"value-{number}" * 3 for number in range(12)]]),
}


@pytest.mark.fault(41)
@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("name", WIDE)
def test_wide_tables_fit_and_lose_nothing(monkeypatch: pytest.MonkeyPatch, name: str, width: int) -> None:
    headings, rows = WIDE[name]
    lines = on_terminal(monkeypatch, width, headings, rows)
    assert max(map(len, lines)) <= width
    shown = re.sub(r"\s", "", "".join(lines))
    for text in (*headings, *rows[0]):
        assert not set(re.sub(r"\s", "", text)) - set(shown)


@pytest.mark.fault(41)
def test_the_status_of_proxies_needs_no_folding_at_80(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(on_terminal(monkeypatch, 80, *WIDE["proxy-status"])) == 2


def test_nothing_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADINGS, [], nothing="no proxies")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no proxies\n")


def test_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = [{"b": 1, "a": "2026-01-01"}, {"c": None}]
    print_data(data, Format.YAML)
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == data
    print_data(data, Format.JSON)
    assert json.loads(capsys.readouterr().out) == data


@pytest.mark.parametrize(
    ("passed", "text"), [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (200_000, "2d")]
)
def test_age(passed: int, text: str) -> None:
    assert age(1000.0, 1000.0 + passed) == text
    assert age(0) == age(None) == "-"
