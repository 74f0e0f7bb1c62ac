"""`mesh run --group`: members of a WorkloadGroup come with their sidecar, are used while their probe passes, and go."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.node import SIDECAR, Node
from tests.harness.ports import free_network
from tests.harness.process import Process, wait_until
from tests.integration.cases.conftest import READY_SECONDS, proxy, ready
from tests.integration.control_plane.support import ControlPlane

EXAMPLE = Path(__file__).parents[3] / "examples" / "workload-group" / "reviews.yaml"
CONFIG = """apiVersion: networking.istio.io/v1
kind: ProxyConfig
metadata: {name: workers}
spec: {selector: {matchLabels: {app: reviews-vm}}, concurrency: 2, environmentVariables: {TEAM: shop}}
"""
APP = """
import sys, os, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ill = self.path == "/health" and os.path.exists(sys.argv[2])
        self.send_response(503 if ill else 200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((sys.argv[1], 9080), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    folder = tmp_path_factory.mktemp("plane")
    with ControlPlane(f"sqlite://{folder}/mesh.db", folder, "--removal-grace", "1s") as running:
        assert running.apply(f"{EXAMPLE.read_text()}---\n{CONFIG}").status == 200
        yield running


def items(plane: ControlPlane) -> list[Any]:
    found: list[Any] = plane.call("GET", "/api/v1/workloads").body["items"]
    return found


def get(address: str, host: str) -> int:
    connection = http.client.HTTPConnection(address, 15001, timeout=10)
    try:
        connection.request("GET", f"http://{host}/")
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_member_comes_and_goes(plane: ControlPlane, tmp_path: Path) -> None:
    network = free_network()
    address, client, ill = f"{network}.1", f"{network}.2", tmp_path / "ill"
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "mesh.cli.main", "run", "--group", "reviews", "--address", address]
    command += [
        "--app-address",
        f"{network}.3",
        "--xds",
        f"127.0.0.1:{plane.xds}",
        "--server",
        f"http://127.0.0.1:{plane.http}",
    ]
    app = [sys.executable, str(tmp_path / "app.py"), f"{network}.3", str(ill)]
    with (
        proxy(Node(SIDECAR, client, "client"), "ours", plane.xds, tmp_path) as asking,
        Process([*command, "--", *app], tmp_path / "run.log") as running,
    ):
        asking.wait_ready(lambda: ready(client), READY_SECONDS)
        plane.until(lambda: _states(plane) == ["healthy"], "a member", 60)
        (member,) = _members(plane)
        assert member["labels"] == {"app": "reviews-vm", "version": "v1"}
        assert member["probe"].startswith("http :9080/health")
        assert get(client, "reviews.example") == 200
        assert _entries(plane) == [(f"reviews-{address}", "True")]
        environment = Path(f"/proc/{_sidecar(running)}/environ").read_bytes().split(b"\0")
        assert b"TEAM=shop" in environment
        # Its probe is its health. (It is asked on all the same as long as there is nobody else.)
        ill.touch()
        plane.until(lambda: _states(plane) == ["unhealthy"], "an ill member", 30)
        assert "status 503" in _members(plane)[0]["problem"]
        assert _entries(plane) == [(f"reviews-{address}", "False")]
        shown = _mesh(plane, "get", "workloadentries").splitlines()[1].split()
        assert shown[:5] == [f"reviews-{address}", "default", address, "unhealthy", "-"]
        ill.unlink()
        plane.until(lambda: _states(plane) == ["healthy"], "a healthy member", 30)
        running.signal(signal.SIGTERM)
        plane.until(lambda: not _members(plane), "no member any more", 60)


def _members(plane: ControlPlane) -> list[Any]:
    return [workload for workload in items(plane) if workload["group"] == "reviews"]


def _entries(plane: ControlPlane) -> list[tuple[str, str]]:
    """Those that members of `reviews` are, with their condition."""
    items = plane.call("GET", "/api/v1/resources?kind=WorkloadEntry").body["items"]
    made = (item["document"] for item in items)
    return [
        (each["metadata"]["name"], each["status"]["conditions"][0]["status"])
        for each in made
        if each["metadata"]["annotations"]["istio.io/autoRegistrationGroup"] == "reviews"
    ]


def _mesh(plane: ControlPlane, *words: str) -> str:
    command = [sys.executable, "-m", "mesh.cli.main", *words, "--server", f"http://127.0.0.1:{plane.http}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _states(plane: ControlPlane) -> list[str]:
    return [member["state"] for member in _members(plane)]


def _sidecar(running: Process) -> int:
    """The child of `mesh run` that is a sidecar with two workers."""

    def found() -> int:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        for child in children:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if b"--concurrency" in words and words[words.index(b"--concurrency") + 1] == b"2":
                return int(child)
        return 0

    return wait_until(found, 10, "a sidecar with two workers")


def test_a_group_that_is_not_there(plane: ControlPlane, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mesh.cli.main", "run", "--group", "nosuch", "--address", f"{free_network()}.1"]
    command += ["--server", f"http://127.0.0.1:{plane.http}", "--", "true"]
    with Process(command, tmp_path / "run.log") as running:
        assert running.wait(60) == 1
        assert "there is no WorkloadGroup of that name in default" in running.log()


@pytest.mark.parametrize("whose", ["ours", "envoy"])
def test_a_proxy_waits_for_its_group(plane: ControlPlane, tmp_path: Path, whose: str) -> None:
    """Whoever starts from a bootstrap file with AUTO_REGISTER_GROUP, an Envoy, too."""
    address, name = f"{free_network()}.1", f"late-{whose}"
    with proxy(Node(SIDECAR, address, f"{name}-1", group=name), whose, plane.xds, tmp_path) as waiting:
        wait_until(lambda: f"no WorkloadGroup default/{name}" in plane.process.log_path.read_text(), 30, "a refusal")
        text = EXAMPLE.read_text().split("---")[0].replace("name: reviews", f"name: {name}", 1)
        assert plane.apply(text).status == 200
        waiting.wait_ready(lambda: ready(address), READY_SECONDS)
        (member,) = (w for w in items(plane) if w["group"] == name)
        assert member["labels"]["app"] == "reviews-vm"
