from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.istio.documents import accepted, refused

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
TCP = {"number": 27017, "name": "db", "protocol": "TCP"}


def entry(**fields: Any) -> dict[str, Any]:
    return {"hosts": ["api.example.com"], "ports": [HTTP], **fields}


def static(**fields: Any) -> dict[str, Any]:
    return entry(resolution="STATIC", **fields)


def test_values_and_defaults() -> None:
    service = accepted("ServiceEntry", entry())
    assert (service.location, service.resolution) == ("MESH_EXTERNAL", "NONE")
    assert (service.addresses, service.endpoints, service.workload_selector) == ((), (), None)
    assert (service.ports[0].number, service.ports[0].protocol, service.ports[0].target_port) == (80, "HTTP", None)
    endpoint = {"address": "10.0.0.1", "ports": {"http": 8080}, "locality": "a/b/c", "weight": 3, "labels": {"v": "1"}}
    service = accepted("ServiceEntry", static(endpoints=[endpoint], addresses=["10.0.0.0/24", "::1"]))
    assert service.endpoints[0].ports == {"http": 8080}
    assert service.endpoints[0].locality == "a/b/c"
    assert accepted("ServiceEntry", entry(ports=[{"number": 1, "name": "x"}])).ports[0].protocol == ""
    assert accepted("ServiceEntry", entry(ports=[{**HTTP, "protocol": "grpc"}])).ports[0].protocol == "GRPC"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "hosts: is required"),
        (entry(hosts=[]), "hosts: must name at least one host"),
        (entry(hosts=["*"]), 'hosts[0]: must not be "*"'),
        (entry(hosts=["*.x.com"], resolution="DNS"), 'hosts[0]: "*.x.com" cannot be looked up: with resolution DNS'),
        (entry(addresses=["10.0.0"]), 'addresses[0]: must be an IP address or a CIDR block, not "10.0.0"'),
        (
            entry(addresses=["10.0.0.0/8"], resolution="DNS"),
            "addresses[0]: a CIDR block needs resolution NONE or STATIC",
        ),
        (entry(ports=[HTTP, {**TCP, "name": "http"}]), 'ports[1].name: there is a port "http" already'),
        (entry(ports=[HTTP, {**TCP, "number": 80}]), "ports[1].number: there is a port 80 already"),
        (
            entry(ports=[{**HTTP, "protocol": "UDP"}]),
            "ports[0].protocol: UDP is known to Istio, not implemented yet",
        ),
        (entry(ports=[{**HTTP, "protocol": "X"}]), "must be one of HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP"),
        (static(hosts=["a.x", "b.x"], ports=[TCP]), "ports[0].protocol: several hosts need a protocol that tells them"),
        (
            entry(hosts=["*.a.x"], resolution="DYNAMIC_DNS", ports=[TCP]),
            "ports[0].protocol: resolution DYNAMIC_DNS needs a protocol that names the host: HTTP",
        ),
        (entry(endpoints=[{"address": "10.0.0.1"}]), "endpoints: takes effect only with another resolution than NONE"),
        (entry(workloadSelector={"labels": {"a": "b"}}), "workloadSelector: takes effect only with another resolution"),
        (static(workloadSelector={"labels": {}}), "workloadSelector.labels: must have at least one label"),
        (static(workloadSelector={"labels": {"a": "b"}}, endpoints=[]), "endpoints and workloadSelector exclude"),
        (static(endpoints=[{"address": "db.x"}]), "endpoints[0].address: must be an IP address with resolution STATIC"),
        (static(endpoints=[{"address": "10.0.0.1", "ports": {"x": 1}}]), "endpoints[0].ports.x: is no port of this"),
        (
            entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.x"}, {"address": "b.x"}]),
            "endpoints[1]: resolution DNS_ROUND_ROBIN takes one endpoint at the most",
        ),
        (entry(exportTo=["~", "a"]), 'exportTo: "*" and "~" say all there is to say'),
    ],
)
def test_what_is_refused(spec: Any, expected: str) -> None:
    (found,) = refused("ServiceEntry", spec)
    assert expected in found


def test_several_hosts_are_fine_when_the_protocol_tells_them_apart() -> None:
    hosts = ["a.x", "b.x"]
    assert refused("ServiceEntry", static(hosts=hosts)) == []
    assert refused("ServiceEntry", entry(hosts=hosts, ports=[TCP])) == []
    wildcard = entry(hosts=["*.x.com"], resolution="DNS", endpoints=[{"address": "x.com"}])
    assert refused("ServiceEntry", wildcard) == []
