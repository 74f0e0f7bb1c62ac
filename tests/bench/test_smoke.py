"""The bench runs and reports; nothing about time is asserted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.codec.hpack_decoder import Decoder, static_fields
from sidecar.process import native
from tests.bench import ads_scale, costs, measure, receiving, timings, tools
from tests.bench.__main__ import GROUPS, main
from tests.bench.cases import CASES, Request, Upstream, all_cases
from tests.bench.h2_load import Blocks, H2BuiltIn, H2Load
from tests.bench.load import _bytes, _script
from tests.bench.micro import STATIONS
from tests.bench.report import Goal, Sample, goals, goals_table, hot_functions, table
from tests.bench.run import Options, run_case, started_upstream
from tests.bench.timings import TIMINGS
from tests.harness.envoy import envoy_binary

FIELDS = {"cpu_us", "rate", "p50", "p99", "single_p50", "single_p99", "resident_mib", "errors"}
TINY = 1000  # so many times less of everything
OURS = Options(rounds=1, seconds=0.1, connections=2, proxies=("mesh-sidecar",), built_in=True)


def test_both_proxies_run_the_cases_without_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    envoy_binary()
    small = ["--built-in", "--rounds", "1", "--seconds", "0.3", "--connections", "4", "--results", str(tmp_path)]
    kept = tmp_path / "performance.md"
    chosen = ["--case", "plain,mesh", "--proxies", "envoy,mesh-sidecar", "--write", str(kept)]
    assert main([*chosen, *small]) == 0
    (written,) = tmp_path.glob("*.json")
    cases = json.loads(written.read_text())["cases"]
    assert set(cases) == {"plain", "mesh"}
    for rows in cases.values():
        assert set(rows) == {"envoy", "mesh-sidecar", "no proxy"}
        for row, (sample,) in rows.items():
            assert set(sample) == FIELDS
            assert sample["errors"] == 0
            assert sample["rate"] > 0
            assert row == "no proxy" or sample["cpu_us"] > 0
    assert "### mesh" in capsys.readouterr().out
    page = kept.read_text()
    assert f"| mesh | CPU/request | {0.65 if native.active() else 1:.2f} |" in page
    assert "- Envoy: 1.40" in page


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("plain", "mesh")])
def test_the_other_cases_run(name: str, tmp_path: Path) -> None:
    case = all_cases(TINY)[name]
    samples = run_case(case, OURS, tmp_path)
    assert [sample.errors for found in samples.values() for sample in found] == [0] * len(samples)
    assert f"### {name}" in table(case, samples)


@pytest.mark.skipif(tools.find("h2load", install=False) is None, reason="no h2load")
def test_h2load_counts_what_was_answered(tmp_path: Path) -> None:
    with started_upstream(True, tmp_path, Upstream.READER) as port:
        load = H2Load(str(tools.find("h2load")), Request("POST", "/sink", body=100_000), 3, tmp_path)
        found = load.run(port, 2, 0.3)
    assert found.errors == 0
    assert found.requests > 6


def test_http2_of_our_own_notices_resets_and_other_answers(tmp_path: Path) -> None:
    """An HTTP/2 server that knows no path: every answer is an error."""
    with started_upstream(True, tmp_path, Upstream.GRPC) as port:
        found = H2BuiltIn((Request(),), 3).run(port, 2, 0.1)
    assert found.errors == found.requests > 0


def test_header_blocks_name_what_the_first_one_has_entered() -> None:
    requests = (Request(), Request(path="/x"))
    blocks = Blocks(requests)
    decoder = Decoder(static_fields(lambda name, value: 0), lambda name, value: 0, max_list=4096)
    expected = [tuple(part.encode() for part in header.split(": ")) for header in requests[0].headers[1:]]
    for number, request in enumerate(requests):
        block = blocks.block(request, request.path.encode(), first=number == 0)
        fields = [field.pair for field in decoder.decode(block)]
        assert fields[:4] == [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"bench.test"),
            (b":path", request.path.encode()),
        ]
        assert fields[4:] == [(name.lower(), value) for name, value in expected]


def test_groups_are_of_cases_that_there_are() -> None:
    names = {*CASES, *TIMINGS}
    assert all(set(group) <= names for group in GROUPS.values())
    assert {"h1-h2", "h2-plain-8x100", "grpc-stream-mesh", "h2-memory"} <= set(GROUPS["http2"])


@pytest.mark.parametrize("name", list(TIMINGS))
def test_timings_are_taken(name: str, tmp_path: Path) -> None:
    found = TIMINGS[name].run(OURS, tmp_path, TINY)
    for figures in found.values():
        for what, values in figures.items():
            assert values, what
            assert all(value == 0 if what.startswith("failed") else value > 0 for value in values), what
    assert f"| {next(iter(figures))} |" in timings.table(TIMINGS[name], found)


@pytest.mark.parametrize("name", list(STATIONS))
def test_stations_are_measured(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    STATIONS[name](2)
    assert capsys.readouterr().out


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--case", "nonsense"])
    assert "no such case: nonsense; there are plain" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--proxies", "squid"])
    assert "no such proxy: squid" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no folder of sources, no revision"):
        main(["--against", "no-such-revision"])


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def sample(cpu: float, errors: int = 0, **changes: Any) -> Sample:
    values = {"p50": 1.0, "p99": 2.0, "single_p50": 30.0, "single_p99": 40.0, "resident_mib": 50.0, **changes}
    return Sample(cpu, 1000.0, errors=errors, **values)


def test_the_table_has_medians_and_ratios_and_what_is_added() -> None:
    samples = {
        "envoy": [sample(40), sample(50), sample(90)],
        "mesh-sidecar": [sample(20), sample(40, 2), sample(30)],
        "no proxy": [sample(0, single_p50=5.0, resident_mib=0.0)] * 3,
    }
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table(CASES["plain"], samples).splitlines()[4:]
    ]
    columns = {title: [row[at] for row in lines[2:]] for at, title in enumerate(lines[0])}
    assert columns["proxy"] == ["envoy", "mesh-sidecar (2 errors)", "no proxy"]
    assert columns["µs CPU/request"] == ["50.0", "30.0", ""]
    assert columns["spread"] == ["40.0–90.0", "20.0–40.0", ""]
    assert columns["× Envoy"] == ["1.00", "0.60 (0.33–0.80)", ""]
    assert columns["+p50"] == ["25", "25", ""]
    assert "× before" not in columns
    assert goals(CASES["plain"], samples) == [
        Goal("plain", "CPU/request", 0.5 if native.active() else 1.0, 0.6),
        Goal("plain", "added p50", 1.0, 1.0),
    ]


def test_growth_is_beside_envoys() -> None:
    case = CASES["routes-10000"]
    samples = {
        "envoy, 1": [sample(40)],
        "mesh-sidecar, 1": [sample(20)],
        f"envoy, {case.name}": [sample(80)],
        f"mesh-sidecar, {case.name}": [sample(30, resident_mib=25.0)],
    }
    grown = table(case, samples).splitlines()[-1]
    assert grown.startswith(f"| mesh-sidecar, {case.name} | 30.0 | 30.0–30.0 | 0.38 (0.38–0.38) | 1.50 (1.50–1.50) |")
    found = goals(case, samples)
    assert [(goal.what, goal.measured) for goal in found] == [("growth of CPU/request", 0.75), ("resident memory", 0.5)]
    assert goals_table([*found, Goal("x", "y", 1.0, 1.5)]).count("| yes |") == 2


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


@pytest.mark.long
def test_what_seeing_costs_is_measured_and_written(tmp_path: Path) -> None:
    kept = tmp_path / "costs.md"
    few = ["--built-in", "--rounds", "1", "--seconds", "0.2", "--divisor", "50", "--proxies", "mesh-sidecar"]
    assert costs.main([*few, "--write", str(kept)]) == 0
    page = kept.read_text()
    for variant in costs.CASES:
        assert f"| mesh-sidecar | {variant} | " in page
    assert "| ms of a scrape | " in page
    assert "mesh-sidecar: resident then" in page
    assert "errors)" not in page


def test_pushes_are_measured_with_each_kind_of_client(tmp_path: Path) -> None:
    """First push, changes, lost streams, a restart, changes in succession; and the page about it."""
    page = tmp_path / "pushes.md"
    small = ["--quiet", "0", "--processes", "1", "--seconds", "0.2", "--endpoints", "1"]
    ads_scale.main(["--matrix", "--shapes", "4x3", "4x3:sotw", "4x3/2:ours", "--write", str(page), *small])
    text = page.read_text()
    for event in ("first push", "that route changed", "all lose their stream", "control plane restarts"):
        assert text.count(f"| {event} |") == 3
    assert "4 services, 3 proxies, 2 in scope (our sidecar's client)" in text
    assert all(float(line.split("|")[6]) > 0 for line in text.splitlines() if line.startswith("| first push"))


@pytest.mark.long
def test_what_services_cost_a_proxy_is_measured(tmp_path: Path) -> None:
    envoy_binary()
    page = tmp_path / "pushes.md"
    receiving.main(["--services", "4", "--seconds", "0.5", "--write", str(page)])
    cells = [[cell.strip() for cell in line.split("|")] for line in page.read_text().splitlines()]
    rows = {row[2]: row[3:5] for row in cells if len(row) == 7 and row[1] == "4"}
    assert rows.keys() == set(receiving.LABELS.values())
    assert rows.pop("errors") == ["0", "0"]
    assert all(float(envoy) > 0 and float(ours) > 0 for what, (envoy, ours) in rows.items() if "change" not in what)
