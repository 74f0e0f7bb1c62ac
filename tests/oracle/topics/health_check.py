"""The health check filter: answers of its own, and remembered ones."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import reply
from tests.oracle.case import Case, Post, Read, Up, Write, request

TYPE = "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck"
AT = {"headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}]}
COUNTS = ["http.listener_0.downstream_rq_2xx", "http.listener_0.downstream_rq_5xx"]


def check(**how: Any) -> list[dict[str, Any]]:
    return [{"name": "health", "typed_config": {"@type": TYPE, "pass_through_mode": False, **AT, **how}}]


def twice(target: str) -> list[Any]:
    return [Write(request(target)), Read(), Write(request(target)), Read()]


CASES = (
    Case(
        "health_check",
        request("/healthz"),
        filters=check(),
        stats=COUNTS,
        expect={
            "client[0].status": 200,
            "client[0].body": b"",
            "client[0].header.x-envoy-upstream-healthchecked-cluster": ("oracle",),
            "log[0].details": "health_check_ok",
            "log[0].attempts": 0,
        },
    ),
    Case("health_check_other_path", request("/x"), filters=check(), stats=COUNTS, expect={"log[0].attempts": 1}),
    Case("health_check_head", request("/healthz", method="HEAD"), methods=["HEAD"], filters=check()),
    Case("health_check_without_route", request("/healthz", host="nobody.test"), filters=check()),
    Case(
        "health_check_of_everything",
        request("/x"),
        filters=check(headers=[]),
        expect={"log[0].attempts": 0},
        end="skip",
    ),
    Case(
        "health_check_minimum_met",
        request("/healthz"),
        filters=check(cluster_min_healthy_percentages={"health_check_minimum_met": {"value": 99.5}}),
        expect={"client[0].status": 200},
    ),
    Case(
        "health_check_empty_cluster",
        request("/healthz"),
        clusters={"": Up(endpoints=())},
        filters=check(cluster_min_healthy_percentages={"health_check_empty_cluster": {"value": 1}}),
        expect={"client[0].status": 503, "log[0].flags": "LH"},
    ),
    Case(
        "health_check_empty_cluster_will_do",
        request("/healthz"),
        clusters={"": Up(endpoints=())},
        filters=check(cluster_min_healthy_percentages={"health_check_empty_cluster_will_do": {"value": 0}}),
    ),
    Case(
        "health_check_unknown_cluster",
        request("/healthz"),
        filters=check(cluster_min_healthy_percentages={"nowhere": {"value": 1}}),
        expect={"client[0].status": 503},
    ),
    Case(
        "health_check_passed_through",
        actions=twice("/healthz"),
        filters=check(pass_through_mode=True),
        expect={"client[1].status": 200, "upstream.count": 2},
    ),
    Case(
        "health_check_remembered",
        actions=twice("/healthz"),
        filters=check(pass_through_mode=True, cache_time="100s"),
        script=[reply(200, b"fine", [("X-Up", "1")])],
        expect={"upstream.count": 1},
    ),
    Case(
        "health_check_failure_remembered",
        actions=twice("/healthz"),
        filters=check(pass_through_mode=True, cache_time="101s"),
        script=[reply(503, b"ill")],
        expect={"upstream.count": 1, "client[1].status": 503},
    ),
    *(
        Case(
            name,
            actions=[
                Post("/healthcheck/fail"),
                *[action for target in targets for action in (Write(request(target)), Read())],
                Post("/healthcheck/ok"),
                Write(request("/healthz")),
                Read(),
            ],
            filters=check(**fields),
            stats=COUNTS,
            expect=expect,
            end="skip",
        )
        for name, targets, fields, expect in (
            (
                "health_check_of_an_ill_server",
                ["/healthz", "/other"],
                {},
                {
                    "client[0].status": 503,
                    "client[0].header.x-envoy-immediate-health-check-fail": ("true",),
                    "client[1].header.x-envoy-immediate-health-check-fail": ("true",),
                    "client[2].status": 200,
                    "log[0].details": "health_check_failed",
                    "log[0].flags": "LH",
                },
            ),
            (
                "health_check_of_an_ill_server_is_not_passed_through",
                ["/healthz", "/healthz"],
                {"pass_through_mode": True, "cache_time": "103s"},
                {"client[1].status": 503, "client[2].status": 503, "upstream.count": 0},
            ),
            (
                "health_check_of_an_ill_server_before_its_clusters",
                ["/healthz"],
                {"cluster_min_healthy_percentages": {"nowhere": {"value": 1}}},
                {"log[0].details": "health_check_failed", "log[1].details": "health_check_failed_no_cluster_found"},
            ),
        )
    ),
)
