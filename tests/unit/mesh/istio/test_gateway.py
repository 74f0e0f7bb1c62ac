from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.istio.documents import accepted, refused

HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}


def server(**fields: Any) -> dict[str, Any]:
    return {"selector": {"istio": "ingressgateway"}, "servers": [{"port": HTTP, "hosts": ["*"], **fields}]}


def port(**fields: Any) -> dict[str, Any]:
    return server(port={**HTTP, **fields})


def test_values() -> None:
    gateway = accepted("Gateway", server(hosts=["*", "ns/a.com", "./*.b.com", "*/c.com", "10.1.2.3"]))
    assert gateway.selector == {"istio": "ingressgateway"}
    (only,) = gateway.servers
    assert (only.port.number, only.port.name, only.port.protocol) == (80, "http", "HTTP")
    assert only.hosts[0] == "*"
    assert accepted("Gateway", port(protocol="http")).servers[0].port.protocol == "HTTP"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "servers: is required"),
        ({"servers": []}, "servers: must have at least one server"),
        (server(hosts=[]), "servers[0].hosts: must name at least one host"),
        (server(hosts=["short"]), 'servers[0].hosts[0]: must be a full DNS name, not the short name "short"'),
        (server(hosts=["*-a.com"]), 'hosts[0]: a "*" must stand for whole labels'),
        (server(hosts=["a_b.com"]), "hosts[0]: is not a DNS name"),
        (server(hosts=["A_/a.com"]), 'hosts[0]: the namespace before the "/" must be'),
        (server(hosts=["/a.com"]), 'hosts[0]: the namespace before the "/" must be'),
        (server(hosts=["ns/"]), "hosts[0]: must not be empty"),
        (
            server(tls={"mode": "SIMPLE"}),
            "tls.mode: SIMPLE is known to Istio, not implemented yet",
        ),
        (server(tls={"mode": "PASSTHROUGH"}), "servers[0].tls: takes effect with protocol HTTPS or TLS"),
        (server(tls={"credentialName": "x"}), "tls.credentialName: known to Istio, not implemented yet"),
        (server(bind="x"), 'servers[0].bind: must be an IP address, not "x"'),
        (port(protocol="HTTPS"), "servers[0].tls: is required with protocol HTTPS"),
        (
            port(protocol="HTPT"),
            "port.protocol: must be one of HTTP, HTTP2, GRPC, GRPC-WEB, HTTPS, TLS, TCP, MONGO, MYSQL, REDIS, not",
        ),
        (port(number=0), "port.number: must be a port number"),
        (port(name=""), "port.name: must be a DNS label"),
        (port(targetPort=8080), "port.targetPort: known to Istio, not implemented yet"),
        (
            {"servers": [{"port": HTTP, "hosts": ["*"]}, {"port": {**HTTP, "number": 81}, "hosts": ["*"]}]},
            'servers[1].port.name: there is a port "http" already',
        ),
    ],
)
def test_what_is_refused(spec: Any, expected: str) -> None:
    (found,) = refused("Gateway", spec)
    assert expected in found
