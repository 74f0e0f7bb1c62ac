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


def test_a_terminal_gets_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(HEADINGS, ROWS)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= 60
    assert "reviews-v1.default" in lines[1]
    assert "".join(lines).count("x") == 200  # folded, not cut


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
