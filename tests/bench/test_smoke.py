"""The bench runs and reports; nothing about time is asserted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.bench import measure
from tests.bench.__main__ import main
from tests.bench.cases import CASES, Request
from tests.bench.load import _bytes, _script
from tests.bench.report import Sample, hot_functions, table
from tests.harness.envoy import envoy_binary

FIELDS = {"cpu_us", "rate", "p50", "p99", "single_p50", "single_p99", "resident_mib", "errors"}


def test_both_proxies_run_the_cases_without_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    envoy_binary()
    small = ["--built-in", "--rounds", "1", "--seconds", "0.3", "--connections", "4", "--results", str(tmp_path)]
    assert main(["--case", "plain,mesh", "--proxies", "envoy,mesh-sidecar", *small]) == 0
    (written,) = tmp_path.glob("*.json")
    cases = json.loads(written.read_text())["cases"]
    assert set(cases) == {"plain", "mesh"}
    for proxies in cases.values():
        for (sample,) in proxies.values():
            assert set(sample) == FIELDS
            assert sample["errors"] == 0
            assert sample["rate"] > 0
            assert sample["cpu_us"] > 0
    assert "### mesh" in capsys.readouterr().out


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--case", "nonsense"])
    assert "no such case: nonsense; there are plain" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--proxies", "squid"])
    assert "no such proxy: squid" in capsys.readouterr().err


def test_the_table_has_medians_and_ratios() -> None:
    def sample(cpu: float, errors: int = 0) -> Sample:
        return Sample(cpu, 1000.0, 1.0, 2.0, 3.0, 4.0, 50.0, errors)

    samples = {"envoy": [sample(40), sample(50), sample(90)], "mesh-sidecar": [sample(20), sample(40, 2), sample(30)]}
    lines = table(CASES["plain"], samples, sample(0)).splitlines()
    assert lines[4].startswith("| envoy | 50.0 | 40.0–90.0 | 1.00 |  |")
    assert lines[5].startswith("| mesh-sidecar (2 errors) | 30.0 | 20.0–40.0 | 0.60 (0.33–0.80) |")


def test_hot_functions_are_those_on_top_of_the_stacks() -> None:
    lines = hot_functions("main;a 1\nmain;b 6\nmain;a;b 2\nmain 1").splitlines()
    assert [line.split() for line in lines] == [["80.0", "%", "b"], ["10.0", "%", "a"], ["10.0", "%", "main"]]


def test_requests_for_wrk_are_the_bytes_that_ours_sends() -> None:
    request = Request("POST", "/x", ("Host: a",), 3)
    assert _bytes(request) == b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxxx"
    script = _script([request])
    assert r'"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n" .. string.sub(body, 1, 3)' in script


def test_cpu_time_counts_up() -> None:
    before = measure.cpu_ns(os.getpid())
    sum(range(3_000_000))  # several ticks of the scheduler
    assert measure.cpu_ns(os.getpid()) - before > 1_000_000
