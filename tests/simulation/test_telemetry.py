"""Telemetry resources, as they reach the connection managers of one workload."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate import build
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node
from mesh.xds import LISTENER
from tests.simulation.worlds import service, sidecar, world

HEAD = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: {}}}\nspec: {{{}}}\n"


def telemetry(spec: str, name: str = "default") -> str:
    return HEAD.format(name, spec)


def managers(node: Node, *documents: str) -> list[Any]:
    """Those of the outbound and of the inbound listener."""
    made = build(world(service("reviews"), yaml="---\n".join(documents)), node)[LISTENER]
    found = []
    for listener in made.values():
        manager = HttpConnectionManager()
        assert listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
        found.append(manager)
    return found


def test_logs_may_be_switched_off() -> None:
    assert [len(manager.access_log) for manager in managers(sidecar("reviews"))] == [1, 1]
    off = telemetry("accessLogging: [{disabled: true}]")
    assert [len(manager.access_log) for manager in managers(sidecar("reviews"), off)] == [0, 0]


def test_the_nearest_counts() -> None:
    mesh = telemetry("tracing: [{randomSamplingPercentage: 5}]", "mesh, namespace: istio-system")
    own = telemetry("accessLogging: [{disabled: true}], tracing: [{randomSamplingPercentage: 10}]")
    picked = telemetry(
        "selector: {matchLabels: {app: special}}, accessLogging: [{providers: [{name: envoy}]}]", "special"
    )

    def seen(**more: Any) -> tuple[float, int]:
        manager = managers(sidecar("reviews", **more), mesh, own, picked)[0]
        return manager.tracing.random_sampling.value, len(manager.access_log)

    assert seen(namespace="other") == (5, 1)
    assert seen() == (10, 0)
    assert seen(labels={"app": "special"}) == (10, 1)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("response.code >= 400", [("GE", 400)]),
        ("response.code > 399", [("GE", 400)]),
        ("response.code < 300", [("LE", 299)]),
        ("response.code <= 299", [("LE", 299)]),
        ("response.code == 404", [("EQ", 404)]),
        ("response.code != 200", [("LE", 199), ("GE", 201)]),
        (
            "response.code >= 400 && response.code < 500 || response.code == 302",
            [("GE", 400), ("LE", 499), ("EQ", 302)],
        ),
    ],
)
def test_logs_may_be_filtered(expression: str, expected: list[tuple[str, int]]) -> None:
    (log,) = managers(sidecar("reviews"), telemetry(f"accessLogging: [{{filter: {{expression: '{expression}'}}}}]"))[
        0
    ].access_log
    names = {0: "EQ", 1: "GE", 2: "LE"}
    assert [(names[c.op], c.value.default_value) for c in _comparisons(log.filter)] == expected


def _comparisons(filter: Any) -> list[Any]:
    kind = filter.WhichOneof("filter_specifier")
    if kind == "status_code_filter":
        return [filter.status_code_filter.comparison]
    return [found for each in getattr(filter, kind).filters for found in _comparisons(each)]


def test_traces() -> None:
    tags = "customTags: {team: {literal: {value: shop}}, user: {header: {name: end-user, defaultValue: nobody}}}"
    spec = f"tracing: [{{providers: [{{name: whatever}}], {tags}}}]"
    for manager in managers(sidecar("reviews"), telemetry(spec)):
        found = {tag.tag: tag for tag in manager.tracing.custom_tags}
        assert found["team"].literal.value == "shop"
        assert (found["user"].request_header.name, found["user"].request_header.default_value) == ("end-user", "nobody")
    off = telemetry("tracing: [{disableSpanReporting: true}]")
    assert not any(manager.HasField("tracing") for manager in managers(sidecar("reviews"), off))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("accessLogging: [{filter: {expression: 'has(request.headers)'}}]", "only comparisons of response.code"),
        ("accessLogging: [{providers: [{name: otel}]}]", 'must be "envoy", not "otel"'),
        ("accessLogging: [{match: {mode: CLIENT}}]", "match: known to Istio, not implemented yet"),
        ("metrics: [{overrides: []}]", "overrides: known to Istio, not implemented yet"),
        ("tracing: [{}, {}]", "one is the limit"),
        ("targetRefs: []", "targetRefs: known to Istio, not implemented yet"),
    ],
)
def test_what_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(telemetry(spec))
    assert problem in str(caught.value)
