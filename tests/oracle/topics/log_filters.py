"""Which requests an access log is told of: two on one connection, of which only the second is to be in it, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.harness.upstream import Plan, reply
from tests.oracle.case import Case, Read, Up, Wait, Write, request

FAULT = {
    "name": "envoy.filters.http.fault",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "0.15s", "percentage": {"numerator": 100}},
        "headers": [{"name": "x-slow", "present_match": True}],
    },
}
HEALTH = {
    "name": "envoy.filters.http.health_check",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
        "pass_through_mode": False,
        "headers": [{"name": ":path", "string_match": {"exact": "/health"}}],
    },
}
OTEL = {
    "provider": {
        "name": "envoy.tracers.opentelemetry",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
            "service_name": "oracle",
            "http_service": {
                "http_uri": {
                    "uri": "http://127.0.0.1:1/v1/traces",
                    "cluster": "log_filter_traced_collector",
                    "timeout": "1s",
                }
            },
        },
    },
    "random_sampling": {"value": 0},
}
GRPC = "Content-Type: application/grpc"


def told(
    name: str, wanted: Mapping[str, Any], first: bytes, last: bytes, *, script: tuple[Plan, ...] = (), **more: Any
) -> Case:
    """`last` asks for the connection's end."""
    more.setdefault("expect", {"log.count": 1, "log[0].path": "/last"})
    actions = [Write(first), Read(), Write(last), Read()]
    more.setdefault("logs", 1)
    return Case(name, actions=actions, log_fields={"filter": wanted}, script=script, **more)


def status(operator: str, value: int) -> dict[str, Any]:
    return {"status_code_filter": compares(operator, value)}


def compares(operator: str, value: int) -> dict[str, Any]:
    return {"comparison": {"op": operator, "value": {"default_value": value, "runtime_key": "none"}}}


FIRST, LAST = request("/first"), request("/last", "Connection: close")
ALL_OF = [{"header_filter": {"header": {"name": "x-in", "present_match": True}}}, status("GE", 400)]
IDS = {"preserve_external_request_id": True}
LOW, HIGH = "x-request-id: 00000000-0000-4000-8000-000000000000", "x-request-id: 00000063-0000-4000-8000-000000000000"
FORCED = "x-request-id: 00000063-0000-a000-8000-000000000000"

CASES = (
    told("log_filter_status_ge", status("GE", 500), FIRST, LAST, script=(reply(200), reply(503))),
    told("log_filter_status_eq", status("EQ", 404), FIRST, LAST, script=(reply(200), reply(404))),
    told("log_filter_status_le", status("LE", 299), FIRST, LAST, script=(reply(300), reply(204, b""))),
    told("log_filter_status_ne", status("NE", 200), FIRST, LAST, script=(reply(200), reply(201))),
    told(
        "log_filter_status_of_local_reply",
        status("EQ", 404),
        FIRST,
        request("/last", "Connection: close", host="nobody.test"),
    ),
    told(
        "log_filter_duration",
        {"duration_filter": compares("GE", 100)},
        FIRST,
        request("/last", "Connection: close", "X-Slow: 1"),
        filters=[FAULT],
    ),
    told("log_filter_no_health_check", {"not_health_check_filter": {}}, request("/health"), LAST, filters=[HEALTH]),
    told(
        "log_filter_traced_without_tracing",
        {"or_filter": {"filters": [{"traceable_filter": {}}, ALL_OF[0]]}},
        request("/first", FORCED),
        request("/last", "Connection: close", "X-In: 1"),
        hcm=IDS,
    ),
    told(
        "log_filter_traced",
        {"traceable_filter": {}},
        request("/first"),
        request("/last", FORCED, "Connection: close"),
        hcm={**IDS, "tracing": OTEL},
        clusters={"": Up(), "_collector": Up(endpoints=["refused"])},
        ignore=["upstream[0].header.trace", "upstream[1].header.trace"],
    ),
    told(
        "log_filter_header",
        ALL_OF[0],
        FIRST,
        request("/last", "Connection: close", "X-In: 1"),
    ),
    told(
        "log_filter_header_of_pseudo",
        {"header_filter": {"header": {"name": ":path", "string_match": {"prefix": "/last"}}}},
        FIRST,
        LAST,
    ),
    told(
        "log_filter_and",
        {"and_filter": {"filters": ALL_OF}},
        request("/first", "X-In: 1"),
        request("/last", "Connection: close", "X-In: 1"),
        script=(reply(200), reply(400)),
    ),
    told(
        "log_filter_or",
        {"or_filter": {"filters": ALL_OF}},
        FIRST,
        request("/last", "Connection: close", "X-In: 1"),
    ),
    told(
        "log_filter_flags",
        {"response_flag_filter": {"flags": ["NR", "UO"]}},
        FIRST,
        request("/last", "Connection: close", host="nobody.test"),
    ),
    told(
        "log_filter_any_flag",
        {"response_flag_filter": {}},
        FIRST,
        request("/last", "Connection: close", host="nobody.test"),
    ),
    told(
        "log_filter_grpc_status",
        {"grpc_status_filter": {"statuses": ["NOT_FOUND"]}},
        request("/first", GRPC),
        request("/last", GRPC, "Connection: close"),
        script=(reply(200, b"", (("grpc-status", "0"),)), reply(200, b"", (("grpc-status", "5"),))),
    ),
    told(
        "log_filter_grpc_status_exclude",
        {"grpc_status_filter": {"statuses": ["OK"], "exclude": True}},
        request("/first", GRPC),
        request("/last", GRPC, "Connection: close"),
        script=(reply(200, b"", (("grpc-status", "0"),)), reply(200, b"", (("grpc-status", "5"),))),
    ),
    told(
        "log_filter_grpc_status_of_http",
        {"grpc_status_filter": {"statuses": ["UNAVAILABLE"]}},
        request("/first"),
        LAST,
        script=(reply(200), reply(503)),
    ),
    told(
        "log_filter_metadata_missing",
        {"metadata_filter": {"match_if_key_not_found": True}},
        FIRST,
        request("/last", "Connection: close"),
        logs=2,
        expect={"log[0].path": "/first"},
    ),
    told(
        "log_filter_type",
        {"log_type_filter": {"types": ["DownstreamEnd"]}},
        FIRST,
        LAST,
        logs=2,
        expect={"log[0].path": "/first"},
    ),
    told(
        "log_filter_type_exclude",
        {"or_filter": {"filters": [{"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}}, ALL_OF[0]]}},
        FIRST,
        request("/last", "Connection: close", "X-In: 1"),
    ),
    told(
        "log_filter_sampled_by_id",
        {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 50}}},
        request("/first", HIGH),
        request("/last", LOW, "Connection: close"),
        hcm=IDS,
    ),
    told(
        "log_filter_sampled_in_millions",
        {"runtime_filter": {"runtime_key": "none", "percent_sampled": {"numerator": 50, "denominator": "MILLION"}}},
        request("/first", HIGH),
        request("/last", LOW, "Connection: close"),
        hcm=IDS,
    ),
    told(
        "log_filter_sampled_none",
        {
            "or_filter": {
                "filters": [
                    {"runtime_filter": {"runtime_key": "none", "use_independent_randomness": True}},
                    ALL_OF[0],
                ]
            }
        },
        FIRST,
        request("/last", "Connection: close", "X-In: 1"),
    ),
    Case(
        "log_starts_and_ends",
        request("/x", "Connection: close"),
        hcm={"access_log_options": {"flush_access_log_on_new_request": True}},
        log={"type": "%ACCESS_LOG_TYPE%"},
        logs=2,
        expect={"log[0].type": "DownstreamStart", "log[1].type": "DownstreamEnd"},
    ),
    Case(
        "log_starts_without_route",
        request("/x", "Connection: close", host="nobody.test"),
        hcm={"access_log_options": {"flush_access_log_on_new_request": True}},
        log={"type": "%ACCESS_LOG_TYPE%"},
        logs=2,
    ),
    Case(
        "log_starts_old_field",
        request("/x", "Connection: close"),
        hcm={"flush_access_log_on_new_request": True},
        log={"type": "%ACCESS_LOG_TYPE%"},
        logs=2,
    ),
    Case(
        "log_of_requests_in_progress",
        actions=[Write(request("/x", "Connection: close", "X-Slow: 1")), Wait(0.1), Read()],
        hcm={"access_log_options": {"access_log_flush_interval": "0.1s"}},
        filters=[FAULT],
        log={"type": "%ACCESS_LOG_TYPE%"},
        logs=2,
        expect={"log[0].type": "DownstreamPeriodic", "log[0].code": 0},
    ),
    Case(
        "log_of_chain_without_name",
        request("/x"),
        clusters={"": Up(fields={"alt_stat_name": "other"})},
        log={"chain": "%FILTER_CHAIN_NAME%"},
    ),
)
