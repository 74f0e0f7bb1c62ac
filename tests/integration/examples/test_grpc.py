"""examples/grpc in a mesh of this machine: what docs/grpc.md shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.node import Node
from tests.harness.ports import free_network, free_port
from tests.harness.process import Process, wait_until
from tests.integration.control_plane.support import ControlPlane

ROOT = Path(__file__).parents[3]
RULES = ROOT / "examples" / "grpc" / "networking"
MESH = [sys.executable, "-m", "mesh.cli.main"]


class Mesh:
    """A control plane and greeters with sidecars; `call` is the client with one of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = free_network()
        self._processes: list[Process] = []
        self.plane = ControlPlane(f"sqlite:///{folder}/mesh.db", folder)
        self.plane.start()
        self._api = f"http://127.0.0.1:{self.plane.http}"

    def greeter(self, version: str, number: int, *options: str) -> None:
        port = free_port()
        app = [sys.executable, "-m", "examples.grpc.greeter", "--port", str(port), "--version", version, *options]
        told = ["--service", "greeter", "--version", version, "--port", f"50051:{port}", "--protocol", "grpc"]
        command = [*MESH, "run", *told, *self._where(number), "--", *app]
        self._processes.append(Process(command, self._folder / f"greeter-{version}.log"))

    def _where(self, number: int) -> list[str]:
        return ["--xds", f"127.0.0.1:{self.plane.xds}", "--address", f"{self._network}.{number}"]

    def call(self, *words: str) -> tuple[int, list[str]]:
        client = [sys.executable, "-m", "examples.grpc.call", *words]
        command = [*MESH, "run", "--service", "client", *self._where(9), "--", *client]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout.splitlines()

    def gateway(self) -> str:
        """An ingress gateway; its address."""
        command = [*MESH, "sidecar", "--gateway", *self._where(7)]
        self._processes.append(Process(command, self._folder / "gateway.log"))
        return f"{self._network}.7"

    def call_directly(self, *words: str, **environment: str) -> tuple[int, list[str]]:
        """Without a sidecar."""
        client = [sys.executable, "-m", "examples.grpc.call", *words]
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | environment
        done = subprocess.run(client, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=env)
        return done.returncode, done.stdout.splitlines()

    def apply(self, name: str) -> None:
        command = [*MESH, "apply", "--wait", "--server", self._api, "-f", str(RULES / name)]
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
        self.plane.process.stop()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    made = Mesh(tmp_path_factory.mktemp("grpc"))
    try:
        made.greeter("v1", 1)
        made.greeter("v2", 2)
        wait_until(lambda: made.call("hello", "Ada")[0] == 0, 60, "a greeter that answers")
        yield made
    finally:
        made.stop()


def test_all_four_kinds(mesh: Mesh) -> None:
    code, lines = mesh.call("hello", "Ada")
    assert code == 0
    assert lines[-1].startswith("hello Ada, says v")
    assert mesh.call("count", "3") == (0, ["1", "2", "3"])
    assert mesh.call("collect", "a", "b") == (0, ["a b"])
    assert mesh.call("chat", "a", "b") == (0, ["a!", "b!"])


def test_from_outside_through_the_gateway(mesh: Mesh) -> None:
    target = f"{mesh.gateway()}:50050"
    mesh.apply("greeter-gateway.yaml")
    wait_until(lambda: mesh.call_directly("hello", "Ada", "--target", target)[0] == 0, 60, "the gateway's answer")
    assert mesh.call_directly("count", "3", "--target", target) == (0, ["1", "2", "3"])
    assert mesh.call_directly("collect", "a", "b", "--target", target) == (0, ["a b"])
    assert mesh.call_directly("chat", "a", "b", "--target", target) == (0, ["a!", "b!"])


def test_a_proxyless_client_calls_what_has_a_sidecar(mesh: Mesh) -> None:
    """It finds the service by xDS, and its calls arrive at the sidecars' inbound side."""
    node = Node("sidecar", "127.0.0.1", "caller", generator="grpc")
    server = {
        "server_uri": f"127.0.0.1:{mesh.plane.xds}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    found = {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps({"xds_servers": [server], "node": node.to_xds()})}
    target = ("--target", "xds:///greeter:50051")
    code, lines = mesh.call_directly("hello", "Ada", "--times", "20", *target, **found)
    assert code == 0, lines
    assert {line.rpartition(" ")[2] for line in lines} == {"v1", "v2"}
    assert mesh.call_directly("chat", "a", "b", *target, **found) == (0, ["a!", "b!"])


def test_calls_of_one_channel_are_split(mesh: Mesh) -> None:
    mesh.apply("greeter-80-20.yaml")
    _, lines = mesh.call("hello", "Ada", "--times", "200")
    shares = Counter(line.rpartition(" ")[2] for line in lines)
    assert shares["v1"] + shares["v2"] == 200
    assert 15 < shares["v2"] < 75


def test_a_fault_has_a_grpc_status(mesh: Mesh) -> None:
    mesh.apply("greeter-fault.yaml")
    assert mesh.call("hello", "Ada") == (1, ["RESOURCE_EXHAUSTED: fault filter abort"])
    assert mesh.call("count", "2") == (0, ["1", "2"])


def test_a_deadline_is_kept_by_the_mesh(mesh: Mesh) -> None:
    mesh.apply("greeter-deadline.yaml")
    # The server is told the same half second, and may be the first to say that it is over.
    told = ["UNAVAILABLE: upstream request timeout"], ["DEADLINE_EXCEEDED: Deadline Exceeded"]
    code, lines = mesh.call("hello", "sloth")
    assert code == 1 and lines in told


def test_unavailable_is_tried_again(mesh: Mesh) -> None:
    mesh.greeter("v3", 3, "--fail-first", "2")
    mesh.apply("greeter-retry.yaml")
    for _ in range(3):
        code, lines = mesh.call("hello", "Ada", "--times", "10")
        assert code == 0, lines
