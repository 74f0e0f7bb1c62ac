"""What rules ask of the sidecars of a service: limits of requests, and faults beyond the caller's router."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate import build
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node
from mesh.xds import LISTENER, ROUTE
from sidecar.config.listeners import compile_listener
from tests.simulation.evaluator import Call, Outcome, evaluate
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import service, sidecar, world

LIMIT = "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: RateLimit\nmetadata: {{name: limits}}\nspec: {{{}}}\n"
FAULT = (
    "fault: {at: upstream, abort: {httpStatus: 503, percentage: {value: 50}}}, route: [{destination: {host: reviews}}]"
)


def manager(*documents: str, name: str = "reviews") -> Any:
    made = build(world(service("reviews"), service("ratings"), yaml="---\n".join(documents)), sidecar(name))
    found = HttpConnectionManager()
    assert made[LISTENER]["virtualInbound"].filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def asked(found: Any, path: str, **headers: str) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    outcome = evaluate(found.route_config, Call(f"http://reviews{path}", headers=named))
    assert outcome is not None
    return outcome


def filters(found: Any) -> list[str]:
    return [each.name.rpartition(".")[2] for each in found.http_filters]


def test_requests_are_limited_by_what_they_are() -> None:
    spec = (
        "host: reviews, limits: [{name: writes, match: [{method: {exact: POST}}, {headers: {x: {exact: a}}}], requests: 5}, "
        "{name: rest, requests: 100, per: 60s, burst: 200}]"
    )
    found = manager(LIMIT.format(spec))
    assert filters(found) == ["local_ratelimit", "router"]
    for headers, name, bucket in (({"x": "a"}, "limits.writes", (5, 5, 1)), ({}, "limits.rest", (200, 100, 60))):
        route = asked(found, "/", **headers).route
        config = LocalRateLimit()
        assert route.typed_per_filter_config["envoy.filters.http.local_ratelimit"].Unpack(config)
        tokens = config.token_bucket
        assert (route.name, (tokens.max_tokens, tokens.tokens_per_fill.value, tokens.fill_interval.seconds)) == (
            name,
            bucket,
        )
        assert config.filter_enforced.default_value.numerator == 100
    assert filters(manager(LIMIT.format(spec), name="ratings")) == ["router"]


def test_a_limit_may_only_count() -> None:
    found = manager(LIMIT.format("host: reviews, dryRun: true, limits: [{name: a, requests: 1, per: 100ms}]"))
    config = LocalRateLimit()
    assert asked(found, "/").route.typed_per_filter_config["envoy.filters.http.local_ratelimit"].Unpack(config)
    assert (config.filter_enabled.default_value.numerator, config.filter_enforced.default_value.numerator) == (100, 0)


def test_a_fault_may_be_beyond_the_router() -> None:
    rules = virtual_service(f"{{{FAULT}}}\n")
    caller = build(world(service("reviews"), yaml=rules), sidecar("productpage"))[ROUTE]["http_proxy"]
    route = evaluate(caller, Call("http://reviews:9080/"))
    assert route is not None and not route.route.typed_per_filter_config
    header = route.route.request_headers_to_add[0].header
    assert (header.key, header.value) == ("x-mesh-fault", "default/rules/0")

    found = manager(rules)
    assert filters(found) == ["fault", "router"]
    hit = asked(found, "/", x_mesh_fault=header.value).route
    fault = HTTPFault()
    assert hit.typed_per_filter_config["envoy.filters.http.fault"].Unpack(fault)
    assert (fault.abort.http_status, fault.abort.percentage.numerator) == (503, 500_000)
    assert list(hit.request_headers_to_remove) == ["x-mesh-fault"]
    for headers in ({}, {"x_mesh_fault": "default/rules/1"}):
        assert not asked(found, "/", **headers).route.typed_per_filter_config
    assert filters(manager(rules, name="ratings")) == ["router"]


def test_limits_and_faults_together() -> None:
    limit = LIMIT.format("host: reviews, limits: [{name: a, match: [{uri: {prefix: /a}}], requests: 1}]")
    found = manager(virtual_service(f"{{{FAULT}}}\n"), limit)
    both = asked(found, "/a", x_mesh_fault="default/rules/0").route
    assert len(both.typed_per_filter_config) == 2
    assert list(asked(found, "/a").route.typed_per_filter_config) == ["envoy.filters.http.local_ratelimit"]
    assert list(asked(found, "/b", x_mesh_fault="default/rules/0").route.typed_per_filter_config) == [
        "envoy.filters.http.fault"
    ]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("host: a, limits: []", "must have at least one limit"),
        ("host: a, limits: [{name: x, requests: 0}]", "requests: must be at least 1"),
        ("host: a, limits: [{name: x, requests: 1, per: 10ms}]", "per: must be at least 50ms"),
        ("host: a, limits: [{name: x, requests: 5, burst: 1}]", "burst: must be at least requests (5)"),
        (
            "host: a, limits: [{name: x, requests: 5, match: [{sourceLabels: {a: b}}]}]",
            "sourceLabels: is not known where",
        ),
    ],
)
def test_what_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(LIMIT.format(spec))
    assert problem in str(caught.value)


def callers(source: str) -> list[str]:
    """Of some callers, those that are limited."""
    limit = (
        "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: RateLimit\nmetadata: {name: by-source}\n"
        f"spec: {{host: reviews, limits: [{{name: some, requests: 5, source: {{{source}}}}}]}}\n"
    )
    built = build(world(service("reviews"), yaml=limit), sidecar("reviews"))
    for listener in built[LISTENER].values():
        compile_listener(listener)
    manager = HttpConnectionManager()
    assert built[LISTENER]["virtualInbound"].filter_chains[0].filters[0].typed_config.Unpack(manager)
    found = []
    for name, namespace in (("web-v1", "default"), ("web-v2", "shop"), ("api", "shop"), ("webs", "default")):
        headers = {"x-envoy-peer-metadata-id": Node("sidecar", "10.0.0.9", name, namespace).id}
        outcome = evaluate(manager.route_config, Call("http://reviews/", "GET", headers))
        assert outcome is not None
        if outcome.route.name != "default":
            found.append(f"{namespace}/{name}")
    stranger = evaluate(manager.route_config, Call("http://reviews/"))
    assert stranger is not None and stranger.route.name == "default"
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("workload: {exact: api}", ["shop/api"]),
        ("workload: {prefix: web-}", ["default/web-v1", "shop/web-v2"]),
        ("workload: {regex: 'web(-v2|s)'}", ["shop/web-v2", "default/webs"]),
        ("namespace: shop", ["shop/web-v2", "shop/api"]),
        ("workload: {prefix: web}, namespace: default", ["default/web-v1", "default/webs"]),
    ],
)
def test_limits_of_some_callers(source: str, expected: list[str]) -> None:
    assert callers(source) == expected


def test_a_source_says_something() -> None:
    head = "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: RateLimit\nmetadata: {name: x}\n"
    for source, problem in (("{}", "workload and namespace"), ("{workload: {}}", "one of exact, prefix and regex")):
        with pytest.raises(ConfigError) as caught:
            load(f"{head}spec: {{host: reviews, limits: [{{name: some, requests: 5, source: {source}}}]}}")
        assert problem in str(caught.value)
