"""The page that is kept: goals and tables, and how they were taken."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from sidecar.process import native
from tests.bench import tools
from tests.bench.report import Goal, cpu_name, goals_table
from tests.bench.run import Options
from tests.harness.envoy import ROOT, VERSION

_HEADER = """\
# Performance

Written by `make bench ARGS="--write docs/performance.md"`; [how to read it](../tests/bench/README.md), [what each step
won](../tests/bench/HISTORY.md). One worker pinned to one core, the load generator and the upstream on the other; Envoy with
`--concurrency 1` on the same bootstrap; a round of each proxy in turn. Only ratios within one table compare.
"""


def page(options: Options, names: Sequence[str], goals: Sequence[Goal], tables: Sequence[str]) -> str:
    taken = "\n".join(f"- {what}: {value}" for what, value in how(options, names))
    parts = [
        _HEADER,
        "## Goals\n\n" + goals_table(goals),
        "## Tables\n",
        *tables,
        "## How it was taken\n\n" + taken + "\n",
    ]
    return "\n".join(parts)


def how(options: Options, names: Sequence[str]) -> list[tuple[str, str]]:
    proxies = ", ".join(options.competitors(references=True))
    packages = ("uvloop", "httptools", "protobuf", "grpcio")
    return [
        ("date", time.strftime("%Y-%m-%d")),
        ("machine", f"{cpu_name()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}"),
        ("sources", _revision()),
        (
            "ours",
            f"data plane {'compiled (make native)' if native.active() else 'as Python'}, "
            f"Python {platform.python_version()}, {', '.join(f'{each} {metadata.version(each)}' for each in packages)}",
        ),
        ("Envoy", VERSION),
        ("others", "; ".join(filter(None, map(_version, options.proxies)))),
        (
            "load",
            "ours, built in"
            if options.built_in
            else "; ".join(map(tools.version, (["wrk", "-v"], ["h2load", "--version"]))),
        ),
        (
            "rounds",
            f"{options.rounds} of {options.seconds:g} s with {options.connections} connections or as the case says; where a "
            "latency is told half of that with one",
        ),
        ("cases", ", ".join(names)),
        ("proxies", proxies),
    ]


def _version(name: str) -> str:
    if name in ("nginx", "haproxy"):
        binary = tools.find(name, install=False)
        return tools.version([binary, "-v"]) if binary else ""
    if name in ("aiohttp", "mitmproxy"):
        python = tools.VENV / "bin" / "python"
        code = f"from importlib.metadata import version; print('{name}', version('{name}'))"
        return tools.version([str(python), "-c", code]) if python.exists() else ""
    return ""


def _memory() -> str:
    first = Path("/proc/meminfo").read_text().splitlines()[0]
    return f"{int(first.split()[1]) / 1024**2:.0f} GiB"


def _revision() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip() or "not in git"
