"""Local rate limits: the bucket, what is refused, what is told."""

from __future__ import annotations

from typing import Any

from tests.oracle.case import Case, Read, Up, Wait, Write, request

NAME = "envoy.filters.http.local_ratelimit"
TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
FILTER = {"name": NAME, "typed_config": {"@type": TYPE, "stat_prefix": "chain"}}
ALWAYS = {"default_value": {"numerator": 100}}
NEVER = {"default_value": {"numerator": 0}}


def limit(name: str, tokens: int, **how: Any) -> dict[str, Any]:
    return {
        "@type": TYPE,
        "stat_prefix": name,
        "token_bucket": {"max_tokens": tokens, "tokens_per_fill": 1, "fill_interval": "1000s"},
        "filter_enabled": ALWAYS,
        "filter_enforced": ALWAYS,
        **how,
    }


def case(name: str, tokens: int, count: int, sent: bytes | None = None, how: Any = (), **more: Any) -> Case:
    """`count` requests on one connection to a route with so many tokens."""
    stats = [f"{name}.http_local_rate_limit.{each}" for each in ("enabled", "enforced", "ok", "rate_limited")]
    actions = [step for _ in range(count) for step in (Write(sent or request("/x")), Read())]
    route = {"typed_per_filter_config": {NAME: limit(name, tokens, **dict(how))}}
    return Case(name, actions=actions, **{"filters": [FILTER], "route": route, "stats": stats, **more})


def header(key: str, value: str, **more: Any) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, **more}


TELLING = {"enable_x_ratelimit_headers": "DRAFT_VERSION_03"}

CASES = (
    case(
        "rate_limited",
        1,
        2,
        expect={
            "client[0].status": 200,
            "client[1].status": 429,
            "client[1].body": b"local_rate_limited",
            "log[1].flags": "RL",
            "log[1].details": "local_rate_limited",
            "log[1].attempts": 0,
            "stats.rate_limited.http_local_rate_limit.rate_limited": 1,
        },
    ),
    case("rate_limit_not_reached", 5, 3, expect={"client[2].status": 200}),
    case("rate_limit_not_enabled", 1, 2, how={"filter_enabled": NEVER}, expect={"client[1].status": 200}),
    case(
        "rate_limit_enabled_by_default",
        1,
        2,
        how={"filter_enabled": {"default_value": {"numerator": 0, "denominator": "MILLION"}}},
        expect={"client[1].status": 200},
    ),
    case(
        "rate_limit_not_enforced",
        1,
        2,
        how={
            "filter_enforced": NEVER,
            "request_headers_to_add_when_not_enforced": [header("x-limited", "%REQ(:PATH)%")],
        },
        expect={"client[1].status": 200, "upstream[1].header.x-limited": ("/x",)},
    ),
    case("rate_limit_status", 1, 2, how={"status": {"code": "ServiceUnavailable"}}, expect={"client[1].status": 503}),
    case("rate_limit_status_of_no_error", 1, 2, how={"status": {"code": "OK"}}, expect={"client[1].status": 429}),
    case(
        "rate_limit_response_headers",
        1,
        2,
        how={
            "response_headers_to_add": [
                header("x-a", "1"),
                header("x-a", "2"),
                header("x-b", "%REQ(:METHOD)%"),
                header("x-b", "3", append_action="OVERWRITE_IF_EXISTS_OR_ADD"),
            ]
        },
        expect={"client[1].header.x-a": ("1", "2")},
    ),
    case("rate_limit_told", 3, 5, how=TELLING, expect={"client[0].header.x-ratelimit-limit": ("3",)}),
    case(
        "rate_limit_told_with_fast_fill",
        4,
        5,
        how={**TELLING, "token_bucket": {"max_tokens": 4, "tokens_per_fill": 2, "fill_interval": "100s"}},
    ),
    case("rate_limit_told_but_not_enforced", 1, 2, how={**TELLING, "filter_enforced": NEVER}),
    case("rate_limit_told_by_local_replies", 2, 2, how=TELLING, clusters={"": Up(endpoints=())}),
    Case(
        "rate_limit_refills",
        actions=[Write(request()), Read(), Write(request()), Read(), Wait(0.5), Write(request()), Read()],
        filters=[FILTER],
        route={
            "typed_per_filter_config": {
                NAME: limit("refills", 1, token_bucket={"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "0.4s"})
            }
        },
        expect={"client[1].status": 429, "client[2].status": 200},
    ),
    case("rate_limit_per_connection", 1, 2, how={"local_rate_limit_per_downstream_connection": True}),
    case("rate_limit_of_grpc", 1, 2, sent=request("/s/M", "Content-Type: application/grpc", method="POST")),
    case(
        "rate_limit_of_grpc_as_exhausted",
        1,
        2,
        sent=request("/s/M", "Content-Type: application/grpc", method="POST"),
        how={"rate_limited_as_resource_exhausted": True},
        expect={"client[1].header.grpc-status": ("8",)},
    ),
    Case("rate_limit_of_the_chain_is_off", request("/x"), filters=[FILTER], expect={"client[0].status": 200}),
    Case(
        "rate_limit_of_the_chain",
        actions=[Write(request("/x")), Read(), Write(request("/y")), Read()],
        filters=[{"name": NAME, "typed_config": limit("whole", 1)}],
        stats=["whole.http_local_rate_limit.rate_limited"],
        expect={"log.count": 2, "client[1].status": 429},
        end="skip",
    ),
    Case(
        "rate_limit_before_routing_fails",
        actions=[Write(request("/x", host="nobody.test")), Read(), Write(request("/x", host="nobody.test")), Read()],
        filters=[{"name": NAME, "typed_config": limit("unrouted", 1, **TELLING)}],
        expect={"client[0].status": 404, "client[1].status": 429},
        end="skip",
    ),
    Case(
        "rate_limit_shared_by_the_routes_of_a_host",
        actions=[Write(request("/a")), Read(), Write(request("/b")), Read()],
        filters=[FILTER],
        routes=[{"match": {"path": path}, "direct_response": {"status": 204}} for path in ("/a", "/b")],
        vhost={"typed_per_filter_config": {NAME: limit("host", 1)}},
        expect={"client[0].status": 204, "client[1].status": 429},
    ),
)
