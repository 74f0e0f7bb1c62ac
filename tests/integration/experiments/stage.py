"""A small mesh with one service in three versions whose behaviour a test sets: control plane, four sidecars, load.

The versions are servers in this process; a client's sidecar sends them what `mesh load` asks for, as an HTTP proxy.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mesh.bootstrap import Ports, bootstrap, render
from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.node import Node, ServicePort
from tests.harness.process import Process, admin_ready, wait_until

ROOT = Path(__file__).resolve().parents[3]
MESH = [sys.executable, "-m", "mesh.cli.main"]
VERSIONS = ("v1", "v2", "v3")
PORT = 9080
RULES = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "reviews"},
    "spec": {"host": "reviews", "subsets": [{"name": each, "labels": {"version": each}} for each in VERSIONS]},
}
ROUTES = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews"},
    "spec": {
        "hosts": ["reviews"],
        "http": [{"timeout": "5s", "route": [{"destination": {"host": "reviews", "subset": "v1"}}]}],
    },
}


@dataclass(slots=True)
class Behaviour:
    """Of one version: its share of 503s, its latency in milliseconds (`tail` for one request in twenty), its size."""

    error: float = 0.0
    milliseconds: float = 0.0
    tail: float = 0.0
    requests: int = 0
    padding: int = 0  # bytes of a body besides
    chance: random.Random = field(default_factory=lambda: random.Random(1))


class App(asyncio.Protocol):
    def __init__(self, version: str, behaviour: Behaviour) -> None:
        self._version = version
        self._behaviour = behaviour

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        behaviour = self._behaviour
        behaviour.requests += 1
        draw = behaviour.chance.random()
        status = b"503 Unavailable" if draw < behaviour.error else b"200 OK"
        body = json.dumps({"version": self._version}).encode() + b" " * behaviour.padding
        answer = b"HTTP/1.1 %b\r\nx-version: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            status, self._version.encode(), len(body), body,
        )  # fmt: skip
        slow = behaviour.tail if behaviour.tail and behaviour.chance.random() < 0.05 else behaviour.milliseconds
        if slow:
            asyncio.get_running_loop().call_later(slow / 1000, self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


class Stage:
    """`behaviour` by version; `plane` talks to the control plane, `mesh()` is the command line."""

    def __init__(self, folder: Path) -> None:
        pid = os.getpid()
        self.network = f"127.{100 + pid % 90}.{pid // 90 % 250 + 1}"
        self.folder = folder
        self.behaviour = {version: Behaviour() for version in VERSIONS}
        self.server = f"http://{self.network}.1:15080"
        self.plane = ControlPlane(self.server)
        self.sidecars: dict[str, Process] = {}
        self.control_plane: Process = None  # type: ignore[assignment]  # there is one between start and end
        self._stack = ExitStack()
        self._starts = 0

    def start(self) -> None:
        self._stack.enter_context(self._apps())
        self.start_control_plane()
        for name in (*VERSIONS, "client"):
            self.start_sidecar(name)
        self.plane.apply([{"name": "rules.yaml", "text": yaml.safe_dump_all([RULES, ROUTES])}])
        wait_until(self._serves, 30, "every version serves")

    def end(self) -> None:
        for process in (*self.sidecars.values(), self.control_plane):
            process.stop()
        self._stack.close()

    def start_control_plane(self) -> None:
        self._starts += 1
        center = f"{self.network}.1"
        command = [sys.executable, "-c", "from control_plane.app import main; main()"]
        command += ["--store", f"sqlite:///{self.folder / 'store.db'}", "--xds-address", f"{center}:15010"]
        command += ["--http-address", f"{center}:15080", "--metrics-address", f"{center}:15014"]
        self.control_plane = Process(command, self.folder / f"control-plane-{self._starts}.log", cwd=ROOT)
        self.control_plane.wait_ready(self.plane.ready)

    def start_sidecar(self, name: str) -> None:
        node = self._node(name)
        path = self.folder / f"{name}.yaml"
        path.write_text(render(bootstrap(node, f"{self.network}.1", 15010, Ports())))
        command = [
            sys.executable,
            "-c",
            "from sidecar.app import main; main()",
            "-c",
            str(path),
            "--state-dir",
            str(self.folder / name),
            "--drain-time-s",
            "2",
        ]
        self._starts += 1
        self.sidecars[name] = Process(command, self.folder / f"{name}-{self._starts}.log", cwd=ROOT)
        self.sidecars[name].wait_ready(admin_ready(15000, node.address))

    def address(self, name: str) -> str:
        return f"{self.network}.{10 + [*VERSIONS, 'client'].index(name)}"

    def _node(self, name: str) -> Node:
        address = self.address(name)
        if name == "client":
            return Node("sidecar", address, "client", labels={"app": "client"}, app_address=address)
        return Node(
            "sidecar", address, f"reviews-{name}", service="reviews", labels={"app": "reviews", "version": name},
            ports=(ServicePort(PORT),), workload=f"reviews-{name}", app_address=address,
        )  # fmt: skip

    def _serves(self) -> bool:
        found = self.plane.workloads()
        return sum(1 for each in found if each["service"] == "reviews" and each["healthy"]) == len(VERSIONS)

    @contextmanager
    def _apps(self) -> Iterator[None]:
        loop = asyncio.new_event_loop()
        servers = [
            loop.run_until_complete(
                loop.create_server(
                    lambda version=version: App(version, self.behaviour[version]),
                    self.address(version),
                    PORT,  # type: ignore[misc]
                )
            )
            for version in VERSIONS
        ]
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield
        finally:
            for server in servers:
                loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    # ── what tests do ─────────────────────────────────────────────────────────────────────────────────────────────────

    def mesh(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MESH, *words], input=stdin, capture_output=True, text=True, timeout=60, cwd=ROOT,
            env={**os.environ, "MESH_SERVER": self.server},
        )  # fmt: skip

    def apply(self, *documents: Any) -> None:
        self.plane.apply([{"name": "test.yaml", "text": yaml.safe_dump_all(documents)}])

    @contextmanager
    def load(self, rate: float) -> Iterator[list[dict[str, Any]]]:
        """Open-loop load until the block ends; what it saw is in the list afterwards."""
        seen: list[dict[str, Any]] = []
        before = sum(each.requests for each in self.behaviour.values())
        command = [*MESH, "load", "http://reviews:9080/", "--rate", f"{rate:g}", "--duration", "600", "-o", "json"]
        command += ["--proxy", f"{self.address('client')}:15001", "--by-header", "x-version"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            wait_until(lambda: sum(each.requests for each in self.behaviour.values()) > before, 20, "load")
            yield seen
        finally:
            child.terminate()
            out, errors = child.communicate(timeout=30)
            assert child.returncode == 0, errors
            seen.append(json.loads(out))

    def experiment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.plane.experiment("default", name)
        return found

    def wait_for_phase(self, name: str, *phases: str, seconds: float = 120) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            try:
                found = self.experiment(name)
            except CliError:
                return None
            return found if found["phase"] in phases else None

        try:
            return wait_until(there, seconds, f"{name} is {' or '.join(phases)}")
        except AssertionError as error:
            found = self.experiment(name)
            shown = {key: value for key, value in found.items() if key not in ("points", "document")}
            raise AssertionError(f"{error}\n{json.dumps(shown, indent=1)}\n{self.control_plane.log()}") from error

    def routes(self) -> list[tuple[str, int]] | None:
        """Where requests go: (subset, weight) of the first route; None without a VirtualService."""
        found = self.plane.resources("VirtualService", "default", "reviews")
        if not found:
            return None
        route = found[0]["document"]["spec"]["http"][0]["route"]
        return [(each["destination"].get("subset", ""), each.get("weight", 0)) for each in route]

    def reset(self) -> None:
        """As it was at the start: no experiments, the first routes, versions that do nothing wrong."""
        for each in self.plane.resources("Experiment"):
            metadata = each["document"]["metadata"]
            self.plane.delete("Experiment", metadata["namespace"], metadata["name"])
        wait_until(lambda: not self.plane.resources("ExperimentRun"), 10, "no experiment is left")
        for version in VERSIONS:
            self.behaviour[version] = self._fresh(version)
        self.apply(RULES, ROUTES)

    def _fresh(self, version: str) -> Behaviour:
        behaviour = self.behaviour[version]
        behaviour.error = behaviour.milliseconds = behaviour.tail = 0.0
        behaviour.padding = 0
        return behaviour


def experiment(name: str, candidate: str, **spec: Any) -> dict[str, Any]:
    """A canary with short steps; `spec` replaces fields."""
    canary = {"steps": [{"weight": 20, "duration": "1s"}, {"weight": 50, "duration": "1s"}]}
    return {
        "apiVersion": "mesh.asyncmesh.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "question": f"Is reviews {candidate} as good as v1?",
            "target": {"host": "reviews"},
            "baseline": {"subset": "v1"},
            "candidate": {"subset": candidate},
            "strategy": {"canary": canary},
            "checks": [{"errorIncrease": {"max": 1}}, {"latencyRatio": {"quantile": 0.5, "max": 2}}],
            "interval": "500ms",
            "maxDuration": "2m",
            **spec,
        },
    }
