"""Active health checks: who is picked after the first one, and what changes that.

What the upstreams receive is compared in one case only: it is for the most part the checks of all these clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Plan, reply
from tests.oracle.case import AwaitUpstream, Case, Read, Up, Wait, Write, request

NO_PANIC = {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}
ONCE: Mapping[str, Any] = {
    "timeout": "0.5s",
    "interval": "600s",
    "no_traffic_interval": "600s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
}
OFTEN: Mapping[str, Any] = {"interval": "0.1s", "no_traffic_interval": "0.1s"}
STATS = tuple(f"cluster.%CLUSTER%.health_check.{name}" for name in ("failure", "passive_failure", "network_failure"))
UNHEALTHY = {"client[0].body": b"no healthy upstream", "log[0].flags": "UH"}
HEALTHY = {"client[0].status": 200}


def hexadecimal(text: str) -> dict[str, str]:
    return {"text": text.encode().hex()}


def checked(
    name: str,
    check: Mapping[str, Any],
    expect: Mapping[str, Any],
    endpoints: Sequence[str] = ("up",),
    *,
    faults: Sequence[int] = (),
    **up: Any,
) -> Case:
    """One request to a cluster whose health check is `check` over ONCE."""
    fields = {"health_checks": [{**ONCE, **check}], "common_lb_config": NO_PANIC, **up.pop("fields", {})}
    return Case(
        name,
        request("/x"),
        clusters={"": Up(endpoints, fields=fields, **up)},
        expect=expect,
        ignore=["upstream"],
        faults=faults,
    )


def http(path: str = "/health", **fields: Any) -> dict[str, Any]:
    return {"http_health_check": {"path": path, **fields}}


def tcp(*receive: str, send: str = "GET /tcp HTTP/1.1\r\nhost: a\r\n\r\n") -> dict[str, Any]:
    return {"tcp_health_check": {"send": hexadecimal(send), "receive": [hexadecimal(each) for each in receive]}}


LAST_OF_TWO = [Write(request("/0")), Read(), Wait(0.1), Write(request("/1")), Read()]
FAIL_NOW: Plan = reply(200, b"ok", [("x-envoy-immediate-health-check-fail", "true")])

CASES = (
    checked("check_http", http(), HEALTHY),
    checked("check_http_unexpected", http("/status/503"), UNHEALTHY),
    checked("check_http_another_success", http("/status/204"), UNHEALTHY),
    checked("check_http_switching", http("/status/101"), UNHEALTHY, faults=(2,)),
    checked(
        "check_http_switching_expected",
        http("/status/101", expected_statuses=[{"start": 100, "end": 102}]),
        HEALTHY,
        faults=(2,),
    ),
    checked("check_http_expected", http("/status/503", expected_statuses=[{"start": 500, "end": 504}]), HEALTHY),
    checked("check_http_end_of_range", http("/status/503", expected_statuses=[{"start": 500, "end": 503}]), UNHEALTHY),
    checked("check_http_body", http("/hello", receive=[hexadecimal("he"), hexadecimal("o")]), HEALTHY),
    checked("check_http_other_body", http("/hello", receive=[hexadecimal("o"), hexadecimal("he")]), UNHEALTHY),
    checked("check_http_body_beyond_the_buffer", http("/size/2000", receive=[hexadecimal("x" * 1024)]), HEALTHY),
    checked("check_http_chunked", http("/chunked", receive=[hexadecimal("hello world")]), HEALTHY),
    checked("check_http_timeout", http("/delay/2"), UNHEALTHY),
    checked("check_http_reset", http("/reset"), UNHEALTHY),
    checked("check_http_closed", http("/close"), UNHEALTHY),
    checked("check_http_garbage", http("/garbage"), UNHEALTHY),
    checked("check_http_truncated", http("/truncated"), UNHEALTHY),
    checked("check_http_refused", http(), UNHEALTHY, ["refused"]),
    checked("check_http_head", http(method="HEAD"), HEALTHY),
    checked("check_tcp", {"tcp_health_check": {}}, HEALTHY),
    checked("check_tcp_refused", {"tcp_health_check": {}}, UNHEALTHY, ["refused"]),
    checked("check_tcp_payload", tcp("HTTP/1.1 200", "/tcp"), HEALTHY),
    checked("check_tcp_other_payload", tcp("teapot"), UNHEALTHY),
    checked("check_failed_but_panic", http("/status/503"), HEALTHY, fields={"common_lb_config": {}}),
    checked("check_one_of_two", http(), HEALTHY, ["refused", "up"]),
    checked(
        "check_switched_off_for_an_endpoint",
        http("/status/503"),
        HEALTHY,
        lb=[{"endpoint": {"health_check_config": {"disable_active_health_check": True}}}],
    ),
    Case(
        "check_failed_by_a_response",
        actions=LAST_OF_TWO,
        script=[FAIL_NOW],
        clusters={"": Up(fields={"health_checks": [{**ONCE, **http()}], "common_lb_config": NO_PANIC})},
        stats=(*STATS, "cluster.%CLUSTER%.membership_healthy", "cluster.%CLUSTER%.membership_excluded"),
        expect={
            "client[1].body": b"no healthy upstream",
            "stats.cluster.check_failed_by_a_response.health_check.passive_failure": 1,
            "stats.cluster.check_failed_by_a_response.membership_excluded": 1,
        },
        ignore=["upstream"],
    ),
    Case(
        "check_not_asked_for_a_response_means_nothing",
        actions=LAST_OF_TWO,
        script=[FAIL_NOW],
        ignore=["upstream"],
        expect={"client[1].status": 200},
    ),
    Case(
        "check_request",
        actions=[AwaitUpstream(), Write(request("/x")), Read()],
        clusters={
            "": Up(
                fields={
                    "health_checks": [
                        {
                            **ONCE,
                            **OFTEN,
                            **http(
                                "/check?a=b",
                                method="POST",
                                host="checked.test",
                                send=hexadecimal("hello"),
                                request_headers_to_add=[{"header": {"key": "X-Check", "value": "1"}}],
                            ),
                        }
                    ]
                }
            )
        },
        expect={"upstream[0].line": "POST /check?a=b HTTP/1.1", "upstream[0].body": b"hello"},
        ignore=["upstream.count", "upstream[0].connection", *(f"upstream[{number}]" for number in range(1, 100))],
    ),
    *(
        Case(
            name,
            actions=[
                *(step for _ in range(2) for step in (Write(request("/status/503")), Read())),
                Wait(0.6),
                Write(request("/x")),
                Read(),
            ],
            clusters={
                "": Up(
                    fields={
                        "common_lb_config": NO_PANIC,
                        "health_checks": [{**ONCE, **OFTEN, "tcp_health_check": {}}],
                        "outlier_detection": {
                            "consecutive_5xx": 2,
                            "interval": "600s",
                            "base_ejection_time": "600s",
                            "max_ejection_percent": 100,
                            **outlier,
                        },
                    }
                )
            },
            stats=[f"cluster.%CLUSTER%.outlier_detection.ejections_{word}" for word in ("active", "enforced_total")],
            expect=expect,
            ignore=["upstream", *(f"log[{number}].bytes" for number in range(3))],
        )
        for name, outlier, expect in (
            ("check_ends_an_ejection", {}, {"client[2].status": 200}),
            (
                "check_leaves_an_ejection",
                {"successful_active_health_check_uneject_host": False},
                {"client[2].body": b"no healthy upstream"},
            ),
        )
    ),
)
