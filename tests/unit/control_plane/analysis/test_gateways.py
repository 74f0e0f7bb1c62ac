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


def served(name: str, selector: str, hosts: str = "a.example.com") -> str:
    servers = f"[{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['{hosts}']}}]"
    return document("Gateway", name, f"{{selector: {{{selector}}}, servers: {servers}}}")


def test_a_selector_that_narrows_another_down() -> None:
    """Both Gateways are those of a proxy that has all the labels, if there is one."""
    wide, narrow = served("wide", "istio: ingressgateway"), served("narrow", "istio: ingressgateway, app: edge")
    pod = document("Pod", "edge", "{containers: []}", labels="{istio: ingressgateway, app: edge}")
    assert codes(wide, narrow) == []
    assert codes(wide, narrow, pod) == [("IST0145", "narrow"), ("IST0145", "wide")]
    assert codes(wide, served("narrow", "istio: ingressgateway, app: edge", "b.example.com"), pod) == []
    assert codes(wide, served("other", "istio: other"), pod) == [("IST0101", "other")]


def test_hosts_for_virtual_services_of_one_namespace() -> None:
    """`./host` of a Gateway is for the VirtualServices beside it."""
    for scope, lost in (("./", True), ("shop/", False), ("*/", False), ("", False)):
        gateway = served("edge", "istio: ingressgateway", f"{scope}a.example.com")
        rules = document(
            "VirtualService",
            "rules",
            "{hosts: [a.example.com], gateways: [default/edge], http: [{redirect: {uri: /x}}]}",
            namespace="shop",
        )
        assert codes(gateway, rules) == ([("IST0132", "rules")] if lost else [])
        assert codes(gateway, rules.replace("namespace: shop", "namespace: default")) == (
            [("IST0132", "rules")] if scope == "shop/" else []
        )
