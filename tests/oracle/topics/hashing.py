"""RING_HASH and MAGLEV: the same key reaches the same endpoint through both proxies, and what makes a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.oracle.case import Action, Case, Read, Up, Write, request

KEYS = tuple(f"key-{number}" for number in range(40))
FIVE = tuple(f"shared{number}" for number in range(5))
SIX = (*FIVE, "shared5")
BY_HEADER = {"header": {"header_name": "x-key"}}
RING: Mapping[str, Any] = {"lb_policy": "RING_HASH"}
DNS: Mapping[str, Any] = {"type": "STRICT_DNS", "dns_lookup_family": "V4_ONLY"}
MAGLEV: Mapping[str, Any] = {"lb_policy": "MAGLEV"}
PREVIOUS_HOSTS = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
LB = "type.googleapis.com/envoy.extensions.load_balancing_policies."


def weights(*numbers: int) -> Sequence[Mapping[str, Any]]:
    return [{"load_balancing_weight": number} for number in numbers]


def asking(sent: Sequence[bytes]) -> list[Action]:
    return [step for data in sent for step in (Write(data), Read())]


def keys(name: str, *policies: Mapping[str, Any], sent: Sequence[bytes] | None = None, **more: Any) -> Case:
    """A request for each key; the log says which endpoint each one reached."""
    up = {"endpoints": FIVE, "fields": RING, **more.pop("up", {})}
    return Case(
        name,
        actions=asking(sent or [request(f"/{key}", f"X-Key: {key}") for key in KEYS]),
        action={"hash_policy": list(policies or [BY_HEADER]), **more.pop("action", {})},
        clusters={"": Up(**up)},
        **more,
    )


def typed(kind: str, **fields: Any) -> Mapping[str, Any]:
    config = {"@type": f"{LB}{kind}", **fields}
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {"name": "p", "typed_config": config}}]}}


def one(name: str, policy: Mapping[str, Any] | Sequence[Mapping[str, Any]], *lines: str, **more: Any) -> Case:
    """A few requests that are the same but for their path."""
    policies = [policy] if isinstance(policy, Mapping) else policy
    return keys(name, *policies, sent=[request(f"/{number}", *lines) for number in range(3)], **more)


def named(*names: str) -> Sequence[Mapping[str, Any]]:
    return [{"metadata": {"filter_metadata": {"envoy.lb": {"hash_key": name}}}} for name in names]


COOKIE = {"cookie": {"name": "place", "ttl": "3600s", "path": "/here"}}
QUERY = {"query_parameter": {"name": "q"}}
REWRITE = {"pattern": {"regex": "[a-z]+-(\\d)\\d?"}, "substitution": "\\1"}
SOURCE = {"connection_properties": {"source_ip": True}}
RETRY = {
    "retry_policy": {
        "retry_on": "connect-failure",
        "num_retries": 5,
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": PREVIOUS_HOSTS}}
        ],
        "host_selection_retry_max_attempts": 5,
    }
}
FORWARDED = [request(f"/{number}", f"X-Forwarded-For: 10.1.{number}.7") for number in range(30)]
LEVELS = [{"health_status": "UNHEALTHY"}, {"health_status": "UNHEALTHY"}, {}, {}, {}, {}]

TABLES = tuple(
    keys(f"{kind.lower()}_{name}", up={"fields": {"lb_policy": kind, **fields}, **up})
    for kind in ("RING_HASH", "MAGLEV")
    for name, up, fields in (
        ("five", {}, {}),
        ("six", {"endpoints": SIX}, {}),
        ("one_removed", {"endpoints": ("shared0", "shared1", "shared3", "shared4")}, {}),
        ("other_order", {"endpoints": tuple(reversed(FIVE))}, {}),
        ("weights", {"lb": weights(1, 2, 3, 50, 7)}, {}),
        ("one_unhealthy", {"lb": [{}, {"health_status": "UNHEALTHY"}]}, {}),
        ("panic", {"lb": LEVELS[:2] * 2}, {}),
        ("hash_keys", {"lb": named("a", "b", "c", "d", "e")}, {}),
        ("priorities", {"endpoints": SIX, "lb": LEVELS, "priorities": [0, 0, 0, 0, 1, 1]}, {}),
        (
            "hostnames",
            {"lb": [{"endpoint": {"hostname": f"h{number}.test"}} for number in range(5)]},
            {**DNS, "common_lb_config": {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}},
        ),
    )
)

CASES = (
    *TABLES,
    keys("ring_small", up={"fields": {**RING, "ring_hash_lb_config": {"minimum_ring_size": 7}}}),
    keys(
        "ring_maximum",
        up={
            "fields": {**RING, "ring_hash_lb_config": {"minimum_ring_size": 1, "maximum_ring_size": 8}},
            "lb": weights(1, 2, 3, 4, 1),
        },
    ),
    keys("maglev_small_table", up={"fields": {**MAGLEV, "maglev_lb_config": {"table_size": 11}}}),
    keys("ring_typed", up={"fields": typed("ring_hash.v3.RingHash", minimum_ring_size=100)}),
    keys("maglev_typed", up={"fields": typed("maglev.v3.Maglev", table_size=101)}),
    # What makes a key.
    keys("hash_of_query", QUERY, sent=[request(f"/?a=1&q={key}&q=no") for key in KEYS]),
    keys("hash_of_query_rewritten", QUERY, sent=[request(f"/a?q={k}") for k in KEYS], action={"prefix_rewrite": "/b"}),
    keys("hash_of_query_odd", QUERY, sent=[request(target) for target in ("/?q", "/?q=", "/?q=%20a", "/?&&q=x#f")]),
    keys("hash_of_forwarded_address", SOURCE, sent=FORWARDED),
    keys("hash_of_peer_address", SOURCE, sent=FORWARDED[:3], hcm={"use_remote_address": True}),
    keys("hash_of_cookie", COOKIE, sent=[request(f"/{key}", f"Cookie: a=1; place={key}; b=2") for key in KEYS]),
    keys("hash_of_quoted_cookie", COOKIE, sent=[request(f"/{key}", f'Cookie: place="{key}"') for key in KEYS[:8]]),
    one("hash_of_cookie_twice", COOKIE, "Cookie: place=first; place=second"),
    one("hash_of_cookie_in_two_lines", COOKIE, "Cookie: place=first", "Cookie: place=second"),
    one("hash_of_cookie_with_space_before", COOKIE, "Cookie: x;   place=a"),
    one("hash_of_cookie_with_space_inside", COOKIE, "Cookie: place=a b; y=1"),
    one("hash_of_cookie_with_space_after", COOKIE, "Cookie: place=a ; y=1"),
    one("hash_of_cookie_with_space_before_equals", COOKIE, "Cookie: place =a; y=1", ignore=["log["]),
    one("hash_of_two_values", BY_HEADER, "X-Key: b", "X-Key: a"),
    one("hash_of_joined_values", BY_HEADER, "X-Key: b,a"),
    one("hash_of_empty_value", BY_HEADER, "X-Key:"),
    one("hash_of_host", {"header": {"header_name": ":authority"}}),
    keys("hash_of_path", {"header": {"header_name": ":path"}}, action={"prefix_rewrite": "/other/"}),
    keys(
        "hash_of_rewritten_value",
        {"header": {"header_name": "x-key", "regex_rewrite": REWRITE}},
    ),
    one(
        "hash_of_the_header_that_the_route_sets",
        BY_HEADER,
        "X-Key: client",
        route={"request_headers_to_add": [{"header": {"key": "x-key", "value": "route"}, "append_action": 2}]},
    ),
    # Several policies.
    keys("hash_of_two_policies", BY_HEADER, QUERY, sent=[request(f"/?q={k}x", f"X-Key: {k}") for k in KEYS]),
    keys("hash_of_the_same_policy_twice", BY_HEADER, BY_HEADER),
    keys("hash_of_the_second_policy", QUERY, BY_HEADER),
    keys(
        "hash_terminal",
        {**BY_HEADER, "terminal": True},
        QUERY,
        sent=[request(f"/?q={k}x", f"X-Key: {k}") for k in KEYS[:10]] + [request(f"/?q={k}x") for k in KEYS[:10]],
    ),
    keys("hash_switched_off", {"connection_properties": {"source_ip": False}}, BY_HEADER),
    # Cookies that are made up.
    one("cookie_made_up", COOKIE, ignore=["log["]),
    one("cookie_for_the_session", {"cookie": {"name": "place", "ttl": "0s"}}, ignore=["log["]),
    one(
        "cookie_with_attributes",
        {
            "cookie": {
                "name": "place",
                "ttl": "1.9s",
                "path": "/",
                "attributes": [{"name": "SameSite", "value": "Strict"}, {"name": "Secure"}],
            }
        },
        ignore=["log["],
    ),
    one("cookie_without_ttl", {"cookie": {"name": "place"}}, ignore=["log["]),
    one("cookie_empty", COOKIE, "Cookie: place=", ignore=["log["]),
    one("cookie_not_after_a_terminal_hash", [{**BY_HEADER, "terminal": True}, COOKIE], "X-Key: a"),
    one("cookie_only_for_hashing", COOKIE, up={"fields": {"lb_policy": "ROUND_ROBIN"}}, ignore=["log["]),
    one(
        "cookie_and_the_routes_headers",
        COOKIE,
        route={"response_headers_to_remove": ["set-cookie"]},
        ignore=["log["],
    ),
    one("cookie_and_no_endpoint", COOKIE, up={"endpoints": ()}),
    one("cookie_and_nobody_there", COOKIE, up={"endpoints": ("shared_refused",)}),
    one("cookie_and_a_retry", COOKIE, up={"endpoints": ("shared_refused",)}, action=RETRY),
    keys("retry_on_the_next_of_the_ring", up={"endpoints": (*FIVE, "shared_refused")}, action=RETRY),
    keys("retry_on_another_of_maglev", up={"endpoints": (*FIVE, "shared_refused"), "fields": MAGLEV}, action=RETRY),
)
