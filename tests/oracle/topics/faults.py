"""The fault filter: aborts, delays, both, and none of the router's doing inside them."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import Close, Pause, Send, chunked, raw, reply
from tests.oracle.case import Case, Read, Up, Write, post, request
from tests.oracle.topics.log_commands import WITH_TRAILERS

TYPE = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"


def fault(**how: Any) -> dict[str, Any]:
    return {"@type": TYPE, **how}


def abort(status: int, percent: int = 100) -> dict[str, Any]:
    return {"abort": {"http_status": status, "percentage": {"numerator": percent}}}


def delay(seconds: str, percent: int = 100) -> dict[str, Any]:
    return {"delay": {"fixed_delay": seconds, "percentage": {"numerator": percent}}}


ASKED_DELAY = {"delay": {"header_delay": {}, "percentage": {"numerator": 100}}}
ASKED_ABORT = {"abort": {"header_abort": {}, "percentage": {"numerator": 100}}}
FILTER = {"name": "envoy.filters.http.fault", "typed_config": fault()}
SLOWED = "fault_slowed"  # their stat prefix


def rate(kbps: int | None, percent: int = 100) -> dict[str, Any]:
    """At how many KiB a second; None: as requests ask for."""
    limit = {"header_limit": {}} if kbps is None else {"fixed_limit": {"limit_kbps": kbps}}
    return {"response_rate_limit": {**limit, "percentage": {"numerator": percent}}}


def slowed(name: str, how: dict[str, Any], *lines: str, size: int = 0, **more: Any) -> Case:
    """A response of so many bytes, which is slow or not: the log tells its duration in steps of 0.4 s."""
    more["hcm"] = {"stat_prefix": SLOWED, **more.get("hcm", {})}
    more.setdefault("script", [reply(body=b"x" * size)])
    more.setdefault("sent", request("/x", *lines))
    more.setdefault("log", {"steps:duration": "%DURATION%"})
    counted = ("response_rl_injected", "active_faults", "delays_injected", "aborts_injected")
    more.setdefault("stats", [f"http.{SLOWED}.fault.{each}" for each in counted])
    return on_route(name, how, **more)


def on_route(name: str, how: dict[str, Any], sent: bytes | None = None, **more: Any) -> Case:
    """The fault comes from the route, as Istio configures it."""
    route = {"typed_per_filter_config": {"envoy.filters.http.fault": fault(**how)}}
    return Case(name, sent or request("/x"), filters=[FILTER], route=route, **more)


CASES = (
    on_route(
        "fault_abort",
        abort(418),
        expect={
            "client[0].status": 418,
            "client[0].body": b"fault filter abort",
            "log[0].flags": "FI",
            "log[0].details": "fault_filter_abort",
            "log[0].attempts": 0,
        },
    ),
    on_route("fault_abort_zero_percent", abort(418, 0), expect={"client[0].status": 200, "log[0].flags": "-"}),
    on_route("fault_delay", delay("0.1s"), expect={"client[0].status": 200, "log[0].flags": "DI"}),
    on_route(
        "fault_delay_and_abort",
        {**delay("0.1s"), **abort(503)},
        expect={"log[0].flags": "DI,FI", "client[0].status": 503},
    ),
    on_route(
        "fault_delay_beats_timeout_and_retry",
        {**delay("0.3s"), **abort(503)},
        action={"timeout": "0.1s", "retry_policy": {"retry_on": "5xx"}},
        expect={"client[0].status": 503, "log[0].flags": "DI,FI", "log[0].attempts": 0},
    ),
    on_route(
        "fault_delay_then_timeout_counts_from_router",
        delay("0.3s"),
        action={"timeout": "0.2s"},
        expect={"client[0].status": 200},
    ),
    on_route(
        "fault_grpc_abort_of_plain_request",
        {"abort": {"grpc_status": 14, "percentage": {"numerator": 100}}},
        expect={"client[0].status": 200, "client[0].body": b"fault filter abort"},
    ),
    on_route(
        "fault_grpc_abort_of_grpc_request",
        {"abort": {"grpc_status": 14, "percentage": {"numerator": 100}}},
        request("/s/M", "Content-Type: application/grpc", method="POST"),
        expect={"client[0].header.grpc-status": ("14",)},
    ),
    on_route(
        "fault_with_headers_match",
        {**abort(418), "headers": [{"name": "x-f", "string_match": {"exact": "1"}}]},
        request("/x", "X-F: 1"),
        expect={"client[0].status": 418},
    ),
    on_route(
        "fault_with_headers_mismatch",
        {**abort(418), "headers": [{"name": "x-f", "string_match": {"exact": "1"}}]},
        expect={"client[0].status": 200},
    ),
    Case(
        "fault_filter_without_fault",
        request("/x"),
        filters=[FILTER],
        script=[reply()],
        expect={"client[0].status": 200, "log[0].flags": "-"},
    ),
    on_route(
        "fault_delay_by_header",
        ASKED_DELAY,
        request("/x", "x-envoy-fault-delay-request: 100"),
        expect={"client[0].status": 200, "log[0].flags": "DI"},
    ),
    on_route("fault_delay_by_header_not_asked", ASKED_DELAY, expect={"log[0].flags": "-"}),
    on_route("fault_delay_by_header_zero", ASKED_DELAY, request("/x", "x-envoy-fault-delay-request: 0")),
    on_route("fault_delay_by_header_no_number", ASKED_DELAY, request("/x", "x-envoy-fault-delay-request: 1s")),
    on_route(
        "fault_delay_by_header_lowered",
        ASKED_DELAY,
        request("/x", "x-envoy-fault-delay-request: 100", "x-envoy-fault-delay-request-percentage: 0"),
        expect={"log[0].flags": "-"},
    ),
    on_route(
        "fault_abort_by_header",
        ASKED_ABORT,
        request("/x", "x-envoy-fault-abort-request: 418"),
        expect={"client[0].status": 418, "log[0].flags": "FI"},
    ),
    *(
        on_route(
            f"fault_abort_by_header_of_{value}", ASKED_ABORT, request("/x", f"x-envoy-fault-abort-request: {value}")
        )
        for value in ("199", "200", "599", "600", "abc", "")
    ),
    on_route(
        "fault_abort_by_header_grpc",
        ASKED_ABORT,
        request("/s/M", "Content-Type: application/grpc", "x-envoy-fault-abort-grpc-request: 5", method="POST"),
        expect={"client[0].header.grpc-status": ("5",)},
    ),
    on_route(
        "fault_abort_by_header_both",
        ASKED_ABORT,
        request("/x", "x-envoy-fault-abort-request: 503", "x-envoy-fault-abort-grpc-request: 5"),
    ),
    on_route(
        "fault_abort_by_header_grpc_of_plain_request", ASKED_ABORT, request("/x", "x-envoy-fault-abort-grpc-request: 5")
    ),
    on_route(
        "fault_abort_by_header_not_raised",
        {"abort": {"header_abort": {}, "percentage": {"numerator": 0}}},
        request("/x", "x-envoy-fault-abort-request: 503", "x-envoy-fault-abort-request-percentage: 100"),
        expect={"client[0].status": 200},
    ),
    on_route(
        "fault_abort_by_header_lowered",
        ASKED_ABORT,
        request("/x", "x-envoy-fault-abort-request: 503", "x-envoy-fault-abort-request-percentage: 0"),
        expect={"client[0].status": 200},
    ),
    on_route(
        "fault_both_by_header",
        {**ASKED_DELAY, **ASKED_ABORT},
        request("/x", "x-envoy-fault-delay-request: 50", "x-envoy-fault-abort-request: 503"),
        expect={"log[0].flags": "DI,FI"},
    ),
    on_route(
        "fault_of_the_cluster",
        {**abort(418), "upstream_cluster": "fault_of_the_cluster"},
        expect={"client[0].status": 418},
    ),
    on_route("fault_of_another_cluster", {**abort(418), "upstream_cluster": "other"}, expect={"client[0].status": 200}),
    on_route(
        "fault_of_a_node",
        {**abort(418), "downstream_nodes": ["a", "b"]},
        request("/x", "x-envoy-downstream-service-node: b"),
        expect={"client[0].status": 418},
    ),
    on_route(
        "fault_of_another_node",
        {**abort(418), "downstream_nodes": ["a", "b"]},
        request("/x", "x-envoy-downstream-service-node: c"),
        expect={"client[0].status": 200},
    ),
    on_route("fault_of_no_node", {**abort(418), "downstream_nodes": ["a"]}, expect={"client[0].status": 200}),
    Case(
        "fault_of_the_cluster_without_a_route",
        request("/x", host="nobody.test"),
        filters=[
            {
                "name": "envoy.filters.http.fault",
                "typed_config": {**fault(**abort(418)), "upstream_cluster": "fault_of_the_cluster"},
            }
        ],
        expect={"client[0].status": 404},
    ),
    on_route(
        "fault_by_runtime_that_is_not_there",
        {**abort(418), "abort_http_status_runtime": "a", "disable_downstream_cluster_stats": True},
        expect={"client[0].status": 418},
    ),
    *(
        slowed(f"fault_rate_{name}", how, *lines, size=size, expect={"log[0].steps:duration": steps})
        for name, how, lines, size, steps in (
            ("of_a_big_body", rate(10), (), 11_000, 2),
            ("of_a_small_body", rate(10), (), 400, 0),
            ("by_no_chance", rate(10, 0), (), 11_000, 0),
            ("by_header", rate(None), ("x-envoy-fault-throughput-response: 10",), 11_000, 2),
            ("by_header_not_asked", rate(None), (), 11_000, 0),
            ("by_header_zero", rate(None), ("x-envoy-fault-throughput-response: 0",), 11_000, 0),
            ("by_header_no_number", rate(None), ("x-envoy-fault-throughput-response: 1.5",), 11_000, 0),
            (
                "by_header_lowered",
                rate(None),
                ("x-envoy-fault-throughput-response: 10", "x-envoy-fault-throughput-response-percentage: 0"),
                11_000,
                0,
            ),
        )
    ),
    slowed("fault_rate_of_chunks", rate(10), script=[chunked(b"x" * 5500, b"y" * 5500, trailers=[("a", "b")])]),
    slowed(
        "fault_rate_with_trailers",
        rate(10),
        script=[chunked(b"x" * 5500, b"y" * 5500, trailers=[("a", "b")])],
        hcm={"http_protocol_options": {"enable_trailers": True}},
        clusters={"": Up(fields={"typed_extension_protocol_options": WITH_TRAILERS})},
    ),
    slowed("fault_rate_of_nothing", rate(10), script=[reply(204)]),
    slowed("fault_rate_of_head", rate(1), sent=request("/x", method="HEAD"), methods=["HEAD"], size=11_000),
    slowed("fault_rate_of_an_early_end", rate(10), script=[raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 7000, Close())]),
    slowed(
        "fault_rate_of_a_direct_response",
        rate(10),
        routes=[
            {
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "x" * 3000}},
                "typed_per_filter_config": {"envoy.filters.http.fault": fault(**rate(5))},
            }
        ],
    ),
    slowed("fault_rate_and_delay", {**rate(10), **delay("0.1s")}, size=7000),
    slowed("fault_rate_and_abort", {**rate(10), **abort(503)}, size=5000),
    slowed("fault_rate_is_not_the_routes_time", rate(10), size=11_000, action={"timeout": "0.5s"}),
    slowed(
        "fault_rate_is_the_routes_time_while_the_upstream_sends",
        rate(10),
        script=[raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + b"x" * 4000, Pause(1.5), Send(b"x" * 5000))],
        action={"timeout": "1s"},
    ),
    slowed(
        "fault_rate_of_the_next_request_too",
        rate(10),
        actions=[Write(request("/a") + post("/b")), Read(), Read()],
        size=7000,
        sent=None,
    ),
    on_route("fault_by_header_not_configured", abort(418, 0), request("/x", "x-envoy-fault-abort-request: 503")),
)
