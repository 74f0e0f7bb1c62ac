"""A real Prometheus that scrapes what a test tells it to, and answers queries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.harness.ports import free_port
from tests.harness.process import Process

SCRAPE_SECONDS = 2
_open = build_opener(ProxyHandler({})).open


def binary(name: str) -> str:
    """The path of `prometheus` or `promtool`; skips the calling test where Debian's package is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt-get install prometheus)")
    return found


class Prometheus:
    """Listens on 127.0.0.1:`port`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of the HTTP API; AssertionError with Prometheus' own words for a refusal."""
        try:
            with _open(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10) as response:
                return json.load(response)["data"]
        except HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def ready(self) -> bool:
        try:
            with _open(f"{self.url}/-/ready", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False


@contextmanager
def running_prometheus(
    folder: Path, jobs: Mapping[str, Sequence[Mapping[str, Any]]], rules: Sequence[Path] = ()
) -> Iterator[Prometheus]:
    """`jobs` are the static configs of each job; metrics of `envoy-stats…` are at /stats/prometheus, as in Istio."""
    program = binary("prometheus")
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": job,
                "metrics_path": "/stats/prometheus" if job.startswith("envoy-stats") else "/metrics",
                "static_configs": list(targets),
            }
            for job, targets in jobs.items()
        ],
    }
    path = folder / "prometheus.json"
    path.write_text(json.dumps(config))
    with _process(program, path, folder / "prometheus", folder / "prometheus.log") as prometheus:
        yield prometheus


@contextmanager
def serving(folder: Path, data: Path) -> Iterator[Prometheus]:
    """One that scrapes nothing, and answers from the blocks in `data`."""
    path = folder / "prometheus.json"
    path.write_text("{}")
    with _process(binary("prometheus"), path, data, folder / "prometheus.log") as prometheus:
        yield prometheus


@contextmanager
def _process(program: str, config: Path, data: Path, log: Path) -> Iterator[Prometheus]:
    port = free_port()
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with Process(command, log) as process:
        prometheus = Prometheus(port)
        process.wait_ready(prometheus.ready)
        yield prometheus
