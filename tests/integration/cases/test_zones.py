"""Routing by zones beside our sidecar and an Envoy that are told of their neighbours: each stays in its own zone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mesh.node import SIDECAR, Locality, Node, ServicePort
from tests.integration.cases.conftest import PROXIES, READY_SECONDS, Stage, proxy, ready
from tests.integration.cases.wire import answer

CALLS = 12
RULES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: zoned}}
spec:
  hosts: [zoned.example.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints:
  - {{address: {v1[0]}, ports: {{http: {v1[1]}}}, locality: r/a}}
  - {{address: {v2[0]}, ports: {{http: {v2[1]}}}, locality: r/b}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: zoned}}
spec:
  host: zoned.example.com
  trafficPolicy:
    loadBalancer: {{simple: ROUND_ROBIN, zoneAwareLbSetting: {{minClusterSize: 1}}}}
"""
# Beside the proxy itself, one in the other zone: so both zones ask for half of what there is.
NEIGHBOURS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.default.svc.cluster.local]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints: [{{address: 127.0.0.1, locality: r/{zone}}}]
"""


@pytest.fixture(scope="module")
def zoned(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """Of both proxies: the address of each, and the version that is in its zone."""
    folder = tmp_path_factory.mktemp("zoned")
    network = stage.addresses[("sidecar", "ours")].rpartition(".")[0]
    places = {version: stage.backends[version].server_address[:2] for version in ("v1", "v2")}
    texts, found = [RULES.format(**places)], {}
    with ExitStack() as stack:
        for number, whose in enumerate(PROXIES):
            address, zone, name = f"{network}.{60 + number}", "ab"[number], f"zoned-{whose}"
            node = Node(SIDECAR, address, f"{name}-1", service=name, ports=(ServicePort(80),), labels={"app": name},
                        locality=Locality("r", zone), self_discovery=True)  # fmt: skip
            process = stack.enter_context(proxy(node, whose, stage.plane.xds, folder))
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
            texts.append(NEIGHBOURS.format(name=name, zone="ba"[number]))
            found[whose] = (address, f"v{number + 1}")
        applied = stage.plane.apply("---".join(texts), "zoned.yaml")
        assert applied.status == 200, applied.body
        done = stage.plane.call("GET", f"/api/v1/convergence/{applied.body['revision']}?timeout=15").body
        assert done["state"] == "converged", done
        yield found


@pytest.mark.parametrize("whose", PROXIES)
def test_requests_stay_in_their_zone(zoned: dict[str, tuple[str, str]], whose: str) -> None:
    address, own = zoned[whose]
    request = b"GET http://zoned.example.com/ HTTP/1.1\r\nhost: zoned.example.com\r\nconnection: close\r\n\r\n"
    heads = [answer(address, 15001, request).decode().lower() for _ in range(CALLS)]
    assert {line for head in heads for line in head.splitlines() if line.startswith("x-version")} == {
        f"x-version: {own}"
    }
