"""Listeners that a Sidecar opens, beside our sidecar and an Envoy: each has the hosts that it names."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mesh.node import SIDECAR, Node, ServicePort
from tests.integration.cases.conftest import PROXIES, READY_SECONDS, Stage, proxy, ready
from tests.integration.cases.wire import answer
from tests.simulation.cases import BASE

RULES = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: scoped-{whose}}}
spec:
  workloadSelector: {{labels: {{app: scoped-{whose}}}}}
  egress:
  - port: {{number: 80, protocol: HTTP}}
    bind: {bind}
    captureMode: NONE
    hosts: [./c000.example.com]
  - port: {{number: 7432, protocol: TCP}}
    bind: {bind}
    hosts: [./bytes.example.com]
  - hosts: [./c001.example.com, ./bytes.example.com]
  ingress:
  - port: {{number: 7000, protocol: HTTP}}
    bind: {bind}
    defaultEndpoint: {app}
  - port: {{number: 7001, protocol: HTTP}}
    bind: {bind}
    defaultEndpoint: unix://{socket}
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {{host: bytes.example.com, port: {{number: 7432}}}}
"""
SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bytes}}
spec:
  hosts: [bytes.example.com]
  ports: [{{number: 7432, name: tcp, protocol: TCP}}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints: [{{address: {host}, ports: {{tcp: {port}}}}}]
"""


@pytest.fixture(scope="module")
def scoped(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """Where our sidecar and Envoy are, and where their Sidecar binds."""
    stage.enter(BASE)
    folder = tmp_path_factory.mktemp("scoped")
    network = stage.addresses[("sidecar", "ours")].rpartition(".")[0]
    host, port = stage.backends["v1"].server_address[:2]
    texts, found = [SERVICE.format(host=host, port=port)], {}
    with ExitStack() as stack:
        stack.enter_context(unix_server(folder / "app.sock"))
        for number, whose in enumerate(PROXIES):
            address, bind = f"{network}.{40 + number}", f"{network}.{50 + number}"
            node = Node(SIDECAR, address, f"scoped-{whose}-1", service=f"scoped-{whose}", ports=(ServicePort(9080),),
                        labels={"app": f"scoped-{whose}"})  # fmt: skip
            process = stack.enter_context(proxy(node, whose, stage.plane.xds, folder))
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
            texts.append(RULES.format(whose=whose, bind=bind, app=f"{host}:{port}", socket=folder / "app.sock"))
            found[whose] = (address, bind)
        applied = stage.plane.apply("---".join(texts), "scoped.yaml")
        assert applied.status == 200, applied.body
        done = stage.plane.call("GET", f"/api/v1/convergence/{applied.body['revision']}?timeout=15").body
        assert done["state"] == "converged", done
        yield found


class Paths(socketserver.StreamRequestHandler):
    """Answers with the path that it was asked for."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            path = line.split()[1]
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-path: %s\r\ncontent-length: 0\r\n\r\n" % path)


@contextmanager
def unix_server(path: Path) -> Iterator[None]:
    with socketserver.ThreadingUnixStreamServer(str(path), Paths) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def asked(address: str, port: int, authority: str, target: str = "/") -> str:
    """The head of the answer to a request."""
    request = f"GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n".encode()
    return answer(address, port, request).decode().lower()


def test_a_port_has_the_hosts_that_are_named_there(scoped: dict[str, tuple[str, str]]) -> None:
    for whose, (address, bind) in scoped.items():
        assert "x-version: v1" in asked(bind, 80, "c000.example.com"), whose
        assert "x-version" in asked(address, 15001, "c001.example.com", "http://c001.example.com/"), whose


def test_connections_are_passed_on(scoped: dict[str, tuple[str, str]]) -> None:
    for whose, (_, bind) in scoped.items():
        assert "x-version: v1" in asked(bind, 7432, "whatever"), whose


def test_unknown_hosts_go_to_the_egress_proxy(scoped: dict[str, tuple[str, str]]) -> None:
    for whose, (address, bind) in scoped.items():
        assert "x-version: v1" in asked(address, 15001, "elsewhere.test", "http://elsewhere.test/"), whose
        assert "x-version: v1" in asked(bind, 80, "c001.example.com"), whose


def test_an_ingress_is_opened_where_it_says(scoped: dict[str, tuple[str, str]]) -> None:
    for whose, (_, bind) in scoped.items():
        assert "x-version: v1" in asked(bind, 7000, "whatever"), whose
        assert "x-path: /there\r\n" in asked(bind, 7001, "whatever", "/there"), whose
