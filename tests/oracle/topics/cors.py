"""The CORS filter: preflights, origins, and what browsers are told about a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.harness.upstream import reply
from tests.oracle.case import Case, Up, request
from tests.oracle.topics.faults import FILTER as FAULT
from tests.oracle.topics.faults import abort, fault

NAME = "envoy.filters.http.cors"
TYPE = "type.googleapis.com/envoy.extensions.filters.http.cors.v3."
FILTER = {"name": NAME, "typed_config": {"@type": TYPE + "Cors"}}
GOOD = "Origin: http://good.com"
BAD = "Origin: http://bad.com"
PREFLIGHT = "Access-Control-Request-Method: POST"
FULL = {
    "allow_origin_string_match": [{"exact": "http://good.com"}, {"safe_regex": {"regex": "http://.*\\.good\\.com"}}],
    "allow_methods": "GET,POST",
    "allow_headers": "x-a,x-b",
    "expose_headers": "x-c",
    "max_age": "600",
    "allow_credentials": True,
}


def per_route(**policy: Any) -> dict[str, Any]:
    return {"typed_per_filter_config": {NAME: {"@type": TYPE + "CorsPolicy", **policy}}}


def on_route(name: str, policy: Mapping[str, Any], sent: bytes, **more: Any) -> Case:
    return Case(name, sent, **{"filters": [FILTER], "route": per_route(**policy), **more})


CASES = (
    on_route(
        "cors_preflight",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        expect={
            "client[0].status": 200,
            "client[0].body": b"",
            "client[0].header.access-control-allow-origin": ("http://good.com",),
            "client[0].header.access-control-allow-methods": ("GET,POST",),
            "log[0].details": "cors_response",
            "log[0].flags": "-",
            "log[0].attempts": 0,
        },
        stats=["http.listener_0.cors.origin_valid", "http.listener_0.cors.origin_invalid"],
    ),
    on_route(
        "cors_preflight_origin_by_regex", FULL, request("/", "Origin: http://a.good.com", PREFLIGHT, method="OPTIONS")
    ),
    on_route(
        "cors_preflight_other_origin_is_forwarded",
        FULL,
        request("/x", BAD, PREFLIGHT, method="OPTIONS"),
        expect={"log[0].attempts": 1, "log[0].details": "via_upstream"},
        stats=["http.listener_0.cors.origin_valid", "http.listener_0.cors.origin_invalid"],
    ),
    on_route(
        "cors_preflight_other_origin_is_answered",
        {**FULL, "forward_not_matching_preflights": False},
        request("/x", BAD, PREFLIGHT, method="OPTIONS"),
        expect={"client[0].status": 200, "log[0].attempts": 0},
    ),
    on_route(
        "cors_preflight_forwarding_said",
        {**FULL, "forward_not_matching_preflights": True},
        request("/x", BAD, PREFLIGHT, method="OPTIONS"),
    ),
    on_route("cors_options_without_method", FULL, request("/x", GOOD, method="OPTIONS"), expect={"log[0].attempts": 1}),
    on_route(
        "cors_options_with_empty_method", FULL, request("/x", GOOD, "Access-Control-Request-Method:", method="OPTIONS")
    ),
    on_route(
        "cors_actual", FULL, request("/x", GOOD), expect={"client[0].header.access-control-expose-headers": ("x-c",)}
    ),
    on_route("cors_actual_other_origin", FULL, request("/x", BAD), expect={"log[0].attempts": 1}),
    on_route("cors_no_origin", FULL, request("/x", PREFLIGHT, method="OPTIONS"), expect={"log[0].attempts": 1}),
    on_route("cors_empty_origin", FULL, request("/x", "Origin:", PREFLIGHT, method="OPTIONS")),
    # Envoy also passes them on as one, which means the same.
    on_route("cors_two_origins", FULL, request("/x", GOOD, BAD), ignore=["upstream[0].header.origin"]),
    on_route(
        "cors_upstreams_own_headers",
        FULL,
        request("/x", GOOD),
        script=[
            reply(
                200,
                b"ok",
                [
                    ("Access-Control-Allow-Origin", "*"),
                    ("Access-Control-Expose-Headers", "x-up"),
                    ("Access-Control-Allow-Methods", "PUT"),
                ],
            )
        ],
        expect={"client[0].header.access-control-allow-origin": ("http://good.com",)},
    ),
    on_route(
        "cors_upstreams_own_headers_other_origin",
        FULL,
        request("/x", BAD),
        script=[reply(200, b"ok", [("Access-Control-Allow-Origin", "*")])],
    ),
    on_route("cors_any_origin", {"allow_origin_string_match": [{"exact": "*"}]}, request("/x", BAD)),
    on_route(
        "cors_any_origin_by_regex",
        {"allow_origin_string_match": [{"safe_regex": {"regex": "\\*"}}]},
        request("/x", "Origin: null", PREFLIGHT, method="OPTIONS"),
    ),
    on_route(
        "cors_origin_ignoring_case",
        {"allow_origin_string_match": [{"exact": "http://GOOD.com", "ignore_case": True}]},
        request("/x", GOOD),
    ),
    on_route("cors_no_origins", {"allow_methods": "GET"}, request("/x", GOOD, PREFLIGHT, method="OPTIONS")),
    on_route("cors_no_credentials", {**FULL, "allow_credentials": False}, request("/x", GOOD)),
    on_route(
        "cors_private_network",
        {**FULL, "allow_private_network_access": True},
        request("/x", GOOD, PREFLIGHT, "Access-Control-Request-Private-Network: true", method="OPTIONS"),
        expect={"client[0].header.access-control-allow-private-network": ("true",)},
    ),
    on_route(
        "cors_private_network_not_asked",
        {**FULL, "allow_private_network_access": True},
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
    ),
    on_route(
        "cors_private_network_not_allowed",
        FULL,
        request("/x", GOOD, PREFLIGHT, "Access-Control-Request-Private-Network: true", method="OPTIONS"),
    ),
    on_route(
        "cors_disabled_by_chance",
        {**FULL, "filter_enabled": {"default_value": {"numerator": 0}}},
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        expect={"log[0].attempts": 1},
    ),
    on_route(
        "cors_shadow_only",
        {
            **FULL,
            "filter_enabled": {"default_value": {"numerator": 0}},
            "shadow_enabled": {"default_value": {"numerator": 100}},
        },
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        expect={"log[0].attempts": 1},
        stats=["http.listener_0.cors.origin_valid", "http.listener_0.cors.origin_invalid"],
    ),
    on_route(
        "cors_shadow_and_enabled",
        {**FULL, "shadow_enabled": {"default_value": {"numerator": 100}}},
        request("/x", GOOD),
    ),
    on_route("cors_head", FULL, request("/x", GOOD, method="HEAD"), methods=["HEAD"]),
    on_route(
        "cors_local_reply_no_endpoints",
        FULL,
        request("/x", GOOD),
        clusters={"": Up(endpoints=())},
        expect={"client[0].header.access-control-allow-origin": ("http://good.com",), "log[0].flags": "UH"},
    ),
    on_route(
        "cors_redirect",
        FULL,
        request("/x", GOOD),
        routes=[{"match": {"prefix": "/"}, "redirect": {"path_redirect": "/y"}, **per_route(**FULL)}],
    ),
    on_route(
        "cors_direct_response",
        FULL,
        request("/x", GOOD),
        routes=[
            {
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "hi"}},
                **per_route(**FULL),
            }
        ],
    ),
    on_route(
        "cors_preflight_of_direct_response",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 202}, **per_route(**FULL)}],
    ),
    on_route(
        "cors_preflight_of_unknown_cluster",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        action={"cluster": "nowhere"},
        expect={"client[0].status": 200},
    ),
    on_route(
        "cors_route_response_headers",
        FULL,
        request("/x", GOOD),
        route={
            **per_route(**FULL),
            "response_headers_to_add": [{"header": {"key": "access-control-allow-origin", "value": "http://route"}}],
        },
    ),
    on_route(
        "cors_preflight_route_response_headers",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        route={**per_route(**FULL), "response_headers_to_add": [{"header": {"key": "x-r", "value": "1"}}]},
    ),
    on_route(
        "cors_of_the_host",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        route={},
        vhost=per_route(**FULL),
        expect={"client[0].header.access-control-max-age": ("600",)},
    ),
    on_route(
        "cors_levels",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        route=per_route(allow_origin_string_match=[{"exact": "http://good.com"}], allow_methods="DELETE"),
        vhost=per_route(**FULL),
    ),
    on_route(
        "cors_levels_origins_of_the_host",
        FULL,
        request("/x", GOOD),
        route=per_route(expose_headers="x-route", allow_credentials=False),
        vhost=per_route(**FULL),
    ),
    on_route(
        "cors_levels_origins_of_the_route",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        route=per_route(allow_origin_string_match=[{"exact": "http://bad.com"}]),
        vhost=per_route(**FULL),
    ),
    on_route(
        "cors_levels_disabled_on_the_route",
        FULL,
        request("/x", GOOD),
        route=per_route(filter_enabled={"default_value": {"numerator": 0}}),
        vhost=per_route(**FULL),
    ),
    on_route(
        "cors_filter_disabled_on_the_route",
        FULL,
        request("/x", GOOD),
        route={
            "typed_per_filter_config": {
                NAME: {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
            }
        },
        vhost=per_route(**FULL),
    ),
    on_route(
        "cors_filter_without_policy",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        route={},
        expect={"log[0].attempts": 1},
    ),
    on_route(
        "cors_no_route",
        FULL,
        request("/x", GOOD, PREFLIGHT, method="OPTIONS"),
        routes=[{"match": {"path": "/other"}, "direct_response": {"status": 200}}],
        vhost=per_route(**FULL),
        expect={"client[0].status": 404},
    ),
    on_route(
        "cors_before_fault",
        FULL,
        request("/x", GOOD),
        filters=[FILTER, FAULT],
        route={
            "typed_per_filter_config": {
                **per_route(**FULL)["typed_per_filter_config"],
                FAULT["name"]: fault(**abort(418)),
            }
        },
        expect={"client[0].status": 418, "client[0].header.access-control-allow-origin": ("http://good.com",)},
    ),
    on_route(
        "cors_behind_fault",
        FULL,
        request("/x", GOOD),
        filters=[FAULT, FILTER],
        route={
            "typed_per_filter_config": {
                **per_route(**FULL)["typed_per_filter_config"],
                FAULT["name"]: fault(**abort(418)),
            }
        },
        expect={"client[0].status": 418},
    ),
    on_route(
        "cors_grpc_local_reply",
        FULL,
        request("/s/M", GOOD, "Content-Type: application/grpc", method="POST"),
        clusters={"": Up(endpoints=())},
    ),
)
