from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.istio.documents import accepted, refused


def port(**fields: Any) -> dict[str, Any]:
    return {"ports": [{"port": 80, **fields}]}


def test_values_and_defaults() -> None:
    service = accepted("Service", {"selector": {"app": "a"}, "ports": [{"port": 80}]})
    assert (service.type, service.cluster_ip, service.cluster_ips) == ("ClusterIP", "", ())
    only = service.ports[0]
    assert (only.name, only.target_port, only.protocol, only.app_protocol) == ("", None, "TCP", "")
    named = accepted(
        "Service", {**port(targetPort="web", name="http-web", appProtocol="http"), "clusterIP": "10.0.0.1"}
    )
    assert (named.ports[0].target_port, named.cluster_ip) == ("web", "10.0.0.1")
    assert accepted("Service", port(targetPort=8080)).ports[0].target_port == 8080
    assert accepted("Service", {"clusterIP": "None"}).ports == ()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "ports: must have at least one port"),
        (port(protocol="UDP"), "ports[0].protocol: UDP is known to Istio, not implemented yet; implemented: TCP"),
        (port(targetPort=0), "ports[0].targetPort: must be a port number"),
        (
            port(targetPort="8080"),
            'targetPort: must be a port number or a port\'s name, not "8080"; leave out the quotes',
        ),
        (port(targetPort=True), "targetPort: must be a port number or a port's name, not true"),
        (port(targetPort="Web_1"), "targetPort: must be a port number or a port's name"),
        (port(name="a_b"), "ports[0].name: must be a DNS label"),
        ({"ports": [{"port": 80}, {"port": 81, "name": "b"}]}, "ports[0].name: is required where there are several"),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            'ports[1].name: there is a port "a" already',
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
            "ports[1].port: there is a port 80 already",
        ),
        ({**port(), "clusterIP": "x"}, 'clusterIP: must be an IP address or None, not "x"'),
        ({**port(), "type": "ExternalName"}, "externalName: must not be empty"),
        ({**port(), "externalName": "x"}, "externalName: takes effect only with type ExternalName"),
        ({**port(), "sessionAffinityConfig": {"clientIP": {}}}, "takes effect only with sessionAffinity: ClientIP"),
        (
            {**port(), "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            "timeoutSeconds: must be at least 1",
        ),
        ({**port(), "externalIPs": ["web"]}, 'externalIPs[0]: must be an IP address, not "web"'),
        ({**port(), "internalTrafficPolicy": "Local"}, "nobody knows here which nodes endpoints are on"),
        ({**port(), "trafficDistribution": "x"}, "trafficDistribution: must be one of PreferClose"),
        ({**port(), "selectr": {}}, 'selectr: unknown field; did you mean "selector"?'),
    ],
)
def test_what_is_refused(spec: Any, expected: str) -> None:
    (found,) = refused("Service", spec)
    assert expected in found
