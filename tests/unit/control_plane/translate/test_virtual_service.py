from typing import Any

import pytest
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault

from control_plane.translate.index import Index
from control_plane.translate.viewer import Audience, Viewer
from control_plane.translate.virtual_service import default_route, routes
from control_plane.world import Service
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import service, world

VIEWER = Viewer("default", Audience.EXPLICIT)
TO = "route: [{destination: {host: reviews}}]"


def translated(http: str, *services: Service, port: int = 9080, viewer: Viewer = VIEWER, more: str = "") -> list[Any]:
    index = Index(world(*services, yaml=virtual_service(http, more=more)))
    return routes(index, viewer, index.virtual_services[0], port)


def test_routes_say_where_they_come_from() -> None:
    (route,) = translated(f"{{name: rule, match: [{{name: m, uri: {{exact: /x}}}}], {TO}}}", service("reviews"))
    assert route.name == "rule.m"
    config = route.metadata.filter_metadata["istio"]["config"]
    assert config == "/apis/networking.istio.io/v1/namespaces/default/virtual-service/rules"


@pytest.mark.parametrize(
    ("rule", "operation"),
    [
        (f"{{{TO}}}", "reviews.default.svc.cluster.local:9080/*"),
        (f"{{match: [{{uri: {{exact: /x}}}}], {TO}}}", "reviews.default.svc.cluster.local:9080/x"),
        (f"{{match: [{{uri: {{prefix: /x}}}}], {TO}}}", "reviews.default.svc.cluster.local:9080/x*"),
        (f"{{match: [{{uri: {{regex: /x.}}}}], {TO}}}", "reviews.default.svc.cluster.local:9080/x."),
        ("{redirect: {uri: /}}", "rules:9080/*"),
        (
            "{route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: 1}]}",
            "rules:9080/*",
        ),
    ],
)
def test_spans_are_named_after_the_destination(rule: str, operation: str) -> None:
    (route,) = translated(rule, service("reviews"))
    assert route.decorator.operation == operation


def test_each_match_is_a_route() -> None:
    found = translated(f"{{match: [{{uri: {{exact: /a}}}}, {{uri: {{exact: /b}}}}], {TO}}}", service("reviews"))
    assert [route.match.path for route in found] == ["/a", "/b"]


def test_matches_for_other_ports_are_left_out() -> None:
    rule = f"{{match: [{{port: 80}}], {TO}}}"
    assert len(translated(rule, port=80)) == 1
    assert translated(rule, port=81) == []


def test_gateways_in_a_match_replace_its_conditions_on_the_source() -> None:
    rule = f"{{match: [{{gateways: [mesh], sourceLabels: {{app: nobody}}}}], {TO}}}"
    assert len(translated(rule, more="  gateways: [mesh]\n")) == 1


def test_faults_are_set_for_the_route() -> None:
    (route,) = translated(f"{{fault: {{abort: {{httpStatus: 500, percentage: {{value: 100}}}}}}, {TO}}}")
    fault = HTTPFault()
    assert route.typed_per_filter_config["envoy.filters.http.fault"].Unpack(fault)
    assert fault.abort.http_status == 500


def test_cors_policies_are_set_for_the_route() -> None:
    origins = "allowOrigins: [{exact: http://a}, {prefix: http://b}, {regex: .*c}]"
    lists = "allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: [x-c]"
    rule = f"{{corsPolicy: {{{origins}, {lists}, maxAge: 1h, allowCredentials: true}}, {TO}}}"
    (route,) = translated(rule)
    policy = CorsPolicy()
    assert route.typed_per_filter_config["envoy.filters.http.cors"].Unpack(policy)
    exact, prefix, regex = policy.allow_origin_string_match
    assert (exact.exact, prefix.prefix, regex.safe_regex.regex) == ("http://a", "http://b", ".*c")
    assert (policy.allow_methods, policy.allow_headers, policy.expose_headers) == ("GET,PUT", "x-a,x-b", "x-c")
    assert (policy.max_age, policy.allow_credentials.value) == ("3600", True)
    assert policy.forward_not_matching_preflights.value
    assert policy.filter_enabled.default_value.numerator == 100


def test_the_older_list_of_origins_counts_when_there_is_no_other() -> None:
    for more, expected in (("", "http://old"), ("allowOrigins: [{exact: http://new}], ", "http://new")):
        rule = f"{{corsPolicy: {{{more}allowOrigin: [http://old], unmatchedPreflights: IGNORE}}, {TO}}}"
        (route,) = translated(rule)
        policy = CorsPolicy()
        route.typed_per_filter_config["envoy.filters.http.cors"].Unpack(policy)
        assert [origin.exact for origin in policy.allow_origin_string_match] == [expected]
        assert not policy.forward_not_matching_preflights.value
        assert not policy.HasField("allow_credentials")


def test_an_unknown_destination_is_a_cluster_that_is_not_there() -> None:
    (route,) = translated("{route: [{destination: {host: gone, subset: v1}}]}", port=7)
    assert route.route.cluster == "outbound|7|v1|gone.default.svc.cluster.local"


def test_a_destination_is_called_as_its_service_is() -> None:
    (route,) = translated("{route: [{destination: {host: upper.EXAMPLE.com}}]}", service("Upper.example.com", 80))
    assert route.route.cluster == "outbound|80||Upper.example.com"


def test_clients_in_other_namespaces_share_routes_unless_a_rule_asks_for_it() -> None:
    other = Viewer("other", Audience.EXPLICIT)
    plain, asking = f"{{{TO}}}", f"{{match: [{{sourceNamespace: default}}], {TO}}}"
    for http, shared in ((plain, True), (asking, False)):
        index = Index(world(yaml=virtual_service(http)))
        (bound,) = index.virtual_services
        assert (routes(index, VIEWER, bound, 80) is routes(index, other, bound, 80)) == shared


def test_routes_are_made_once_for_those_who_are_alike() -> None:
    index = Index(world(yaml=virtual_service(f"{{{TO}}}")))
    (bound,) = index.virtual_services
    assert routes(index, VIEWER, bound, 80) is routes(index, VIEWER, bound, 80)
    assert routes(index, VIEWER, bound, 81) is not routes(index, VIEWER, bound, 80)


def test_the_route_without_rules() -> None:
    route = default_route("reviews.default.svc.cluster.local", 9080)
    assert (route.name, route.decorator.operation) == ("default", "reviews.default.svc.cluster.local:9080/*")
    assert route.route.retry_policy.num_retries.value == 2
