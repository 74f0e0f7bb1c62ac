"""What whole meshes become, resource by resource, as it is written down in `expected/`.

What the resources *do* is told by the simulation and by Envoy; that no field of them changes unnoticed, here. After a change
that is meant, `python -m tests.unit.control_plane.translate.test_expected` writes the files anew: read what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from google.protobuf.json_format import MessageToJson

from control_plane.translate import build
from control_plane.world import MeshConfig, Resolution, Service, World
from mesh.node import Locality, ServicePort
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.simulation.scenarios import NODES, PORTS, scenarios
from tests.simulation.worlds import instance, service, sidecar, transparent, world

FOLDER: Final = Path(__file__).with_name("expected")


def _more() -> World:
    """Of `more.yaml`: what the other scenarios leave out."""
    near, beside, far = Locality("eu", "eu-1", "a"), Locality("eu", "eu-1", "b"), Locality("us", "us-1")
    tls = (ServicePort(443, "tls", "TLS"),)
    return world(
        service("reviews", ServicePort(9080, "http", "HTTP", 9081), ServicePort(50051, "grpc", "GRPC")),
        service("ratings", 9080, ServicePort(7000, "http2", "HTTP2")),
        service("db", ServicePort(5432, "db", "TCP"), addresses=("10.96.0.2",)),
        service("backup", ServicePort(5432, "db", "TCP")),
        Service("secure.example.com", "secure.example.com", "default", tls, Resolution.DNS),
        yaml=Path(__file__).with_name("more.yaml").read_text(encoding="utf-8"),
        instances={
            "reviews": [
                instance("10.0.0.1", "v1", locality=near),
                instance("10.0.0.2", "v2", locality=beside, weight=3),
                instance("10.0.0.3", "v2", locality=far, ports={9080: 9081, 50051: 50052}),
                instance("10.0.0.4", "v3", locality=far, healthy=False),
            ],
            "ratings": [
                instance("10.0.1.1", app="ratings", locality=near),
                instance("10.0.1.2", app="ratings", locality=far),
            ],
            "db": [instance("10.0.2.1", app="db", ports={5432: 5432})],
        },
        mesh=MeshConfig(connect_timeout=3.0, otlp_endpoint="https://collector.example/v1/traces"),
    )


SCENARIOS: Final = {**scenarios(), "more": _more()}
PLACED: Final = {
    **NODES,
    "near": sidecar("reviews", *PORTS, locality=Locality("eu", "eu-1", "a")),
    "captured": transparent("reviews", *PORTS, locality=Locality("us", "us-1")),
}
NAMES: Final = {CLUSTER: "clusters", ENDPOINT: "endpoints", LISTENER: "listeners", ROUTE: "routes"}
# Scenario, node and kinds of resources: each way to be asked, once.
CASES: Final = [
    (scenario, node, kind)
    for scenario, node, kinds in (
        ("no rules", "explicit", (LISTENER, CLUSTER, ROUTE)),
        ("no rules", "transparent", (LISTENER, CLUSTER)),
        ("no rules", "client", (LISTENER,)),
        ("no rules", "grpc", (LISTENER, CLUSTER, ROUTE)),
        ("actions", "explicit", (ROUTE,)),
        ("actions", "grpc", (ROUTE,)),
        ("policies", "explicit", (CLUSTER, ENDPOINT, ROUTE)),
        ("policies", "grpc", (CLUSTER, ENDPOINT)),
        ("gateways", "gateway", (LISTENER, CLUSTER, ROUTE)),
        ("gateways", "explicit", (ROUTE,)),
        ("everywhere", "transparent", (LISTENER, CLUSTER, ENDPOINT)),
        ("everywhere", "explicit", (ENDPOINT,)),
        ("quiet", "transparent", (LISTENER,)),
        ("quiet", "gateway", (LISTENER,)),
        ("json, strict", "explicit", (LISTENER, CLUSTER, ROUTE)),
        ("own format", "explicit", (LISTENER,)),
        ("more", "near", (LISTENER, CLUSTER, ENDPOINT, ROUTE)),
        ("more", "captured", (LISTENER, ENDPOINT)),
        ("more", "gateway", (LISTENER, CLUSTER, ROUTE)),
        ("more", "grpc", (LISTENER, CLUSTER, ENDPOINT, ROUTE)),
    )
    for kind in kinds
]


def translated(scenario: str, node: str, kind: str) -> dict[str, Any]:
    built = build(SCENARIOS[scenario], PLACED[node])[kind]
    return {name: json.loads(MessageToJson(message)) for name, message in built.items()}


def file_of(scenario: str, node: str, kind: str) -> Path:
    return FOLDER / f"{scenario.replace(', ', '-').replace(' ', '-')}.{node}.{NAMES[kind]}.yaml"


@pytest.mark.parametrize(("scenario", "node", "kind"), CASES, ids=[file_of(*case).stem for case in CASES])
def test_a_mesh_becomes_what_is_written_down(scenario: str, node: str, kind: str) -> None:
    written = yaml.load(file_of(scenario, node, kind).read_text(encoding="utf-8"), yaml.CSafeLoader)
    assert translated(scenario, node, kind) == written


def test_nothing_else_is_written_down() -> None:
    assert {file_of(*case) for case in CASES} == set(FOLDER.iterdir())


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        text = yaml.dump(translated(*case), Dumper=yaml.CSafeDumper, sort_keys=True, width=120, allow_unicode=True)
        file_of(*case).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
