from typing import Any

import pytest
import yaml
from envoy.config.route.v3.route_components_pb2 import RedirectAction, Route

from control_plane.translate.actions import Target, apply_action, default_action
from mesh.istio.virtual_service import HTTPRoute

TARGET = Target(9080, lambda destination: f"{destination.host}|{destination.subset}")


def route(text: str, target: Target = TARGET) -> Any:
    """The Route of a rule in YAML."""
    made = Route()
    apply_action(made, HTTPRoute.model_validate(yaml.safe_load(text)), target)
    return made


TO_A = "route: [{destination: {host: a}}]"


def test_forwarding_without_anything_said() -> None:
    action = route(TO_A).route
    assert action.cluster == "a|"
    assert action.HasField("timeout") and action.timeout.seconds == 0
    assert action.retry_policy.num_retries.value == 2
    assert not action.host_rewrite_literal


def test_timeouts_and_no_retries() -> None:
    action = route(f"{{timeout: 2s, retries: {{attempts: 0}}, {TO_A}}}").route
    assert action.timeout.seconds == 2
    assert not action.HasField("retry_policy")


def test_grpc_reads_another_timeout() -> None:
    grpc = Target(1, TARGET.cluster, grpc=True)
    assert route(f"{{timeout: 2s, {TO_A}}}", grpc).route.max_stream_duration.max_stream_duration.seconds == 2
    assert default_action("a", grpc=True).HasField("max_stream_duration")
    assert not default_action("a").HasField("max_stream_duration")


def test_weights() -> None:
    found = route("""
        route:
        - {destination: {host: a}, weight: 3, headers: {request: {set: {host: h, x: y}}}}
        - {destination: {host: b}, weight: 0}
        - {destination: {host: c}, weight: 1}
    """).route.weighted_clusters.clusters
    assert [(c.name, c.weight.value, c.host_rewrite_literal) for c in found] == [("a|", 3, "h"), ("c|", 1, "")]
    assert found[0].request_headers_to_add[0].header.key == "x"


def test_headers_of_the_only_destination_follow_the_rules_own() -> None:
    found = route("""
        headers: {request: {set: {x: rule}, remove: [r]}}
        route: [{destination: {host: a}, headers: {request: {set: {x: destination, host: h}, remove: [d]}}}]
    """)
    assert [o.header.value for o in found.request_headers_to_add] == ["rule", "destination"]
    assert list(found.request_headers_to_remove) == ["r", "d"]
    assert found.route.host_rewrite_literal == "h"


@pytest.mark.fault("F:control_plane/translate/actions.py:74")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{rewrite: {authority: a}, %s}", "a"),
        ("{headers: {request: {set: {host: b}}}, %s}", "b"),
        ("{headers: {request: {set: {host: b}}}, rewrite: {uri: /}, %s}", "b"),
        ("{rewrite: {authority: a}, route: [{destination: {host: x}, headers: {request: {set: {host: c}}}}]}", "a"),
    ],
)
def test_the_authority(text: str, expected: str) -> None:
    assert route(text.replace("%s", TO_A)).route.host_rewrite_literal == expected


def test_rewrites() -> None:
    assert route(f"{{rewrite: {{uri: /b}}, {TO_A}}}").route.prefix_rewrite == "/b"
    regex = route(
        f"{{rewrite: {{uriRegexRewrite: {{match: '^/(.*)$', rewrite: '/x\\1'}}}}, {TO_A}}}"
    ).route.regex_rewrite
    assert (regex.pattern.regex, regex.substitution) == ("^/(.*)$", "/x\\1")


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ("uri: /", 0),
        ("port: 8080", 8080),
        ("port: 80", 0),
        ("{scheme: https, port: 443}", 0),
        ("{scheme: https, port: 80}", 80),
        ("derivePort: FROM_REQUEST_PORT", 9080),
        ("derivePort: FROM_PROTOCOL_DEFAULT", 0),
    ],
)
def test_ports_of_redirects(fields: str, port: int) -> None:
    text = fields if fields.startswith("{") else f"{{{fields}}}"
    assert route(f"redirect: {text}").redirect.port_redirect == port


def test_redirects() -> None:
    found = route("redirect: {uri: /u, authority: a, scheme: https, redirectCode: 308}").redirect
    assert (found.path_redirect, found.host_redirect, found.scheme_redirect) == ("/u", "a", "https")
    assert found.response_code == RedirectAction.PERMANENT_REDIRECT
    assert route("redirect: {prefixRewrite: /p}").redirect.prefix_rewrite == "/p"
    assert route("redirect: {uri: /}").redirect.response_code == RedirectAction.MOVED_PERMANENTLY


def test_direct_responses() -> None:
    found = route("directResponse: {status: 503, body: {string: text}}").direct_response
    assert (found.status, found.body.inline_string) == (503, "text")
    assert route("directResponse: {status: 200, body: {bytes: aGk=}}").direct_response.body.inline_bytes == b"hi"
    assert not route("directResponse: {status: 204}").direct_response.HasField("body")
