"""The stage: a control plane with the documents of all cases, and four proxies that have them: a sidecar and a gateway of
ours, and a real Envoy in each of these places."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh.bootstrap import bootstrap, render
from mesh.node import ROUTER, SIDECAR, Node, ServicePort
from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.ports import free_network
from tests.harness.process import Process, http_get
from tests.integration.cases.backends import Server, servers
from tests.integration.control_plane.support import ControlPlane
from tests.simulation.cases import VERSIONS, common, documents, hosts

READY_SECONDS = 60
PROXIES = ("ours", "envoy")
FLUSH = ("--file-flush-interval-msec", "200")  # of their logs


@dataclass(frozen=True)
class Stage:
    """Where each proxy is asked, by its kind and whose it is."""

    plane: ControlPlane
    backends: dict[str, Server]
    addresses: dict[tuple[str, str], str]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("cases")
    network = free_network()
    with ExitStack() as stack:
        backends = stack.enter_context(servers({v: f"{network}.{10 + n}" for n, v in enumerate(VERSIONS)}))
        plane = stack.enter_context(ControlPlane(f"sqlite://{folder}/mesh.db", folder, "--access-log-file", ""))
        places = {version: server.server_address[:2] for version, server in backends.items()}
        text = "---\n".join([common(), *(documents(h, c, places) for h, c in hosts().items())])  # type: ignore[arg-type]
        answer = plane.apply(text, "cases.yaml")
        assert answer.status == 200, answer.body
        addresses, proxies = {}, []
        for number, (kind, whose) in enumerate((k, w) for k in (SIDECAR, ROUTER) for w in PROXIES):
            address = f"{network}.{number + 1}"
            addresses[("sidecar" if kind == SIDECAR else "gateway", whose)] = address
            proxies.append((address, stack.enter_context(_proxy(kind, whose, address, plane.xds, folder))))
        for address, process in proxies:
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
        yield Stage(plane, backends, addresses)


def _proxy(kind: str, whose: str, address: str, xds: int, folder: Path) -> Process:
    labels = {"app": "client", "version": "v1"} if kind == SIDECAR else {"istio": "ingressgateway"}
    more: dict[str, Any] = {"service": "client", "ports": (ServicePort(9080),)} if kind == SIDECAR else {}
    return proxy(Node(kind, address, f"{kind}-{whose}", labels=labels, **more), whose, xds, folder)


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
