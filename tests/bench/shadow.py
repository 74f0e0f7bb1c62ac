"""What a mirror costs the primary: `python -m tests.bench.shadow [ROUNDS]`, latencies with and without copies, in turn.

A small mesh of real processes; the client's sidecar sends v1 what an open-loop load asks for. In every other measurement
each request is copied, in turn to v3 and to nobody (a comparer that is down must not be felt either).
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.integration.experiments.stage import ROUTES, Stage

RATE = 20
SECONDS = 10
NOBODY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "nobody"},
    "spec": {
        "hosts": ["nobody.test"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "127.0.0.1", "ports": {"http": 1}}],
    },
}
MIRRORS: dict[str, list[dict[str, Any]]] = {
    "no mirror": [],
    "to v3": [{"destination": {"host": "reviews", "subset": "v3"}, "percentage": {"value": 100}}],
    "to nobody": [{"destination": {"host": "nobody.test", "port": {"number": 80}}, "percentage": {"value": 100}}],
}


def measure(stage: Stage, mirrors: list[dict[str, Any]]) -> tuple[float, float, int]:
    """p50 and p99 in milliseconds, and how many requests failed."""
    routes = copy.deepcopy(ROUTES)
    routes["spec"]["http"][0].update({"mirrors": mirrors} if mirrors else {})  # type: ignore[index]
    stage.apply(NOBODY)
    revision = stage.plane.apply([{"name": "routes.yaml", "text": yaml.safe_dump(routes)}])["revision"]
    assert stage.plane.convergence(revision, 10)["state"] == "converged"
    words = ["load", "http://reviews:9080/", "--rate", str(RATE), "--duration", str(SECONDS), "-o", "json"]
    done = stage.mesh(*words, "--proxy", f"{stage.address('client')}:15001")
    found = json.loads(done.stdout)["all"]
    if not found["latency"]:
        sys.exit(f"nothing was answered: {found['errors']}")
    return found["latency"]["p50"], found["latency"]["p99"], found["requests"] - found["succeeded"]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rows: dict[str, list[tuple[float, float, int]]] = {name: [] for name in MIRRORS}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            stage.start()
            for _ in range(rounds):
                for name, mirrors in MIRRORS.items():
                    rows[name].append(measure(stage, mirrors))
        finally:
            stage.end()
    print(f"{RATE} requests/s for {SECONDS} s, {rounds} times each; medians of the rounds")
    for name, found in rows.items():
        p50, p99 = (statistics.median(row[index] for row in found) for index in (0, 1))
        print(f"{name:12} p50 {p50:6.2f} ms   p99 {p99:7.2f} ms   failed {sum(row[2] for row in found)}")


if __name__ == "__main__":
    main()
