"""Ejection by success rate and failure percentage, of failures of our own side, and the return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Plan, ReadBody, Reset, reply
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, request

# Envoy holds changes back for a second after the one before, to merge them.
AT_ONCE = {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}
FOR_GOOD: Mapping[str, Any] = {
    "interval": "0.3s",
    "base_ejection_time": "600s",
    "max_ejection_percent": 100,
    "consecutive_5xx": 100,
    "success_rate_minimum_hosts": 100,
    "failure_percentage_minimum_hosts": 100,
}
KINDS = (
    "consecutive_5xx",
    "success_rate",
    "failure_percentage",
    "consecutive_local_origin_failure",
    "local_origin_success_rate",
    "local_origin_failure_percentage",
)
STATS = tuple(
    f"cluster.%CLUSTER%.outlier_detection.ejections_{name}"
    for name in (
        "active",
        "total",
        "consecutive_5xx",
        "success_rate",
        "overflow",
        "enforced_total",
        *(f"{when}_{kind}" for kind in KINDS for when in ("enforced", "detected")),
    )
)
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
BAD: Plan = reply(503)


def requests(first: int, count: int) -> list[Action]:
    return [step for number in range(first, first + count) for step in (Write(request(f"/{number}")), Read())]


def ejecting(
    name: str,
    before: int,
    script: Sequence[Plan],
    endpoints: Sequence[str] = ("up",),
    *,
    seconds: float = 1.0,
    ignore: Sequence[str] = (),
    expect: Mapping[str, Any],
    **outlier: Any,
) -> Case:
    """`before` requests, whose answers depend on when an interval ends; then, some intervals later, two that are compared.
    `expect` names the last response's fields and the kinds of ejections."""
    pinned = {
        f"client[{before + 1}].{key}"
        if key in ("status", "body")
        else f"stats.cluster.{name}.outlier_detection.ejections_{key}": value
        for key, value in expect.items()
    }
    return Case(
        name,
        actions=[*requests(0, before), Wait(seconds), *requests(before, 2)],
        script=script,
        clusters={
            "": Up(endpoints, fields={"outlier_detection": {**FOR_GOOD, **outlier}, "common_lb_config": AT_ONCE}),
        },
        stats=STATS,
        expect=pinned,
        ignore=["log", "upstream", *(f"client[{number}]" for number in range(before)), *ignore],
    )


def counting(name: str, answers: int, codes: Sequence[str], *, expect: Mapping[str, Any]) -> Case:
    """Three answers of this status, of which two in a row would eject, where responses with these codes count as errors."""
    rules = [{"http_response_headers_match": {"headers": [{"name": ":status", "string_match": {"exact": code}}]}}
             for code in codes]  # fmt: skip
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "outlier_detection": {"error_matcher": rules[0] if len(rules) == 1 else {"or_match": {"rules": rules}}},
    }
    outlier = {**FOR_GOOD, "consecutive_5xx": 2, "consecutive_gateway_failure": 2}
    fields = {
        "outlier_detection": {
            **outlier,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_consecutive_5xx": 100,
        },
        "common_lb_config": AT_ONCE,
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
    }
    gateway = "cluster.%CLUSTER%.outlier_detection.ejections_{}_consecutive_gateway_failure"
    return Case(
        name,
        actions=requests(0, 3),
        script=[reply(answers)],
        clusters={"": Up(fields=fields)},
        stats=[*STATS, *(gateway.format(when) for when in ("enforced", "detected"))],
        ignore=["log", "upstream"],
        expect=expect,
    )


CASES = (
    counting("a_listed_status_is_an_error", 429, ["429"], expect={"client[2].body": b"no healthy upstream"}),
    counting("one_of_several_is_an_error", 404, ["429", "404"], expect={"client[2].body": b"no healthy upstream"}),
    counting("a_listed_gateway_error_is_one", 503, ["429", "503"], expect={"client[2].body": b"no healthy upstream"}),
    counting("what_is_not_listed_is_none", 503, ["429"], expect={"client[2].status": 503, "client[2].body": b"ok"}),
    ejecting(
        "success_rate_ejects",
        4,
        [],
        ["up", "refused"],
        expect={"status": 200, "enforced_success_rate": 1, "active": 1},
        success_rate_minimum_hosts=2,
        success_rate_request_volume=1,
        success_rate_stdev_factor=500,
    ),
    ejecting(
        "success_rate_needs_to_stand_out",
        4,
        [],
        ["up", "refused"],
        expect={"detected_success_rate": 0, "active": 0},
        ignore=["client["],  # each begins its round with another host
        success_rate_minimum_hosts=2,
        success_rate_request_volume=1,
    ),
    ejecting(
        "success_rate_beyond_the_percentage",
        4,
        [],
        ["up", "refused"],
        expect={"enforced_success_rate": 0, "active": 0},
        ignore=["client[", "stats"],  # how many intervals see both hosts is a matter of time
        max_ejection_percent=10,
        success_rate_minimum_hosts=2,
        success_rate_request_volume=2,
        success_rate_stdev_factor=500,
    ),
    ejecting(
        "failure_percentage_ejects",
        3,
        [BAD],
        expect={"body": b"no healthy upstream", "enforced_failure_percentage": 1, "total": 0},
        failure_percentage_minimum_hosts=1,
        failure_percentage_request_volume=1,
        failure_percentage_threshold=100,
        enforcing_failure_percentage=100,
    ),
    ejecting(
        "failure_percentage_below_its_threshold",
        2,
        [reply()],
        expect={"status": 200, "detected_failure_percentage": 0},
        failure_percentage_minimum_hosts=1,
        failure_percentage_request_volume=1,
        failure_percentage_threshold=1,
        enforcing_failure_percentage=100,
    ),
    ejecting(
        "local_failures_eject_when_split",
        2,
        [],
        ["refused"],
        expect={"body": b"no healthy upstream", "enforced_consecutive_local_origin_failure": 1, "consecutive_5xx": 0},
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=2,
    ),
    ejecting(
        "resets_follow_connections_when_split",
        4,
        [[ReadBody(), Reset()]],
        expect={"status": 503, "detected_consecutive_local_origin_failure": 0, "active": 0},
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=2,
        consecutive_5xx=2,
    ),
    ejecting(
        "local_failure_percentage_ejects_when_split",
        2,
        [],
        ["refused"],
        expect={"body": b"no healthy upstream", "enforced_local_origin_failure_percentage": 1},
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=100,
        failure_percentage_minimum_hosts=1,
        failure_percentage_request_volume=1,
        failure_percentage_threshold=100,
        enforcing_failure_percentage_local_origin=100,
    ),
    ejecting(
        "ejection_ends",
        2,
        [BAD, BAD, reply()],
        expect={"status": 200, "enforced_consecutive_5xx": 1, "active": 0},
        consecutive_5xx=2,
        base_ejection_time="0.2s",
        max_ejection_time="0.2s",
        max_ejection_time_jitter="0.1s",
    ),
    ejecting(
        "unenforced_success_rate_is_counted",
        2,
        [BAD, BAD, reply()],
        expect={"status": 200, "detected_consecutive_5xx": 1, "consecutive_5xx": 1, "total": 1, "active": 0},
        consecutive_5xx=2,
        enforcing_consecutive_5xx=0,
    ),
    Case(
        "circuit_breaker_in_metadata",
        request("/x"),
        clusters={
            "": Up(
                fields={
                    "metadata": {
                        "filter_metadata": {"mesh.circuit_breaker": {"consecutive_failures": 5, "failure_rate": 50}}
                    }
                }
            )
        },
        expect={"client[0].status": 200},
    ),
)
