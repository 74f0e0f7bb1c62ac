"""Where a cluster's hosts come from: names that are looked up, and where the client was going; limits per host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.harness.upstream import Plan, ReadBody, Reset, Send
from tests.oracle.case import Action, Case, HalfClose, Read, ReadUntil, Up, Write, request

STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "circuit_breakers.default.remaining_cx",
        "circuit_breakers.default.remaining_rq",
        "circuit_breakers.high.remaining_cx",
        "membership_change",
        "membership_total",
        "original_dst_host_invalid",
        "upstream_cx_none_healthy",
        "upstream_cx_overflow",
        "upstream_cx_total",
        "upstream_rq_total",
    )
)
V4 = {"dns_lookup_family": "V4_ONLY"}


def named(name: str, port: str = "%PORT:shared0%") -> Mapping[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": name, "port_value": port}}}}


def looked_up(name: str, kind: str, *names: str, **more: Any) -> Case:
    up = Up(("shared0",) * len(names), lb=[named(each) for each in names], fields={"type": kind, **V4})
    return Case(name, request("/x"), clusters={"": up}, **more)


def original(name: str, config: Mapping[str, Any] | None, *headers: str, **more: Any) -> Case:
    """A cluster whose hosts are where requests say."""
    fields = {
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "load_assignment": None,
        **({"original_dst_lb_config": config} if config is not None else {}),
    }
    more.setdefault("stats", STATS)
    return Case(name, request("/x", *headers), clusters={"": Up((), fields=fields)}, **more)


def limited(name: str, breakers: Mapping[str, Any], *actions: Action, **more: Any) -> Case:
    steps = list(actions) or [Write(request("/1")), Read()]
    return Case(name, actions=steps, clusters={"": Up(fields={"circuit_breakers": breakers})}, stats=STATS, **more)


ASKED = {"use_http_header": True}
TO = "X-Envoy-Original-Dst-Host: 127.0.0.1:%PORT:shared0%"
HERE = {"log[0].upstream": "127.0.0.1:<shared0>"}
NOWHERE = {"client[0].status": 503, "log[0].flags": "UH"}
ANSWER: Plan = [Send(b"welcome!")]
TRACKED = {"thresholds": [{"max_connections": 7, "max_requests": 5, "track_remaining": True}]}

CASES = (
    looked_up("dns_strict", "STRICT_DNS", "localhost", expect=HERE),
    looked_up("dns_strict_address", "STRICT_DNS", "127.0.0.1", expect=HERE),
    looked_up("dns_logical", "LOGICAL_DNS", "localhost", expect=HERE),
    looked_up("dns_logical_address", "LOGICAL_DNS", "127.0.0.1", expect=HERE),
    looked_up("dns_unknown_name", "STRICT_DNS", "nowhere.invalid", expect=NOWHERE),
    looked_up("dns_logical_unknown_name", "LOGICAL_DNS", "nowhere.invalid", expect=NOWHERE),
    original("original_by_header", ASKED, TO, expect=HERE),
    original("original_by_header_without_it", ASKED, expect=NOWHERE),
    original("original_header_not_asked_for", None, TO, expect=NOWHERE),
    original(
        "original_by_another_header",
        {**ASKED, "http_header_name": "X-To"},
        TO.replace("X-Envoy-Original-Dst-Host", "X-To"),
        expect=HERE,
    ),
    original(
        "original_by_header_the_other_is_not_looked_at", {**ASKED, "http_header_name": "X-To"}, TO, expect=NOWHERE
    ),
    Case(
        "original_by_authority",
        request("/x", host="127.0.0.1:%PORT:shared0%"),
        vhost={"domains": ["original-by-authority.test", "127.*"]},
        clusters={
            "": Up(
                (),
                fields={
                    "type": "ORIGINAL_DST",
                    "lb_policy": "CLUSTER_PROVIDED",
                    "load_assignment": None,
                    "original_dst_lb_config": {**ASKED, "http_header_name": ":authority"},
                },
            )
        },
        expect=HERE,
        faults=(31,),
    ),
    original("original_header_twice", ASKED, TO, "X-Envoy-Original-Dst-Host: 10.255.255.1:1", expect=HERE),
    original("original_header_is_no_address", ASKED, "X-Envoy-Original-Dst-Host: localhost:80", expect=NOWHERE),
    original("original_header_without_port", ASKED, "X-Envoy-Original-Dst-Host: 127.0.0.1", expect=NOWHERE),
    original("original_header_port_too_high", ASKED, "X-Envoy-Original-Dst-Host: 127.0.0.1:70000", expect=NOWHERE),
    original(
        "original_port_override",
        {**ASKED, "upstream_port_override": "%PORT:shared0%"},
        "X-Envoy-Original-Dst-Host: 127.0.0.1:9",
        expect=HERE,
    ),
    Case(
        "original_of_tcp_without_any",
        tcp={},
        clusters={
            "": Up((), fields={"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "load_assignment": None})
        },
        logs=1,
        expect={"log[0].flags": "UH"},
    ),
    # Limits.
    limited("limit_per_host", {"per_host_thresholds": [{"max_connections": 1}]}, expect={"client[0].status": 200}),
    limited(
        "limit_per_host_of_none",
        {"per_host_thresholds": [{"max_connections": 0}]},
        expect={"stats.cluster.limit_per_host_of_none.upstream_cx_overflow": 1},
    ),
    limited("limit_of_no_connection", {"thresholds": [{"max_connections": 0}]}, expect={"client[0].status": 200}),
    limited("limit_tracked", TRACKED, expect={"stats.cluster.limit_tracked.circuit_breakers.default.remaining_cx": -1}),
    limited("limit_not_tracked", {"thresholds": [{"max_connections": 7}]}),
    limited(
        "limit_tracked_is_given_back",
        TRACKED,
        script=[[ReadBody(), Reset()]],
        expect={
            "client[0].status": 503,
            "stats.cluster.limit_tracked_is_given_back.circuit_breakers.default.remaining_cx": 0,
        },
    ),
    Case(
        "limit_per_host_of_tcp",
        actions=(Write(b"HELLO / X\r\n\r\n"), ReadUntil(b"!"), HalfClose()),
        tcp={},
        script=[ANSWER],
        logs=1,
        clusters={"": Up(fields={"circuit_breakers": {"per_host_thresholds": [{"max_connections": 1}]}})},
        stats=STATS,
    ),
)
