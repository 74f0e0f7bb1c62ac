"""Connections to hosts: how long they live, what they take, and those that are made ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.harness.upstream import Close, Pause, Plan, ReadBody, Reset, Send, reply, response_bytes
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, post, request

HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "upstream_cx_connect_fail",
        "upstream_cx_destroy_local",
        "upstream_cx_destroy_remote",
        "upstream_cx_idle_timeout",
        "upstream_cx_max_duration_reached",
        "upstream_cx_max_requests",
        "upstream_cx_overflow",
        "upstream_cx_protocol_error",
        "upstream_cx_total",
        "upstream_rq_retry",
        "upstream_rq_total",
    )
)


def common(**fields: Any) -> Mapping[str, Any]:
    """A cluster's common_http_protocol_options."""
    options = {
        "@type": f"type.googleapis.com/{HTTP}",
        "common_http_protocol_options": fields,
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {HTTP: options}}


def pool(name: str, fields: Mapping[str, Any], *steps: Action | bytes, **more: Any) -> Case:
    """Bytes are a request whose response is read."""
    actions = [one for step in steps for one in ((Write(step), Read()) if isinstance(step, bytes) else (step,))]
    endpoints = more.pop("endpoints", ("up",))
    return Case(name, actions=actions, clusters={"": Up(endpoints, fields=fields)}, stats=STATS, **more)


def lines(count: int) -> Plan:
    return reply(headers=[(f"x-{number}", "v") for number in range(count)])


FIRST, SECOND = request("/1"), request("/2")
SLOW: Plan = [ReadBody(), Pause(0.35), Send(response_bytes())]
KIB = "x" * 1024
BIG = reply(headers=[("x-big", KIB)])
GONE: Plan = [ReadBody(), Close()]
RESENT = {"metadata": {"filter_metadata": {"mesh.connection_pool": {"resend_on_reused_connection": "idempotent"}}}}
EAGER = {"preconnect_policy": {"per_upstream_preconnect_ratio": 2.0}}

CASES = (
    pool("pool_idle", common(idle_timeout="0.15s"), FIRST, Wait(0.5), SECOND, expect={"upstream[1].connection": 1}),
    pool(
        "pool_not_idle_for_long",
        common(idle_timeout="2s"),
        FIRST,
        Wait(0.3),
        SECOND,
        expect={"upstream[1].connection": 0},
    ),
    pool(
        "pool_old_connection",
        common(max_connection_duration="0.15s"),
        FIRST,
        Wait(0.5),
        SECOND,
        expect={"upstream[1].connection": 1, "stats.cluster.pool_old_connection.upstream_cx_max_duration_reached": 1},
    ),
    pool(
        "pool_old_connection_in_use",
        common(max_connection_duration="0.15s"),
        FIRST,
        SECOND,
        script=[SLOW, reply()],
        expect={
            "client[0].status": 200,
            "upstream[1].connection": 1,
            "stats.cluster.pool_old_connection_in_use.upstream_cx_max_duration_reached": 1,
        },
    ),
    pool(
        "pool_max_requests",
        common(max_requests_per_connection=2),
        FIRST,
        SECOND,
        FIRST,
        expect={"upstream[2].connection": 1},
    ),
    pool(
        "pool_headers_at_the_limit",
        common(max_headers_count=5),
        FIRST,
        script=[lines(4)],
        expect={"client[0].status": 200},
    ),
    pool(
        "pool_too_many_headers", common(max_headers_count=5), FIRST, script=[lines(5)], expect={"client[0].status": 502}
    ),
    pool(
        "pool_more_headers_than_usual",
        common(max_headers_count=200),
        FIRST,
        script=[lines(150)],
        expect={"client[0].status": 200},
    ),
    pool("pool_head_too_large", common(max_response_headers_kb=1), FIRST, script=[BIG], expect={"log[0].flags": "UPE"}),
    pool(
        "pool_head_within_the_limit",
        common(max_response_headers_kb=2),
        FIRST,
        script=[BIG],
        expect={"client[0].status": 200},
    ),
    pool(
        "pool_old_options",
        {"common_http_protocol_options": {"max_requests_per_connection": 1}},
        FIRST,
        SECOND,
        expect={"upstream[1].connection": 1},
    ),
    pool("pool_tcp_keepalive", {"upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 1}}}, FIRST),
    # Connections made ahead.
    pool("pool_preconnects", EAGER, FIRST, Wait(0.2), expect={"stats.cluster.pool_preconnects.upstream_cx_total": 2}),
    pool(
        "pool_preconnects_three_at_most",
        {"preconnect_policy": {"per_upstream_preconnect_ratio": 3.0}},
        FIRST,
        Wait(0.2),
        expect={"stats.cluster.pool_preconnects_three_at_most.upstream_cx_total": 3},
    ),
    pool(
        "pool_preconnects_within_limits",
        {**EAGER, "circuit_breakers": {"thresholds": [{"max_connections": 1}]}},
        FIRST,
        Wait(0.2),
        expect={"stats.cluster.pool_preconnects_within_limits.upstream_cx_total": 1},
    ),
    pool("pool_preconnects_again", EAGER, FIRST, Wait(0.2), SECOND, Wait(0.2), ignore=["upstream[1].connection"]),
    pool("pool_preconnects_in_vain", EAGER, FIRST, endpoints=("refused",), ignore=["stats"]),
    # A connection that its host closes while a request is on its way.
    pool(
        "reused_connection_is_closed",
        {},
        FIRST,
        SECOND,
        script=[reply(), GONE, reply()],
        expect={"client[1].status": 503},
    ),
    pool("reused_connection_is_reset", {}, FIRST, SECOND, script=[reply(), [ReadBody(), Reset()], reply()]),
    pool(
        "reused_connection_is_closed_and_retried",
        {},
        FIRST,
        SECOND,
        script=[reply(), GONE, reply()],
        action={"retry_policy": {"retry_on": "reset-before-request,reset"}},
        expect={"client[1].status": 200},
    ),
    pool(
        "resent_on_a_reused_connection",
        RESENT,
        FIRST,
        SECOND,
        script=[reply(), GONE, reply()],
        expect={"client[1].status": 503},
    ),
    pool("not_resent_on_a_new_connection", RESENT, FIRST, script=[GONE, reply()], expect={"client[0].status": 503}),
    pool(
        "not_resent_if_not_idempotent",
        RESENT,
        FIRST,
        post("/2"),
        script=[reply(), GONE, reply()],
        expect={"client[1].status": 503},
    ),
    pool(
        "not_resent_after_a_byte",
        RESENT,
        FIRST,
        SECOND,
        script=[reply(), [ReadBody(), Send(b"HTTP/1.1 200 OK\r\nX-"), Close()], reply()],
        expect={"client[1].status": 502},
        ignore=["stats.cluster.not_resent_after_a_byte.upstream_cx_destroy"],  # whose end came first
    ),
)
