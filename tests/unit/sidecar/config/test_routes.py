"""Routes: every field of Envoy's in its place, with Envoy's defaults."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.model import (
    FaultConfig,
    Forward,
    HeaderAdd,
    HeaderOps,
    PathMatch,
    Redirect,
    RetryPolicy,
    RouteMatch,
    WeightedCluster,
)
from sidecar.config.routes import compile_route_config, compile_virtual_host, longest_body
from tests.unit.sidecar.config.build import (
    FAULT,
    ROUTER,
    Data,
    T,
    fields,
    hcm_of,
    parts,
    problems,
    route_of,
)


def instead_of_route(kind: str, data: Data) -> Any:
    given = parts()
    del given.route["route"]
    given.route[kind] = data
    return route_of(given).action


def test_defaults() -> None:
    route = route_of(parts())
    assert route.match == RouteMatch(PathMatch.PREFIX, "/")
    assert route.action == Forward((WeightedCluster("up", 1),))


def test_redirects() -> None:
    assert instead_of_route("redirect", {"path_redirect": "/x", "response_code": "FOUND"}) == Redirect(
        code=302, path="/x"
    )
    assert instead_of_route("redirect", {"prefix_rewrite": "", "https_redirect": True}) == Redirect(
        https=True, prefix=""
    )
    assert instead_of_route(
        "redirect", {"scheme_redirect": "HTTPS", "host_redirect": "h", "port_redirect": 8, "strip_query": True}
    ) == Redirect(scheme="https", host="h", port=8, strip_query=True)


def test_header_changes_at_every_level() -> None:
    given = parts()
    for number, where in enumerate((given.routes, given.host, given.route)):
        where["request_headers_to_add"] = [{"header": {"key": f"a{number}", "raw_value": "Yg=="}}]
        where["response_headers_to_remove"] = [f"B{number}"]
    routes = hcm_of(given).routes
    assert routes is not None
    host = routes.virtual_hosts[0]
    for number, each in enumerate((routes, host, host.routes[0])):
        assert each.request_ops == HeaderOps(add=(HeaderAdd(f"a{number}".encode(), "b"),))
        assert each.response_ops == HeaderOps(remove=(f"b{number}".encode(),))


def test_the_rest_of_a_route_and_a_virtual_host() -> None:
    given = parts()
    given.route.update(
        name="r1",
        decorator={"operation": "op", "propagate": False},
        metadata={"filter_metadata": {"istio": {"n": 1}}},
        request_body_buffer_limit=5,
    )
    given.host.update(
        retry_policy={"retry_on": "5xx"},
        include_request_attempt_count=True,
        include_attempt_count_in_response=True,
        per_request_buffer_limit_bytes=7,
    )
    given.routes.update(ignore_port_in_host_matching=True, validate_clusters=False)
    routes = hcm_of(given).routes
    assert routes is not None
    assert routes.ignore_port_in_host
    assert routes.validate_clusters is False
    host = routes.virtual_hosts[0]
    assert host.retry == RetryPolicy(frozenset({"5xx"}))
    assert host.include_attempt_count
    assert host.include_attempt_count_in_response
    assert host.retry_buffer == 7
    route = host.routes[0]
    assert (route.name, route.decorator, route.metadata, route.retry_buffer) == ("r1", "op", {"istio": {"n": 1}}, 5)
    assert not route.propagate_decorator


def test_filters_per_route() -> None:
    given = parts()
    given.route["typed_per_filter_config"] = {
        "fault": {"@type": FAULT, "abort": {"http_status": 500, "percentage": {"numerator": 100}}},
        "off": {"@type": T + "envoy.config.route.v3.FilterConfig", "disabled": True},
        "wrapped": {"@type": T + "envoy.config.route.v3.FilterConfig", "config": {"@type": FAULT}},
        "unknown": {
            "@type": T + "envoy.config.route.v3.FilterConfig",
            "is_optional": True,
            "config": {"@type": T + "mesh.Unknown"},
        },
    }
    assert route_of(given).filters == {
        "fault": FaultConfig(abort_status=500, abort_chance=1_000_000),
        "off": None,
        "wrapped": FaultConfig(),
    }


@pytest.mark.parametrize(
    ("where", "change", "expected"),
    [
        ("action", {"hash_policy": [{"filter_state": {"key": "a"}}]}, "filter_state: is not implemented"),
        ("action", {"cluster_specifier_plugin": "x"}, "cluster_specifier_plugin: is not implemented"),
        ("action", {"retry_policy": {"retry_on": "5xx,nope"}}, "retry_on: unknown condition 'nope'"),
        (
            "action",
            {"regex_rewrite": {"pattern": {"regex": "a"}, "substitution": "\\2"}},
            "substitution: \\2 needs as many groups; the pattern has 0",
        ),
        ("match", {"tls_context": {}}, "tls_context: is not implemented"),
        ("host", {"rate_limits": [{"actions": [{"remote_address": {}}]}]}, "rate_limits: is not implemented"),
        (
            "route",
            {"typed_per_filter_config": {"a": {"@type": ROUTER}}},
            'typed_per_filter_config["a"]: envoy.extensions.filters.http.router.v3.Router: '
            "there is no such HTTP filter that routes can configure",
        ),
    ],
)
def test_refused(where: str, change: Data, expected: str) -> None:
    given = parts()
    if "cluster_specifier_plugin" in change:
        del given.action["cluster"]
    getattr(given, where).update(change)
    assert expected in problems(given)


def test_every_problem_of_a_resource_at_once() -> None:
    given = parts()
    given.match["tls_context"] = {}
    given.action.update(timeout="-1s", hash_policy=[{"filter_state": {"key": "a"}}])
    given.host["rate_limits"] = [{"actions": [{"remote_address": {}}]}]
    found = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0]"
    assert sorted(fields(given)) == sorted(
        [
            f"{found}.rate_limits",
            f"{found}.routes[0].match.tls_context",
            f"{found}.routes[0].route.hash_policy[0].filter_state",
            f"{found}.routes[0].route.timeout",
        ]
    )


def test_a_route_configuration_of_its_own() -> None:
    given = parts()
    message = ParseDict(given.routes, RouteConfiguration())
    assert compile_route_config(message).virtual_hosts[0].domains == ("*",)
    message.virtual_hosts[0].routes[0].route.timeout.FromSeconds(-1)
    with pytest.raises(ConfigError) as caught:
        compile_route_config(message)
    assert [problem.field for problem in caught.value.problems] == ["virtual_hosts[0].routes[0].route.timeout"]


# ── virtual hosts as resources ────────────────────────────────────────────────────────────────────────────────────────


VHDS: Data = {"config_source": {"ads": {}, "resource_api_version": "V3"}}


def test_virtual_hosts_may_come_one_by_one() -> None:
    config = compile_route_config(ParseDict({"name": "r", "vhds": VHDS}, RouteConfiguration()))
    assert (config.vhds, config.virtual_hosts) == (True, ())
    assert not compile_route_config(RouteConfiguration(name="r")).vhds


def test_they_come_over_ads() -> None:
    message = ParseDict({"vhds": {"config_source": {"path": "/x"}}}, RouteConfiguration())
    with pytest.raises(ConfigError, match=r"vhds\.config_source.*only ads is implemented"):
        compile_route_config(message)


def test_inline_routes_have_theirs_in_themselves() -> None:
    given = parts()
    given.routes["vhds"] = VHDS
    assert any("vhds" in found and "over RDS" in found for found in problems(given))


def test_a_virtual_host_alone() -> None:
    answer = {"status": 200, "body": {"inline_string": "abc"}}
    data = {"name": "a", "domains": ["a"], "routes": [{"match": {"prefix": "/"}, "direct_response": answer}]}
    message = ParseDict(data, VirtualHost())
    host = compile_virtual_host(message)
    assert (host.name, host.domains, longest_body(host)) == ("a", ("a",), 3)
    assert VirtualHost.FromString(host.source) == message
    message.routes[0].match.safe_regex.regex = "("
    with pytest.raises(ConfigError, match=r"routes\[0\]\.match\.safe_regex"):
        compile_virtual_host(message)
