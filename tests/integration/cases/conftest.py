"""The stage: a control plane with the documents of all cases, and four proxies that have them: a sidecar and a gateway of
ours, and a real Envoy in each of these places."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mesh.bootstrap import bootstrap, render
from mesh.istio.load import load
from mesh.istio.resource import Key
from mesh.node import ROUTER, SIDECAR, Locality, Node, ServicePort
from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.ports import free_network
from tests.harness.process import Process, http_get, wait_until
from tests.integration.cases.backends import Server, servers
from tests.integration.control_plane.support import ControlPlane
from tests.simulation.cases import BASE, VERSIONS, common, documents, of_world

READY_SECONDS = 60
SECONDS = 90  # a few, where nothing else runs
PROXIES = ("ours", "envoy")
NOTHING = "nothing"  # the world before any other
FLUSH = ("--file-flush-interval-msec", "200")  # of their logs


@dataclass(frozen=True)
class Stage:
    """Where each proxy is asked, by its kind and whose it is."""

    plane: ControlPlane
    backends: dict[str, Server]
    addresses: dict[tuple[str, str], str]
    folder: Path
    worlds: list[str] = field(default_factory=lambda: [NOTHING])
    rejections: list[tuple[str, str]] = field(default_factory=list)
    _there: list[Key] = field(default_factory=list)

    def documents(self, world: str) -> list[str]:
        """Those of the cases of a world."""
        places: Any = {version: server.server_address[:2] for version, server in self.backends.items()}
        edges = (self.addresses[("gateway", "ours")], self.addresses[("gateway", "envoy")])
        return [documents(host, case, places, edges) for host, case in of_world(world).items()]

    def enter(self, world: str) -> None:
        """What holds for the whole mesh is now this; that of the world before is taken back. All cases of the mesh as it is
        come last, since so many hosts take long to be told anew."""
        if world == self.worlds[-1]:
            return
        assert self.worlds[-1] != BASE, "it is the last"
        self.rejections.extend(self.rejected())
        for key in self._there:
            assert self.plane.call("DELETE", "/api/v1/resources/" + "/".join(key)).status == 200
        self._there.clear()
        texts = self.documents(world)
        self._there.extend(resource.key for resource in load("---\n".join(texts)))
        self.worlds.append(world)
        self.apply(*texts)

    def rejected(self) -> list[tuple[str, str]]:
        """Which proxies say that they do not take what they were sent, with the world."""
        proxies = self.plane.call("GET", "/api/v1/proxies").body["items"]
        assert len(proxies) >= len(self.addresses)
        return [(self.worlds[-1], str(each)) for each in proxies if "NACK" in str(each)]

    def apply(self, *texts: str) -> None:
        """Raises if it is refused, or does not reach all proxies."""
        answer = self.plane.apply("---\n".join(texts), "cases.yaml")
        assert answer.status == 200, answer.body
        revision = answer.body["revision"]

        def done() -> bool:
            """Whether everybody has it; nobody may reject it."""
            said = self.plane.call("GET", f"/api/v1/convergence/{revision}?timeout=5").body
            assert said["state"] != "nacked", said["nacks"]
            return bool(said["state"] == "converged")

        wait_until(done, SECONDS, f"revision {revision} at all proxies")


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("cases")
    network = free_network()
    addresses = {
        (via, whose): f"{network}.{number + 1}"
        for number, (via, whose) in enumerate((v, w) for v in ("sidecar", "gateway") for w in PROXIES)
    }
    with ExitStack() as stack:
        backends = stack.enter_context(servers({v: f"{network}.{10 + n}" for n, v in enumerate(VERSIONS)}))
        plane = stack.enter_context(ControlPlane(f"sqlite://{folder}/mesh.db", folder, "--access-log-file", ""))
        stage = Stage(plane, backends, addresses, folder)
        stage.apply(common())
        proxies = [
            (address, stack.enter_context(proxy(_node(via, whose, address), whose, plane.xds, folder)))
            for (via, whose), address in addresses.items()
        ]
        for address, process in proxies:
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
        yield stage


def _node(via: str, whose: str, address: str) -> Node:
    if via == "gateway":
        return Node(ROUTER, address, f"edge-{whose}", labels={"istio": "ingressgateway", "whose": whose})
    labels = {"app": "client", "version": "v1"}
    place = Locality("a", "a-1", "x")
    return Node(
        SIDECAR, address, f"client-{whose}", service="client", labels=labels, ports=(ServicePort(9080),), locality=place
    )


def log_of(stage: Stage, via: str, whose: str) -> str:
    """What a proxy has written so far."""
    name = f"{'edge' if via == 'gateway' else 'client'}-{whose}"
    return (stage.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def proxy(node: Node, whose: str, xds: int, folder: Path) -> Process:
    """A proxy of ours or an Envoy, as this node."""
    config = folder / f"{node.name}.yaml"
    config.write_text(render(bootstrap(node, "127.0.0.1", xds)))
    if whose == "envoy":
        command = envoy_command(envoy_binary(), config, "-l", "warning", *FLUSH)
    else:
        command = [str(Path(sys.executable).parent / "mesh-sidecar"), "-c", str(config), "--state-dir", "", *FLUSH]
    return Process(command, folder / f"{node.name}.log")


def ready(address: str) -> bool:
    return http_get(15000, "/ready", address)[0] == 200
