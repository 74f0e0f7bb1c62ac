"""`python -m tests.bench`: measures, prints a Markdown table per case, writes all samples as JSON."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import document, proxies, report, timings
from tests.bench.cases import CASES
from tests.bench.report import Goal
from tests.bench.run import Options, run_case
from tests.bench.timings import TIMINGS
from tests.harness.envoy import ROOT

RESULTS = Path(__file__).parent / "results"
NAMES = (*CASES, *TIMINGS)
GROUPS = {
    "all": NAMES,
    "http1": ("plain", "mesh", "down-64k", "down-1m", "up-64k", "up-1m", "churn"),
    "http2": tuple(name for name in NAMES if name.startswith(("h1-h2", "h2-", "grpc-"))),
    "growth": tuple(name for name, case in CASES.items() if case.small is not None),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument(
        "--case", default="all", help=f"comma-separated: {', '.join(GROUPS)} (default: all), {', '.join(NAMES)}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each proxy, in turn (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per round (default 2)")
    parser.add_argument("--connections", type=int, default=32, help="default 32")
    parser.add_argument("--proxies", default=",".join(proxies.ALL), help=f"default {','.join(proxies.ALL)}")
    parser.add_argument("--built-in", action="store_true", help="no wrk, no nginx: our own load generator and upstream")
    parser.add_argument("--profile", action="store_true", help="also where mesh-sidecar spends its time, by py-spy")
    parser.add_argument("--against", metavar="TREE", help="also ours from another source tree, or git revision")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    parser.add_argument("--write", type=Path, metavar="FILE", help="all tables as Markdown, with how they were taken")
    given = parser.parse_args(arguments)
    names = list(dict.fromkeys(name for asked in given.case.split(",") for name in GROUPS.get(asked, (asked,))))
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if unknown := [name for name in given.proxies.split(",") if name not in proxies.ALL]:
        parser.error(f"no such proxy: {', '.join(unknown)}; there are {', '.join(proxies.ALL)}")
    with _tree(given.against) as against:
        options = _options(given, against)
        return _run(names, options, given)


def _options(given: argparse.Namespace, against: Path | None) -> Options:
    return Options(
        rounds=given.rounds,
        seconds=given.seconds,
        connections=given.connections,
        proxies=tuple(given.proxies.split(",")),
        built_in=given.built_in,
        profile=given.results if given.profile else None,
        against=against,
    )


def _run(names: Sequence[str], options: Options, given: argparse.Namespace) -> int:
    results: dict[str, Any] = {}
    tables: list[str] = []
    goals: list[Goal] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="mesh-bench-") as scratch:
            folder = Path(scratch)
            if name in CASES:
                samples = run_case(CASES[name], options, folder)
                results[name] = {row: [asdict(sample) for sample in found] for row, found in samples.items()}
                tables.append(report.table(CASES[name], samples))
                goals += report.goals(CASES[name], samples)
            else:
                results[name] = found = TIMINGS[name].run(options, folder, 1)
                tables.append(timings.table(TIMINGS[name], found))
                goals += timings.goals(TIMINGS[name], found)
        print(tables[-1], flush=True)
        if given.write is not None:  # after each case: one that fails takes nothing of the others along
            given.write.write_text(document.page(options, names[: len(tables)], goals, tables), encoding="utf-8")
    print(report.goals_table(goals))
    shown = {key: str(value) for key, value in asdict(options).items()}
    print(f"all samples: {report.write(given.results, results, shown)}")
    return 0


@contextlib.contextmanager
def _tree(against: str | None) -> Iterator[Path | None]:
    """The folder of sources that `--against` names: as it is, or a revision's, taken out of git for the time being."""
    if against is None:
        yield None
    elif Path(against, "sidecar").is_dir():
        yield Path(against).resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="mesh-bench-tree-") as folder:
            archive = subprocess.run(["git", "archive", against, "mesh", "sidecar"], capture_output=True, cwd=ROOT)
            if archive.returncode:
                sys.exit(f"--against {against}: no folder of sources, no revision: {archive.stderr.decode().strip()}")
            subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
            yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
