"""Which endpoint a request takes, and when an endpoint is taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Plan, reply
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, request

EJECT: Mapping[str, Any] = {
    "consecutive_5xx": 2,
    "interval": "600s",
    "base_ejection_time": "600s",
    "max_ejection_percent": 100,
}
OUTLIER_STATS = (
    "cluster.%CLUSTER%.outlier_detection.ejections_active",
    "cluster.%CLUSTER%.outlier_detection.ejections_enforced_total",
    "cluster.%CLUSTER%.outlier_detection.ejections_enforced_consecutive_5xx",
    "cluster.%CLUSTER%.outlier_detection.ejections_overflow",
    "cluster.%CLUSTER%.outlier_detection.ejections_consecutive_5xx",
    "cluster.%CLUSTER%.outlier_detection.ejections_total",
    "cluster.%CLUSTER%.outlier_detection.ejections_detected_consecutive_5xx",
    "cluster.%CLUSTER%.upstream_rq_total",
)
NO_PANIC = {"healthy_panic_threshold": {"value": 0}}


def requests(count: int) -> list[Action]:
    """So many, one after the other on one connection; before the last there is time for an ejection to take effect."""
    steps: list[Action] = [step for number in range(count) for step in (Write(request(f"/{number}")), Read())]
    return [*steps[:-2], Wait(0.1), *steps[-2:]]


def ejecting(
    name: str, count: int, script: Sequence[Plan], *endpoints: str, expect: Mapping[str, Any], **fields: Any
) -> Case:
    """`count` requests to a cluster that ejects; `expect` names the last response's fields and statistics."""
    outlier = {**EJECT, **fields.pop("outlier", {})}
    pinned = {key.replace("last.", f"client[{count - 1}]."): value for key, value in expect.items()}
    return Case(
        name,
        actions=requests(count),
        script=script,
        clusters={"": Up(endpoints or ("up",), fields={"outlier_detection": outlier, **fields})},
        stats=OUTLIER_STATS,
        expect=pinned,
        ignore=["upstream[2].connection"],  # an ejection may have closed the first one by then
    )


BAD: Plan = reply(503)
CASES = (
    Case(
        "round_robin_over_two",
        actions=requests(4),
        clusters={"": Up(["up", "second"], fields={"lb_policy": "ROUND_ROBIN"})},
        ignore=["log", "upstream"],
        expect={"client.count": 4},
    ),
    ejecting("ejected_after_two", 3, [BAD], expect={"last.body": b"no healthy upstream"}, common_lb_config=NO_PANIC),
    ejecting("ejected_but_panic", 3, [BAD], expect={"last.status": 503, "log[2].flags": "-"}),
    ejecting(
        "not_ejected_when_one_succeeds",
        4,
        [BAD, reply(), BAD, reply()],
        expect={"last.status": 200},
        common_lb_config=NO_PANIC,
    ),
    ejecting(
        "ejected_for_refused_connections",
        3,
        [],
        "refused",
        expect={"last.body": b"no healthy upstream"},
        common_lb_config=NO_PANIC,
    ),
    ejecting(
        "gateway_failures_do_not_eject_by_default",
        3,
        [reply(502)],
        expect={"last.status": 502},
        outlier={"consecutive_5xx": 50, "consecutive_gateway_failure": 2},
        common_lb_config=NO_PANIC,
    ),
    ejecting(
        "gateway_failures_eject_when_enforced",
        3,
        [reply(502)],
        expect={"last.body": b"no healthy upstream"},
        outlier={"consecutive_5xx": 50, "consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100},
        common_lb_config=NO_PANIC,
    ),
    ejecting(
        "not_ejected_beyond_the_percentage",
        3,
        [BAD],
        expect={"log[2].flags": "-"},
        outlier={"max_ejection_percent": 10},
        common_lb_config=NO_PANIC,
    ),
    ejecting(
        "not_enforced",
        3,
        [BAD],
        expect={"log[2].flags": "-"},
        outlier={"enforcing_consecutive_5xx": 0},
        common_lb_config=NO_PANIC,
    ),
    ejecting("four_hundreds_do_not_eject", 3, [reply(404)], expect={"last.status": 404}, common_lb_config=NO_PANIC),
    Case(
        "connect_timeout_counts_requests_together",
        request("/x"),
        clusters={"": Up(["refused"], fields={"connect_timeout": "0.2s"})},
        stats=["cluster.%CLUSTER%.upstream_cx_connect_fail", "cluster.%CLUSTER%.upstream_cx_total"],
        expect={"log[0].flags": "UF"},
    ),
    Case(
        "unhealthy_endpoint_is_left_out",
        request("/x"),
        clusters={
            "": Up(
                fields={
                    "common_lb_config": NO_PANIC,
                    "load_assignment": {
                        "cluster_name": "unhealthy_endpoint_is_left_out",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {
                                        "health_status": "UNHEALTHY",
                                        "endpoint": {
                                            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9}}
                                        },
                                    }
                                ]
                            }
                        ],
                    },
                }
            )
        },
        expect={"log[0].flags": "UH"},
    ),
)
