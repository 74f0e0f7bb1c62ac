"""`ads_scale --matrix`: every shape in a process of its own, and the page about it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.bench.push_page import machine, put, rows_table, table

SHAPES: Final = (
    "100x50",
    "100x50:whole",
    "100x50:sotw",
    "100x50:ours",
    "300x200",
    "1000x200",
    "1000x1000",
    "5000x100",
    "1000x100/20",
    "5000x100/20",
)
LONG: Final = frozenset({(300, 200), (1000, 200)})  # where changes follow one another for a minute
LONG_SECONDS, SHORT_SECONDS = 60.0, 5.0
BASE_MB, PROXY_MB = 110, 0.1


@dataclass(frozen=True, slots=True)
class Shape:
    """`1000x200/20:sotw`: services, proxies, services that each proxy is told of, and what the proxies speak."""

    services: int
    proxies: int
    scope: int = 0
    client: str = "delta"

    @classmethod
    def read(cls, text: str) -> Self:
        rest, _, client = text.partition(":")
        size, _, scope = rest.partition("/")
        services, _, proxies = size.partition("x")
        return cls(int(services), int(proxies), int(scope or 0), client or "delta")

    def __str__(self) -> str:
        scope = f", {self.scope} in scope" if self.scope else ""
        kind = {
            "delta": "delta",
            "whole": "delta, no VHDS",
            "sotw": "state of the world",
            "ours": "our sidecar's client",
        }[self.client]
        return f"{self.services:,} services, {self.proxies:,} proxies{scope} ({kind})"


Results = dict[Shape, dict[str, dict[str, Any]]]  # rows by event


def matrix(options: argparse.Namespace) -> None:
    results: Results = {}
    for shape in map(Shape.read, options.shapes or SHAPES):
        print(f"\n{shape}", flush=True)
        results[shape] = measured(shape, options)
    limits = limits_table(results)
    print(f"\n{limits}")
    if options.write:
        tables = "\n".join(f"### {shape}\n\n{rows_table(rows)}" for shape, rows in results.items())
        put(options.write, "Limits", limits)
        put(options.write, "What each change costs", f"{_HOW}\n{tables}\n{machine()}")


_HOW: Final = """\
Real sockets, the proxies in two other processes on the same cores. Seconds are from when the change is published, without
the debounce, until a proxy has acknowledged it; CPU seconds and memory are the control plane's alone. RSS is that after
five quiet seconds, and at most until then.

```sh
.venv/bin/python -m tests.bench.ads_scale --matrix --write docs/pushes.md
```
"""


def measured(shape: Shape, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    long = (shape.services, shape.proxies) in LONG
    seconds = options.seconds or (LONG_SECONDS if long else SHORT_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "tests.bench.ads_scale", "--results", str(kept), "--client", shape.client]
        command += ["--services", str(shape.services), "--proxies", str(shape.proxies), "--scope", str(shape.scope)]
        command += ["--endpoints", str(options.endpoints), "--quiet", str(options.quiet)]
        command += ["--seconds", str(seconds), "--processes", str(options.processes)]
        subprocess.run(command, check=True)
        return {row["event"]: row for row in json.loads(kept.read_text())}


def limits_table(results: Results) -> str:
    """What is promised, and what was measured where that can be told."""
    lines = []
    for shape, rows in results.items():
        route, endpoint = rows["that route changed"], rows["one endpoint again"]
        seconds = {(1000, 200): 0.5, (1000, 1000): 2.0}.get((shape.services, shape.proxies))
        for name, row in (("one endpoint", endpoint), ("one route", route)):
            limit = f"p99 < {seconds:g} s" if seconds else ""
            if shape.proxies == 200 and seconds:
                limit += ", at most 0.5 CPU s"
            lines.append((str(shape), name, f"p99 {row['p99']:.2f} s, {row['cpu']:.2f} CPU s", limit))
        steady = next((row for event, row in rows.items() if event.endswith("a second")), None)
        if steady is not None:
            share = f"{steady['cpu'] / steady['seconds']:.2f} of a processor"
            limit = "under 0.5" if (shape.services, shape.proxies) == (300, 200) else ""
            lines.append((str(shape), "10 endpoints a second", share, limit))
        settled = max(row["rss"] for row in rows.values())
        lines.append((str(shape), "memory", f"{settled:.0f} MB", f"{BASE_MB + PROXY_MB * shape.proxies:.0f} MB"))
    return table(("of", "what", "measured", "limit"), lines)
