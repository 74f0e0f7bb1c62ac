"""The examples of Telemetry resources, as a sidecar of ours carries them out, and an Envoy in its place as far as it can."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from mesh.naming import INBOUND_PORT
from mesh.node import SIDECAR, Node, ServicePort
from tests.harness.ports import free_network
from tests.harness.process import Process, http_get, wait_until
from tests.integration.cases.backends import servers
from tests.integration.cases.conftest import PROXIES, READY_SECONDS, proxy, ready
from tests.integration.control_plane.support import ControlPlane

EXAMPLES = Path(__file__).parents[3] / "examples" / "telemetry"
EXAMPLE = EXAMPLES / "errors-and-hosts.yaml"
SERVICE = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web}}
spec: {{hosts: [web.test], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: STATIC,
  location: MESH_INTERNAL, endpoints: [{{address: {0}, ports: {{http: {1}}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside}}
spec: {{hosts: [outside.test], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: STATIC,
  endpoints: [{{address: {0}, ports: {{http: {1}}}}}]}}
"""


class Stage(NamedTuple):
    folder: Path
    plane: ControlPlane
    proxies: dict[str, tuple[str, Process]]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder, network = tmp_path_factory.mktemp("telemetry"), free_network()
    with ExitStack() as stack:
        backend = stack.enter_context(servers({"v1": f"{network}.10"}))["v1"]
        plane = stack.enter_context(ControlPlane(f"sqlite://{folder}/mesh.db", folder))
        answer = plane.apply("---\n".join((EXAMPLE.read_text(), SERVICE.format(*backend.server_address[:2]))))  # type: ignore[str-bytes-safe]
        assert answer.status == 200, answer.body
        proxies = {}
        for number, whose in enumerate(PROXIES, 1):
            address = f"{network}.{number}"
            host, port = backend.server_address[:2]
            ports = (ServicePort(9999, "tcp", "TCP", int(port)),)  # the backend, as bytes
            labels = {"app": "client"}
            node = Node(SIDECAR, address, f"client-{whose}", labels=labels, ports=ports, app_address=str(host))
            proxies[whose] = address, stack.enter_context(proxy(node, whose, plane.xds, folder))
        for address, process in proxies.values():
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
        yield Stage(folder, plane, proxies)


def ask(address: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(address, 15001, timeout=10)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", f"http://web.test{path}", headers=sent)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.parametrize("whose", PROXIES)
def test_the_log_has_what_went_wrong(stage: Stage, whose: str) -> None:
    address, process = stage.proxies[whose]
    assert ask(address, f"/fine-{whose}") == 200
    assert ask(address, f"/broken-{whose}", x_answer="503") == 503
    wait_until(lambda: f"/broken-{whose}" in process.log_path.read_text(), 15.0, "the line of the failure")
    assert f"/fine-{whose}" not in process.log_path.read_text()


def asked_as_bytes(address: str) -> None:
    """A request through the listener that takes it for bytes."""
    connection = http.client.HTTPConnection(address, INBOUND_PORT, timeout=10)
    try:
        connection.request("GET", "/bytes", headers={"connection": "close"})
        assert connection.getresponse().read()
    finally:
        connection.close()


def istio(address: str, name: str) -> list[Sample]:
    text = http_get(15000, "/stats/prometheus", address)[1]
    return [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]


def test_metrics_of_tcp_have_other_tags(stage: Stage) -> None:
    for whose in PROXIES:
        asked_as_bytes(stage.proxies[whose][0])
    address, _ = stage.proxies["ours"]
    (opened,) = wait_until(lambda: istio(address, "istio_tcp_connections_opened_total"), 10.0, "the connection")
    assert (opened.labels["destination_port"], opened.value) == (str(INBOUND_PORT), 1)
    (moved,) = wait_until(lambda: istio(address, "istio_tcp_sent_bytes_total"), 10.0, "its bytes")
    assert "destination_port" not in moved.labels


def test_metrics_have_other_tags(stage: Stage) -> None:
    address, _ = stage.proxies["ours"]
    assert ask(address, "/tags", x_team="shop") == 200
    assert ask(address, "/tags") == 200
    text = http_get(15000, "/stats/prometheus", address)[1]
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    counted = {s.labels["team"]: s for s in samples if s.name == "istio_requests_total"}
    assert set(counted) == {"shop", "nobody"}
    assert counted["shop"].value == 1
    assert "x-envoy-peer-metadata" in seen(address, "http://outside.test/")[2]  # as Istio does, unless told otherwise
    assert counted["shop"].labels["request_host"] == "web.test"
    assert counted["shop"].labels["request_method"] == "GET"
    assert "response_flags" not in counted["shop"].labels
    usual = [s for s in samples if s.name == "istio_request_duration_milliseconds_count"]
    assert usual and all("team" not in s.labels and "response_flags" in s.labels for s in usual)
    assert not any(s.name.startswith("istio_request_bytes") for s in samples)


class Collector(BaseHTTPRequestHandler):
    """Takes spans by OTLP over HTTP, and remembers what they say."""

    protocol_version = "HTTP/1.1"
    said: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        message = ExportTraceServiceRequest.FromString(self._body())
        self.said.append(f"{self.path} {message}")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        """An Envoy does not say before how long it is."""
        if (length := self.headers["content-length"]) is not None:
            return self.rfile.read(int(length))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def providers(stage: Stage) -> Iterator[Path]:
    """The other example in the place of the first, with its file in a folder of the test's, and all requests traced."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    log = stage.folder / "failures.json"
    text = (EXAMPLES / "providers.yaml").read_text().replace("/tmp/failures.json", str(log))
    text = text.replace("randomSamplingPercentage: 10", "randomSamplingPercentage: 100")
    text = text.replace("address: 127.0.0.1", f"address: 127.0.0.1, ports: {{http-otlp: {server.server_port}}}")
    assert stage.plane.call("DELETE", "/api/v1/resources/Telemetry/default/default").status == 200
    answer = stage.plane.apply(text, "providers.yaml")
    assert answer.status == 200 and not answer.body.get("warnings"), answer.body
    yield log
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("whose", PROXIES)
def test_logs_and_spans_go_to_providers(stage: Stage, providers: Path, whose: str) -> None:
    address, process = stage.proxies[whose]

    def broken() -> bool:
        assert ask(address, f"/failed-{whose}", x_answer="503") == 503
        return providers.exists() and f"/failed-{whose}" in providers.read_text()

    wait_until(broken, 15.0, "the line of the failure in its file")
    assert ask(address, f"/well-{whose}") == 200
    wait_until(lambda: f"/well-{whose}" in process.log_path.read_text(), 15.0, "the usual log")
    lines = [json.loads(line) for line in providers.read_text().splitlines() if f"-{whose}" in line]
    assert {line["code"] for line in lines} == {503}
    assert {line["why"] for line in lines} == {"via_upstream"}

    def collected() -> bool:
        return any(each.startswith("/v1/traces ") and f"/failed-{whose}" in each for each in Collector.said)

    wait_until(collected, 15.0, "the span of the failure")
    if whose == "ours":  # metrics are as usual again, and nothing is there twice
        counted = [sample.labels for sample in istio(address, "istio_requests_total")]
        assert counted and all("team" not in labels for labels in counted)


def seen(address: str, path: str) -> tuple[int, http.client.HTTPMessage, dict[str, str]]:
    """The answer to a request: its status and headers, and those that the service got."""
    connection = http.client.HTTPConnection(address, 15001, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return response.status, response.headers, json.loads(body)["seen"] if response.status == 200 else {}
    finally:
        connection.close()


@pytest.mark.parametrize("whose", PROXIES)
def test_the_settings_of_the_mesh(stage: Stage, providers: Path, whose: str) -> None:
    address, _ = stage.proxies[whose]
    settings = EXAMPLES.parent / "mesh" / "settings.yaml"
    assert stage.plane.apply(settings.read_text(), settings.name).status == 200
    wait_until(lambda: seen(address, "http://web.test/")[1]["server"] == "shop", 15.0, "the server's name")
    status, gets, sends = seen(address, "http://web.test/")
    assert (status, sends["path"]) == (200, "/")
    assert not [name for name in gets if name.lower().startswith("x-envoy")]
    assert not {"x-request-id", "x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms"} & set(sends)
    assert seen(address, "http://nobody.test/")[0] == 502
    # An Envoy without Istio's filter tells nobody.
    assert ("x-envoy-peer-metadata" in sends) is (whose == "ours")
    assert "x-envoy-peer-metadata" not in seen(address, "http://outside.test/")[2]


def test_nobody_rejects_it(stage: Stage) -> None:
    items = stage.plane.call("GET", "/api/v1/proxies").body["items"]
    assert len(items) == 2
    for item in items:
        states = {kind: each["state"] for kind, each in item["types"].items()}
        assert set(states.values()) <= {"SYNCED", "NOT SENT"}, (item["id"], states)
