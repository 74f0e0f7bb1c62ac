"""From a number to its trace: a bucket of the duration, as a scraper of OpenMetrics sees it, names a request."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tests.harness.ports import free_ports
from tests.harness.process import Process, http_get, wait_until
from tests.harness.sidecar import sidecar_command
from tests.integration.telemetry.test_collector import BOOTSTRAP, OVER_GRPC

_open = build_opener(ProxyHandler({})).open
EXEMPLAR = re.compile(
    r'istio_request_duration_milliseconds_bucket\{.*\} \d+ # \{trace_id="([0-9a-f]{32})"\} [\d.]+ [\d.]+'
)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bucket_names_the_trace_of_a_request(tmp_path: Path, workers: int) -> None:
    admin, port, nobody = free_ports(3)
    config = tmp_path / "sidecar.yaml"
    config.write_text(BOOTSTRAP.format(admin=admin, port=port, service=OVER_GRPC, collector=nobody))
    command = [*sidecar_command(config), "--concurrency", str(workers)]
    with Process(command, tmp_path / "sidecar.txt", {"XDG_STATE_HOME": str(tmp_path)}) as sidecar:
        sidecar.wait_ready(lambda: http_get(admin, "/ready")[0] == 200)
        wait_until(lambda: http_get(port, "/cart")[0] == 503, 20, "the listener serves")
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with _open(Request(f"http://127.0.0.1:{admin}/stats/prometheus", headers=accept), timeout=10) as answer:
            shown = set(EXEMPLAR.findall(answer.read().decode()))
        spans = http_get(admin, "/traces")[1]
    assert shown
    assert all(trace in spans for trace in shown)
