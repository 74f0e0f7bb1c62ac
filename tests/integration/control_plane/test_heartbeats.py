"""A real app under `mesh run` with a probe: ill, well, ill again, and ended in order; as people and Prometheus see it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.cli.addresses import reserve_local
from tests.harness.ports import free_network, free_port
from tests.harness.process import Process
from tests.integration.control_plane.support import ControlPlane

MESH = [sys.executable, "-m", "mesh.cli.main"]
APP = """
import http.server, os, sys
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ill = os.path.exists(sys.argv[1])
        self.send_response(503 if ill else 200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), App).serve_forever()
"""


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path, "--lost-grace", "1", "--removal-grace", "30") as plane:
        yield plane


def workload(plane: ControlPlane) -> dict[str, Any]:
    items: list[dict[str, Any]] = plane.call("GET", "/api/v1/workloads").body["items"]
    return items[0] if items else {"state": "nobody", "problem": "", "healthy": False}


def until(plane: ControlPlane, state: str) -> None:
    plane.until(lambda: workload(plane)["state"] == state, state, 60.0)


def metrics(plane: ControlPlane) -> str:
    text = urllib.request.urlopen(f"http://127.0.0.1:{plane.metrics}/metrics", timeout=10).read().decode()
    return "\n".join(line for line in text.splitlines() if line.startswith("mesh_workload_"))


@pytest.mark.complaint(15)
def test_a_heart_beats_falters_and_ends(plane: ControlPlane, tmp_path: Path) -> None:
    reservation = reserve_local(free_network())
    reservation.release()
    ill = tmp_path / "ill"
    ill.touch()
    port = free_port()
    words = ["run", "--service", "shop", "--version", "v1", "--port", f"80:{port}", "--address", reservation.address]
    words += ["--app-address", "127.0.0.1", "--xds", f"127.0.0.1:{plane.xds}", "--probe-http", "/healthz"]
    words += ["--probe-period", "0.1", "--probe-timeout", "5", "--probe-failures", "1"]
    app = [sys.executable, "-c", textwrap.dedent(APP), str(ill), str(port)]
    process = Process([*MESH, *words, "--", *app], tmp_path / "run.txt", {"XDG_STATE_HOME": str(tmp_path)})
    try:
        plane.until(lambda: workload(plane)["problem"].endswith("status 503"), "the probe's word", 60.0)
        found = workload(plane)
        assert (found["state"], found["healthy"]) == ("unhealthy", False)
        shown = mesh(plane, "workloads")
        assert f"shop-v1: http :{port}/healthz: status 503" in shown and " unhealthy " in shown
        assert 'mesh_workload_state{namespace="default",service="shop",state="unhealthy",workload="shop-v1"} 1.0' in (
            metrics(plane)
        )
        ill.unlink()
        until(plane, "healthy")
        assert mesh(plane, "services").splitlines()[1].split()[:6] == ["shop", "default", "v1", "1", "of", "1"]
        assert "mesh_workload_last_beat_timestamp_seconds{" in metrics(plane)
        ill.touch()
        until(plane, "unhealthy")
        ill.unlink()
        until(plane, "healthy")
    finally:
        process.stop()
    until(plane, "draining")
    assert 'state="draining"' in metrics(plane)


def mesh(plane: ControlPlane, *words: str) -> str:
    command = [*MESH, *words, "--server", f"http://127.0.0.1:{plane.http}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_another_proxy_cannot_ask(tmp_path: Path) -> None:
    words = ["run", "--service", "a", "--port", "80", "--probe-tcp", "", "--proxy", "envoy", "--", "true"]
    done = subprocess.run([*MESH, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--probe and --app-metrics need our sidecar" in done.stderr
