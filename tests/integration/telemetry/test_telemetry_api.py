"""The example of a Telemetry resource, as a sidecar of ours carries it out, and an Envoy in its place as far as it can."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesh.node import SIDECAR, Node
from tests.harness.ports import free_network
from tests.harness.process import Process, http_get, wait_until
from tests.integration.cases.backends import servers
from tests.integration.cases.conftest import PROXIES, READY_SECONDS, proxy, ready
from tests.integration.control_plane.support import ControlPlane

EXAMPLE = Path(__file__).parents[3] / "examples" / "telemetry" / "errors-and-hosts.yaml"
SERVICE = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web}}
spec: {{hosts: [web.test], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: STATIC,
  location: MESH_INTERNAL, endpoints: [{{address: {}, ports: {{http: {}}}}}]}}
"""


class Stage(NamedTuple):
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
            node = Node(SIDECAR, address, f"client-{whose}", labels={"app": "client"})
            proxies[whose] = address, stack.enter_context(proxy(node, whose, plane.xds, folder))
        for address, process in proxies.values():
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
        yield Stage(plane, proxies)


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


def test_metrics_have_other_tags(stage: Stage) -> None:
    address, _ = stage.proxies["ours"]
    assert ask(address, "/tags", x_team="shop") == 200
    assert ask(address, "/tags") == 200
    text = http_get(15000, "/stats/prometheus", address)[1]
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    counted = {s.labels["team"]: s for s in samples if s.name == "istio_requests_total"}
    assert set(counted) == {"shop", "nobody"}
    assert counted["shop"].value == 1
    assert counted["shop"].labels["request_host"] == "web.test"
    assert counted["shop"].labels["request_method"] == "GET"
    assert "response_flags" not in counted["shop"].labels
    usual = [s for s in samples if s.name == "istio_request_duration_milliseconds_count"]
    assert usual and all("team" not in s.labels and "response_flags" in s.labels for s in usual)
    assert not any(s.name.startswith("istio_request_bytes") for s in samples)


def test_nobody_rejects_it(stage: Stage) -> None:
    items = stage.plane.call("GET", "/api/v1/proxies").body["items"]
    assert len(items) == 2
    for item in items:
        states = {kind: each["state"] for kind, each in item["types"].items()}
        assert set(states.values()) <= {"SYNCED", "NOT SENT"}, (item["id"], states)
