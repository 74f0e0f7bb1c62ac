"""Gateways and the Services that lead to their workloads."""

from tests.simulation.worlds import gateway
from tests.unit.control_plane.analysis.support import analysed, codes, document

SERVER = "{port: {number: %d, name: http, protocol: HTTP}, hosts: ['*']}"
SERVICE = "{selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}"


def edge(port: int) -> str:
    return document("Gateway", "edge", "{selector: {istio: ingressgateway}, servers: [" + SERVER % port + "]}")


def test_a_port_that_no_service_leads_to() -> None:
    service = document("Service", "ingress", SERVICE)
    for port in (80, 8080):  # the service's, or where the proxy listens
        assert codes(edge(port), service, nodes=[gateway()]) == []
    (found,) = analysed(edge(8443), service, nodes=[gateway()])
    assert (found.code.number, found.field) == ("IST0162", "spec.servers[0].port.number")
    assert "target port (port 8443)" in found.message
    assert "(Pod selector istio=ingressgateway)" in found.message
    assert codes(edge(8443), nodes=[gateway()]) == []  # no service at all: it is reached by its own address
