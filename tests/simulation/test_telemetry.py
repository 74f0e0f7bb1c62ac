"""Telemetry resources, as they reach the connection managers of one workload."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig
from google.protobuf.json_format import MessageToDict
from xds.type.v3.typed_struct_pb2 import TypedStruct

from control_plane.translate import build
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node, ServicePort
from mesh.xds import LISTENER
from tests.simulation.worlds import service, sidecar, transparent, world

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


def cel(log: Any) -> str:
    expression = ExpressionFilter()
    assert log.filter.extension_filter.typed_config.Unpack(expression)
    return str(expression.expression)


@pytest.mark.parametrize(
    "expression",
    [
        "response.code >= 400",
        "response.code >= 400 && response.code < 500 || response.code == 302",
        "connection.mtls",
        '!has(request.useragent) || !request.useragent.startsWith("Amazon-Route53")',
        "request.url_path.contains('/admin') && request.headers['x-user'] != 'root'",
        "request.path.matches('^/v[0-9]+/') || response.code in [502, 503]",
    ],
)
def test_logs_may_be_filtered(expression: str) -> None:
    text = json.dumps(expression)
    for manager in managers(sidecar("reviews"), telemetry(f"accessLogging: [{{filter: {{expression: {text}}}}}]")):
        assert cel(manager.access_log[0]) == expression


def test_each_side_may_have_its_own() -> None:
    spec = """accessLogging: [{match: {mode: CLIENT}, disabled: true},
            {match: {mode: SERVER}, filter: {expression: "true"}}],
        tracing: [{match: {mode: SERVER}, disableSpanReporting: true}]"""
    asks, asked = managers(sidecar("reviews"), telemetry(spec))
    assert not asks.access_log
    assert cel(asked.access_log[0]) == "true"
    assert asks.HasField("tracing") and not asked.HasField("tracing")


def stats(manager: Any) -> list[dict[str, Any]]:
    """What Istio's statistics filter says, which has to come before the router and to be optional."""
    found = [each for each in manager.http_filters if each.name == "istio.stats"]
    if not found:
        return []
    assert found[0].is_optional
    config = TypedStruct()
    assert found[0].typed_config.Unpack(config)
    assert config.type_url == "type.googleapis.com/stats.PluginConfig"
    rows: list[dict[str, Any]] = MessageToDict(config.value)["metrics"]
    return rows


def test_metrics_may_be_other_than_usual() -> None:
    host = "{match: {metric: REQUEST_COUNT, mode: CLIENT}, tagOverrides: {host: {value: request.host}}}"
    without = "{match: {metric: REQUEST_COUNT}, tagOverrides: {response_flags: {operation: REMOVE}}}"
    sizes = "{match: {metric: REQUEST_SIZE, mode: SERVER}, disabled: true}"
    asks, asked = managers(
        sidecar("reviews"),
        telemetry(f"metrics: [{{providers: [{{name: prometheus}}], overrides: [{host}, {without}, {sizes}]}}]"),
    )
    assert stats(asks) == [
        {"name": "requests_total", "dimensions": {"host": "request.host"}, "tags_to_remove": ["response_flags"]}
    ]
    assert stats(asked) == [
        {"name": "request_bytes", "drop": True},
        {"name": "requests_total", "tags_to_remove": ["response_flags"]},
    ]
    assert not any(map(stats, managers(sidecar("reviews"))))


def test_a_nearer_one_changes_metrics_further() -> None:
    mesh = telemetry(
        "metrics: [{overrides: [{disabled: true}, {match: {metric: REQUEST_COUNT}, disabled: false, "
        "tagOverrides: {a: {value: \"'mesh'\"}, b: {value: \"'mesh'\"}}}]}]",
        "mesh, namespace: istio-system",
    )
    own = telemetry("metrics: [{overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {a: {value: \"'own'\"}}}]}]")
    rows = {row["name"]: row for row in stats(managers(sidecar("reviews"), mesh, own)[0])}
    assert rows["requests_total"] == {"name": "requests_total", "dimensions": {"a": "'own'", "b": "'mesh'"}}
    assert {name for name, row in rows.items() if row.get("drop")} == set(rows) - {"requests_total"}
    assert len(rows) == 6


def sessions(listener: Any) -> list[tuple[dict[str, Any], str]]:
    """What Istio's statistics filter says of TCP sessions, chain by chain, and what stands behind it."""
    found = []
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        if chain.filters and chain.filters[0].name == "istio.stats":
            config = TypedStruct()
            assert chain.filters[0].typed_config.Unpack(config)
            found.append((MessageToDict(config.value), chain.filters[1].name))
    return found


def test_metrics_of_tcp_may_be_other_than_usual() -> None:
    spec = """metrics: [{reportingInterval: 2s, overrides: [
        {match: {metric: TCP_SENT_BYTES, mode: CLIENT}, disabled: true},
        {match: {metric: TCP_OPENED_CONNECTIONS, mode: SERVER},
         tagOverrides: {port: {value: string(destination.port)}}}]}]"""
    node = transparent("reviews")
    made = world(service("reviews", ServicePort(7000, "tcp", "TCP"), addresses=("240.0.0.1",)), yaml=telemetry(spec))
    listeners = build(made, replace(node, has_stats=True))[LISTENER]
    behind = "envoy.filters.network.tcp_proxy"
    sent = {"metrics": [{"name": "tcp_sent_bytes_total", "drop": True}], "tcp_reporting_duration": "2s"}
    assert sessions(listeners["240.0.0.1_7000"]) == [(sent, behind)]
    assert sessions(listeners["virtualOutbound"]) == [(sent, behind)]
    port = {"name": "tcp_connections_opened_total", "dimensions": {"port": "string(destination.port)"}}
    inbound = sessions(listeners["virtualInbound"])
    assert inbound and all(each == ({"metrics": [port], "tcp_reporting_duration": "2s"}, behind) for each in inbound)
    # A plain Envoy would reject the filter, and for requests nothing is to be said.
    assert not any(map(sessions, build(made, node)[LISTENER].values()))
    assert not any("istio.stats" in str(each.filter_chains[0].filters[-1]) for each in listeners.values())


def test_all_metrics_are_those_of_tcp_too() -> None:
    made = world(service("reviews"), yaml=telemetry("metrics: [{overrides: [{disabled: true}]}]"))
    listeners = build(made, replace(transparent("reviews"), has_stats=True))[LISTENER]
    ((config, _),) = sessions(listeners["virtualOutbound"])
    assert [(row["name"], row["drop"]) for row in config["metrics"]] == [
        ("tcp_connections_closed_total", True),
        ("tcp_connections_opened_total", True),
        ("tcp_received_bytes_total", True),
        ("tcp_sent_bytes_total", True),
    ]


def test_traces() -> None:
    tags = (
        "customTags: {team: {literal: {value: shop}}, user: {header: {name: end-user, defaultValue: nobody}}, "
        "zone: {environment: {name: ZONE, defaultValue: z1}}, route: {formatter: {value: '%ROUTE_NAME%'}}}"
    )
    spec = f"tracing: [{{providers: [{{name: whatever}}], {tags}}}]"
    for manager in managers(sidecar("reviews"), telemetry(spec)):
        found = {tag.tag: tag for tag in manager.tracing.custom_tags}
        assert found["team"].literal.value == "shop"
        assert (found["user"].request_header.name, found["user"].request_header.default_value) == ("end-user", "nobody")
        assert (found["zone"].environment.name, found["zone"].environment.default_value) == ("ZONE", "z1")
        assert found["route"].value == "%ROUTE_NAME%"
        assert "istio.namespace" in found
        assert not manager.HasField("request_id_extension")
    any_id = telemetry("tracing: [{useRequestIdForTraceSampling: false}]")
    for manager in managers(sidecar("reviews"), any_id):
        identity = UuidRequestIdConfig()
        assert manager.request_id_extension.typed_config.Unpack(identity)
        assert not identity.use_request_id_for_trace_sampling.value
    bare = telemetry("tracing: [{enableIstioTags: false}]")
    assert not any(manager.tracing.custom_tags for manager in managers(sidecar("reviews"), bare))
    off = telemetry("tracing: [{disableSpanReporting: true}]")
    assert not any(manager.HasField("tracing") for manager in managers(sidecar("reviews"), off))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("accessLogging: [{filter: {expression: 'response.cod > 1'}}]", 'did you mean "response.code"?'),
        ("accessLogging: [{filter: {expression: 'response.code'}}]", "must say true or false"),
        ("accessLogging: [{filter: {expression: 'response.code >'}}]", "needs a value at character 16, not its end"),
        ("accessLogging: [{filter: {expression: 'source.workload == \"a\"'}}]", "source.workload is no attribute"),
        ("accessLogging: [{match: {mode: CLIENTS}}]", 'did you mean "CLIENT"?'),
        ("metrics: [{overrides: [{tagOverrides: {a: {value: v1}}}]}]", """quotes within quotes: "'v1'\""""),
        ("metrics: [{overrides: [{tagOverrides: {a: {}}}]}]", "value: is required to set a tag"),
        ("metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: 'true'}}}]}]", "must be left out"),
        ("metrics: [{overrides: [{tagOverrides: {a-b: {value: 'true'}}}]}]", "a-b"),
        ("metrics: [{overrides: [{match: {customMetric: x}}]}]", "customMetric: known to Istio, not implemented yet"),
        ("metrics: [{reportingInterval: 0s}]", "reportingInterval: must be at least 1ms"),
        ("tracing: [{disableContextPropagation: true}]", "headers.request.remove takes traceparent away"),
        ("tracing: [{customTags: {a: {formatter: {value: ''}}}}]", "customTags.a.formatter.value"),
        ("tracing: [{}, {}]", "tracing[1]: CLIENT has one already"),
        ("targetRefs: []", "targetRefs: known to Istio, not implemented yet"),
    ],
)
def test_what_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(telemetry(spec))
    assert problem in str(caught.value)
