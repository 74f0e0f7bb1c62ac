"""Connections that no proxy looks into, through a gateway by the name in the TLS hello or by port, and through a sidecar by
CONNECT: to the same service through ours and through Envoy."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator

import pytest

from tests.integration.cases.conftest import PROXIES, Stage
from tests.simulation.cases import TCP_PORT, TLS_PORT

SECONDS = 10.0
META = "apiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: {{{}}}\n"


class Greeter(socketserver.BaseRequestHandler):
    """Waits for the client's first bytes, and says who it is."""

    def handle(self) -> None:
        self.request.settimeout(SECONDS)
        with contextlib.suppress(OSError):
            if self.request.recv(4096):
                self.request.sendall(self.server.greeting)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def routed(stage: Stage) -> Iterator[Stage]:
    """Two versions of a database, and the rules for connections to them."""
    started = []
    ends = []
    network = stage.addresses[("sidecar", "ours")].rpartition(".")[0]
    for number, version in enumerate(("v1", "v2")):
        server = socketserver.ThreadingTCPServer((f"{network}.{20 + number}", 0), Greeter)
        server.daemon_threads = True
        server.greeting = version.encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        host, port = server.server_address[:2]
        ends.append(f"{{address: {host}, labels: {{version: {version}}}, ports: {{tls: {port}, db: {port}}}}}")
    ports = "[{number: 443, name: tls, protocol: TLS}, {number: 5432, name: db, protocol: TCP}]"
    to = "route: [{{destination: {{host: db.example.com, subset: {}, port: {{number: {}}}}}}}]".format
    tls = ", ".join(
        f"{{match: [{{sniHosts: [{name}]}}], {to(version, 443)}}}"
        for name, version in (("one.example.com", "v1"), ("'*.two.example.com'", "v2"))
    )
    documents = [
        META.format("ServiceEntry", "db", f"hosts: [db.example.com], ports: {ports}, resolution: STATIC, "
                    f"location: MESH_INTERNAL, endpoints: [{', '.join(ends)}]"),
        META.format("DestinationRule", "db", "host: db.example.com, subsets: [{name: v1, labels: {version: v1}}, "
                    "{name: v2, labels: {version: v2}}]"),
        META.format("VirtualService", "sni", "hosts: [one.example.com, '*.two.example.com'], "
                    f"gateways: [edge], tls: [{tls}]"),
        META.format("VirtualService", "tcp", f"hosts: ['*'], gateways: [edge], tcp: [{{match: [{{port: {TCP_PORT}}}], "
                    f"{to('v2', 5432)}}}]"),
        META.format("VirtualService", "db", f"hosts: [db.example.com], tcp: [{{{to('v2', 5432)}}}]"),
    ]  # fmt: skip
    answer = stage.plane.apply("---\n".join(documents), "connections.yaml")
    assert answer.status == 200, answer.body
    done = stage.plane.call("GET", f"/api/v1/convergence/{answer.body['revision']}?timeout=15").body
    assert done["state"] == "converged", done
    yield stage
    for server in started:
        server.shutdown()
        server.server_close()


def hello(name: str) -> bytes:
    """A client's first TLS message, which asks for a host."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def answer(address: str, port: int, *sent: bytes) -> bytes:
    """What comes back; each piece is sent once the one before it was answered."""
    got = b""
    with socket.create_connection((address, port), SECONDS) as connection:
        connection.settimeout(SECONDS)
        for piece in sent:
            connection.sendall(piece)
            try:
                got = connection.recv(4096)
            except ConnectionError:
                return b""
    return got


@pytest.mark.parametrize(
    ("name", "expected"),
    [("one.example.com", b"v1"), ("a.two.example.com", b"v2"), ("two.example.com", b""), ("three.example.com", b"")],
)
def test_a_gateway_tells_tls_by_its_name(routed: Stage, name: str, expected: bytes) -> None:
    for whose in PROXIES:
        assert answer(routed.addresses[("gateway", whose)], TLS_PORT, hello(name)) == expected, whose


def test_a_gateway_tells_bytes_by_their_port(routed: Stage) -> None:
    for whose in PROXIES:
        assert answer(routed.addresses[("gateway", whose)], TCP_PORT, b"hello") == b"v2", whose


def test_a_sidecar_takes_connect_by_the_rules_for_connections(routed: Stage) -> None:
    connect = b"CONNECT db.example.com:5432 HTTP/1.1\r\nhost: db.example.com:5432\r\n\r\n"
    for whose in PROXIES:
        assert answer(routed.addresses[("sidecar", whose)], 15001, connect, b"hello") == b"v2", whose


def test_plain_http_is_sent_to_https(routed: Stage) -> None:
    get = b"GET /x HTTP/1.1\r\nhost: c000.example.com\r\nconnection: close\r\n\r\n"
    for whose in PROXIES:
        head = answer(routed.addresses[("gateway", whose)], 8081, get).decode().lower()
        assert head.startswith("http/1.1 301") and "location: https://c000.example.com/x\r\n" in head, whose


def test_nobody_rejects_anything(routed: Stage) -> None:
    items = routed.plane.call("GET", "/api/v1/proxies").body["items"]
    assert [item for item in items if "NACK" in str(item)] == []
