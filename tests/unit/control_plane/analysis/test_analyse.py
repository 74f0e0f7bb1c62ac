"""What the analysis says of a configuration: Istio's codes, each where it belongs and nowhere else."""

from __future__ import annotations

import pytest

from control_plane.analysis.analyse import analyse
from control_plane.world import Resolution, World
from mesh.istio.load import load
from mesh.istio.resource import Key
from mesh.node import ServicePort
from tests.simulation.worlds import instance, service, world

RULE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rules}
spec:
  hosts: [reviews]
  http:
"""
SUBSETS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: subsets}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v9, labels: {version: v9}}
"""
EDGE = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"]}]
"""


def found(*documents: str, where: World | None = None) -> list[tuple[str, str]]:
    """(code, field) of everything that is said."""
    base = where or world(service("reviews"), service("ratings"), service("many", 80, 81))
    text = "---\n".join(documents)
    resources = world(*base.services.values(), yaml=text).resources
    made = World(1, resources, base.services, base.instances)
    return [(each.code.number, each.field) for each in analyse(made)]


def route(*lines: str) -> str:
    return RULE + "".join(f"  - {line}\n" for line in lines)


def test_nothing_is_said_of_what_is_right() -> None:
    assert found(route("route: [{destination: {host: reviews, subset: v1}}]"), SUBSETS) == []
    assert found(route("route: [{destination: {host: many, port: {number: 81}}}]")) == []


@pytest.mark.fault(22)
def test_names_of_what_is_not_there() -> None:
    two = "route: [{destination: {host: nobody}, weight: 1}, {destination: {host: reviews, subset: v3}, weight: 1}]"
    assert found(route(two), SUBSETS) == [
        ("IST0101", "spec.http[0].route[0].destination.host"),
        ("IST0101", "spec.http[0].route[1].destination.subset"),
    ]
    bound = RULE.replace("  http:", "  gateways: [edge, mesh]\n  http:")
    lines = "  - route: [{destination: {host: reviews}}]\n"
    assert found(bound + lines) == [("IST0101", "spec.gateways[0]")]
    assert found(bound + lines, EDGE) == [("IST0132", "spec.gateways[0]")]
    assert found(bound.replace("[reviews]", "[reviews, a.example.com]") + lines, EDGE) == [
        ("IST0132", "spec.gateways[0]")
    ]
    assert found(bound.replace("[reviews]", "[a.example.com]") + lines, EDGE) == []
    assert found(SUBSETS.replace("host: reviews", "host: nobody")) == [("IST0174", "spec.host")]
    assert found(SUBSETS.replace("host: reviews", "host: '*.local'")) == []


@pytest.mark.fault(22)
def test_a_second_rule_for_a_host() -> None:
    one = route("route: [{destination: {host: reviews}}]")
    assert found(one, one.replace("name: rules", "name: second")) == [("IST0109", "spec.hosts[0]")]
    wide = one.replace("[reviews]", "['*.local']")
    assert found(one, wide.replace("name: rules", "name: second")) == []


@pytest.mark.fault(22)
def test_rules_that_are_never_reached() -> None:
    to = "route: [{destination: {host: reviews}}]"
    everything = route(f"match: [{{uri: {{prefix: /a}}}}]\n    {to}", to, f"match: [{{uri: {{prefix: /b}}}}]\n    {to}")
    assert found(everything) == [("IST0130", "spec.http[2]")]
    sources = route(f"match: [{{sourceLabels: {{a: b}}}}]\n    {to}", to)
    assert found(sources) == []
    twice = f"match: [{{uri: {{prefix: /a}}}}, {{uri: {{prefix: /b}}}}]\n    {to}"
    again = f"match: [{{uri: {{prefix: /b}}}}]\n    {to}"
    assert found(route(twice, again)) == [("IST0130", "spec.http[1]"), ("IST0131", "spec.http[1].match[0]")]


@pytest.mark.fault(22)
def test_a_name_with_a_dot_is_not_completed() -> None:
    rule = route("route: [{destination: {host: reviews}}]").replace("[reviews]", "[reviews.default]")
    assert found(rule) == [("MESH0001", "spec.hosts[0]")]
    assert found(SUBSETS.replace("host: reviews", "host: reviews.default")) == [("MESH0001", "spec.host")]


@pytest.mark.fault(17)
def test_rules_for_grpc_are_as_good_as_any() -> None:
    grpc = world(service("reviews", ServicePort(50051, "grpc", "GRPC")))
    assert found(route("route: [{destination: {host: reviews}}]"), where=grpc) == []


def test_a_destination_of_several_ports() -> None:
    assert found(route("route: [{destination: {host: many}}]")) == [("IST0112", "spec.http[0].route[0].destination")]


def test_a_subset_without_endpoints() -> None:
    where = world(service("reviews"), instances={"reviews": [instance("10.0.0.1", "v1")]})
    assert found(SUBSETS, where=where) == [("IST0173", "spec.subsets[1]")]


def test_two_gateways_of_one_port_and_host() -> None:
    assert found(EDGE, EDGE.replace("name: edge", "name: other")) == [("IST0145", "spec.servers[0]")] * 2
    assert found(EDGE, EDGE.replace("name: edge", "name: other").replace("istio: ", "app: ")) == []


@pytest.mark.fault(21)
def test_a_wildcard_that_a_proxy_cannot_look_up() -> None:
    entry = (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: wiki}\n"
        "spec: {hosts: ['*.wikipedia.org'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}\n"
    )
    assert found(entry) == [("MESH0003", "spec.hosts[0]")]
    assert found(entry.replace("'*.wikipedia.org'", "en.wikipedia.org").replace("NONE", "DNS")) == []


def test_hosts_within_a_wildcard_service_are_known() -> None:
    where = world(service("reviews"), service("*.example.com", resolution=Resolution.NONE))
    rule = route("route: [{destination: {host: a.example.com}}]").replace("[reviews]", "[a.example.com]")
    assert found(rule, where=where) == []


def test_only_some_resources_are_asked_about_and_lines_are_told() -> None:
    text = route("route: [{destination: {host: nobody}}]") + "---\n" + SUBSETS.replace("host: reviews", "host: nobody")
    resources = load(text, "f.yaml")
    by_kind = {resource.key.kind: (resource,) for resource in resources}
    (only,) = analyse(World(1, by_kind, {}, {}), {Key("VirtualService", "default", "rules")})
    assert (only.file, only.line, str(only)) == (
        "f.yaml",
        7,
        'Error [IST0101] (VirtualService default/rules f.yaml:7) Referenced host not found: "nobody"',
    )
