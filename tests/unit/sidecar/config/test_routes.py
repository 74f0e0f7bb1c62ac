"""Routes: every field of Envoy's in its place, with Envoy's defaults."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.model import (
    AppendAction,
    DirectResponse,
    FaultConfig,
    Forward,
    HeaderAdd,
    HeaderMatcher,
    HeaderOps,
    PathMatch,
    QueryMatcher,
    Redirect,
    RetryPolicy,
    Rewrite,
    RouteMatch,
    StringMatch,
    StringMatcher,
    WeightedCluster,
)
from sidecar.config.routes import compile_route_config
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

PREVIOUS_HOSTS = T + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def match_of(**match: Any) -> RouteMatch:
    given = parts()
    given.match.clear()
    given.match.update(match if any(kind.value in match for kind in PathMatch) else {"prefix": "/", **match})
    return route_of(given).match


def forward_of(**action: Any) -> Forward:
    given = parts()
    if "weighted_clusters" in action:
        del given.action["cluster"]
    given.action.update(action)
    compiled = route_of(given).action
    assert isinstance(compiled, Forward)
    return compiled


def instead_of_route(kind: str, data: Data) -> Any:
    given = parts()
    del given.route["route"]
    given.route[kind] = data
    return route_of(given).action


def test_defaults() -> None:
    route = route_of(parts())
    assert route.match == RouteMatch(PathMatch.PREFIX, "/")
    assert route.action == Forward((WeightedCluster("up", 1),))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"prefix": "/a"}, RouteMatch(PathMatch.PREFIX, "/a")),
        ({"path": "/a", "case_sensitive": False}, RouteMatch(PathMatch.PATH, "/a", case_sensitive=False)),
        ({"safe_regex": {"regex": "/a.*"}}, RouteMatch(PathMatch.REGEX, "/a.*")),
        ({"path_separated_prefix": "/a"}, RouteMatch(PathMatch.SEPARATED_PREFIX, "/a")),
        ({"connect_matcher": {}}, RouteMatch(PathMatch.CONNECT, "")),
        (
            {"runtime_fraction": {"default_value": {"numerator": 25}}},
            RouteMatch(PathMatch.PREFIX, "/", fraction=250_000),
        ),
    ],
)
def test_paths(match: Data, expected: RouteMatch) -> None:
    assert match_of(**match) == expected


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({}, HeaderMatcher(b"x-a")),
        ({"present_match": False}, HeaderMatcher(b"x-a", present=False)),
        ({"present_match": True, "invert_match": True}, HeaderMatcher(b"x-a", invert=True)),
        (
            {"string_match": {"exact": "B", "ignore_case": True}, "treat_missing_header_as_empty": True},
            HeaderMatcher(b"x-a", StringMatcher(StringMatch.EXACT, "B", ignore_case=True), treat_missing_as_empty=True),
        ),
        ({"string_match": {"suffix": "b"}}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.SUFFIX, "b"))),
        ({"string_match": {"contains": "b"}}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.CONTAINS, "b"))),
        (
            {"string_match": {"safe_regex": {"regex": "b"}}},
            HeaderMatcher(b"x-a", StringMatcher(StringMatch.REGEX, "b")),
        ),
        ({"range_match": {"start": -1, "end": 5}}, HeaderMatcher(b"x-a", value_range=(-1, 5))),
        ({"exact_match": ""}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.EXACT, ""))),
        ({"prefix_match": "b"}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.PREFIX, "b"))),
        ({"safe_regex_match": {"regex": "b"}}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.REGEX, "b"))),
    ],
)
def test_headers(matcher: Data, expected: HeaderMatcher) -> None:
    assert match_of(headers=[{"name": "X-A", **matcher}]).headers == (expected,)


def test_query_parameters() -> None:
    match = match_of(query_parameters=[{"name": "a"}, {"name": "b", "string_match": {"exact": ""}}])
    assert match.query == (QueryMatcher("a"), QueryMatcher("b", StringMatcher(StringMatch.EXACT, "")))


def test_weighted_clusters() -> None:
    clusters = forward_of(
        weighted_clusters={
            "clusters": [
                {"name": "up", "weight": 90, "host_rewrite_literal": "h", "request_headers_to_remove": ["X-A"]},
                {"name": "up", "weight": 10, "response_headers_to_add": [{"header": {"key": "A", "value": "b"}}]},
            ]
        }
    ).clusters
    assert clusters == (
        WeightedCluster("up", 90, request_ops=HeaderOps(remove=(b"x-a",)), host_rewrite="h"),
        WeightedCluster("up", 10, response_ops=HeaderOps(add=(HeaderAdd(b"a", "b"),))),
    )


def test_time_outs_and_the_rest_of_an_action() -> None:
    forward = forward_of(
        timeout="0s",
        idle_timeout="0s",
        cluster_not_found_response_code="INTERNAL_SERVER_ERROR",
        priority="HIGH",
        upgrade_configs=[
            {"upgrade_type": "WebSocket", "enabled": False},
            {"upgrade_type": "CONNECT", "connect_config": {}},
        ],
    )
    assert (forward.timeout, forward.idle_timeout) == (0.0, 0.0)
    assert forward.cluster_not_found_code == 500
    assert forward.high_priority
    assert forward.upgrades == {"websocket": False, "connect": True}
    assert forward.terminate_connect


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"prefix_rewrite": "/b"}, Rewrite(prefix="/b")),
        ({"regex_rewrite": {"pattern": {"regex": "(a)"}, "substitution": "\\1"}}, Rewrite(regex=("(a)", "\\1"))),
        ({"host_rewrite_literal": "h", "append_x_forwarded_host": True}, Rewrite(host="h", append_forwarded_host=True)),
        ({"auto_host_rewrite": True}, Rewrite(host_from_upstream=True)),
        ({"auto_host_rewrite": False}, None),
        ({}, None),
    ],
)
def test_rewrites(action: Data, expected: Rewrite | None) -> None:
    assert forward_of(**action).rewrite == expected


def test_retry_policy_with_everything() -> None:
    policy = forward_of(
        retry_policy={
            "retry_on": "5xx, connect-failure,retriable-status-codes",
            "num_retries": 3,
            "per_try_timeout": "2s",
            "retriable_status_codes": [503, 429],
            "retry_back_off": {"base_interval": "0.1s"},
            "retry_host_predicate": [{"name": "p", "typed_config": {"@type": PREVIOUS_HOSTS}}],
            "host_selection_retry_max_attempts": 5,
        }
    ).retry
    assert policy == RetryPolicy(
        conditions=frozenset({"5xx", "connect-failure", "retriable-status-codes"}),
        attempts=3,
        per_try_timeout=2.0,
        status_codes=frozenset({503, 429}),
        base_interval=0.1,
        max_interval=1.0,
        avoid_previous_hosts=True,
        host_selection_attempts=5,
    )


def test_retry_policy_with_nothing() -> None:
    assert forward_of(retry_policy={}).retry == RetryPolicy(frozenset())


def test_back_off_is_a_millisecond_at_least() -> None:
    policy = forward_of(retry_policy={"retry_back_off": {"base_interval": "0.0001s"}}).retry
    assert policy is not None
    assert (policy.base_interval, policy.max_interval) == (0.001, 0.01)


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


def test_direct_responses(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "body").write_bytes(b"from a file")
    monkeypatch.setenv("MESH_BODY", "from a variable")
    for source, body in (
        ({"inline_string": "a"}, b"a"),
        ({"inline_bytes": "YQ=="}, b"a"),
        ({"filename": str(tmp_path / "body")}, b"from a file"),
        ({"environment_variable": "MESH_BODY"}, b"from a variable"),
    ):
        assert instead_of_route("direct_response", {"status": 200, "body": source}) == DirectResponse(200, body)
    assert instead_of_route("direct_response", {"status": 404}) == DirectResponse(404)


@pytest.mark.parametrize(
    ("option", "action"),
    [
        ({}, AppendAction.APPEND),
        ({"append": False}, AppendAction.OVERWRITE),
        ({"append": True}, AppendAction.APPEND),
        ({"append_action": "ADD_IF_ABSENT"}, AppendAction.ADD_IF_ABSENT),
        ({"append_action": "OVERWRITE_IF_EXISTS"}, AppendAction.OVERWRITE_IF_EXISTS),
    ],
)
def test_header_actions(option: Data, action: AppendAction) -> None:
    given = parts()
    given.route["request_headers_to_add"] = [
        {"header": {"key": "X-A", "value": "%PROTOCOL%"}, "keep_empty_value": True, **option}
    ]
    assert route_of(given).request_ops.add == (HeaderAdd(b"x-a", "%PROTOCOL%", action, keep_empty=True),)


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
        decorator={"operation": "op"},
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
        ("action", {"hash_policy": [{"header": {"header_name": "a"}}]}, "hash_policy: is not implemented"),
        ("action", {"cluster_header": "x"}, "cluster_header: is not implemented"),
        ("action", {"retry_policy": {"retry_on": "5xx,nope"}}, "retry_on: unknown condition 'nope'"),
        (
            "action",
            {"regex_rewrite": {"pattern": {"regex": "a"}, "substitution": "\\2"}},
            "substitution: \\2 needs as many groups; the pattern has 0",
        ),
        ("match", {"grpc": {}}, "grpc: is not implemented"),
        ("host", {"require_tls": "ALL"}, "require_tls: ALL is not implemented, only NONE is"),
        (
            "route",
            {"decorator": {"operation": "a", "propagate": False}},
            "propagate: false is not implemented, only true is",
        ),
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
    if "cluster_header" in change:
        del given.action["cluster"]
    getattr(given, where).update(change)
    assert expected in problems(given)


def test_every_problem_of_a_resource_at_once() -> None:
    given = parts()
    given.match["grpc"] = {}
    given.action.update(timeout="-1s", hash_policy=[{"header": {"header_name": "a"}}])
    given.host["require_tls"] = "ALL"
    found = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0]"
    assert sorted(fields(given)) == sorted(
        [
            f"{found}.require_tls",
            f"{found}.routes[0].match.grpc",
            f"{found}.routes[0].route.hash_policy",
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
