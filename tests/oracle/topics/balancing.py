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
    )


ILL: Mapping[str, Any] = {"health_status": "UNHEALTHY"}
DRAINING: Mapping[str, Any] = {"health_status": "DRAINING"}


def priorities(
    name: str,
    endpoints: Sequence[str],
    lb: Sequence[Mapping[str, Any]],
    levels: Sequence[int] = (),
    *,
    reached: str | None,
    panics: int = 0,
    policy: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Case:
    """Four requests that all reach one endpoint, any of them (None) or nobody ("")."""
    if reached:
        expect = {f"log[{number}].upstream": f"127.0.0.1:<{reached}>" for number in range(4)}
    else:
        expect = {"log[3].flags": "-" if reached is None else "UH"}
    return Case(
        name,
        actions=[step for number in range(4) for step in (Write(request(f"/{number}")), Read())],
        clusters={"": Up(endpoints, lb=lb, priorities=levels, fields=fields, policy=policy or {})},
        stats=["cluster.%CLUSTER%.lb_healthy_panic", "cluster.%CLUSTER%.upstream_rq_total"],
        expect={**expect, f"stats.cluster.{name}.lb_healthy_panic": panics},
        ignore=[f"log[{number}].upstream" for number in range(4)] if reached is None else [],
    )


SLOW: Mapping[str, Any] = {
    "slow_start_window": "60s",
    "aggression": {"default_value": 2.0, "runtime_key": "x"},
    "min_weight_percent": {"value": 20},
}


def typed(kind: str, **fields: Any) -> Mapping[str, Any]:
    config = {"@type": f"type.googleapis.com/envoy.extensions.load_balancing_policies.{kind}", **fields}
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {"name": "p", "typed_config": config}}]}}


def alone(
    name: str,
    fields: Mapping[str, Any],
    *,
    endpoints: Sequence[str] = ("shared0",),
    reached: str | None = "shared0",
    **more: Any,
) -> Case:
    """A policy that is taken; with several endpoints it says by itself which of them each request reaches."""
    actions: list[Action] = [step for number in range(6) for step in (Write(request(f"/{number}")), Read())]
    expect = {"log[5].upstream": f"127.0.0.1:<{reached}>"} if reached else {"log[5].flags": "-"}
    return Case(name, actions=actions, clusters={"": Up(endpoints, fields=fields)}, expect=expect, **more)


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
    priorities(
        "draining_does_not_count", ["shared0", "shared1", "shared2"], [{}, DRAINING, DRAINING], reached="shared0"
    ),
    priorities(
        "draining_in_panic", ["shared0", "shared1", "shared2"], [ILL, DRAINING, DRAINING], reached=None, panics=4
    ),
    priorities("degraded_alone", ["shared0", "shared1"], [{"health_status": "DEGRADED"}, ILL], reached="shared0"),
    priorities(
        "degraded_are_not_needed",
        ["shared0", "shared1"],
        [{}, {"health_status": "DEGRADED"}],
        [0, 1],
        reached="shared0",
    ),
    priorities("next_priority", ["shared0", "shared1"], [ILL, {}], [0, 1], reached="shared1"),
    priorities("next_priority_but_one", ["shared0", "shared1"], [ILL, {}], [0, 2], reached="shared1"),
    priorities("no_priority_zero", ["shared1"], [{}], [1], reached="shared1"),
    priorities("all_priorities_panic", ["shared0", "shared1"], [ILL, ILL], [0, 1], reached=None, panics=4),
    priorities(
        "all_priorities_are_ill", ["shared0", "shared1"], [ILL, ILL], [0, 1], reached="", common_lb_config=NO_PANIC
    ),
    priorities(
        "health_by_weight",
        ["shared0", "shared1", "shared2", "shared3"],
        [{"load_balancing_weight": 98}, ILL, ILL, {}],
        [0, 0, 0, 1],
        reached="shared0",
        policy={"weighted_priority_health": True},
    ),
    priorities(
        "much_overprovisioning",
        ["shared0", "shared1", "shared2", "shared3"],
        [{}, ILL, ILL, {}],
        [0, 0, 0, 1],
        reached="shared0",
        policy={"overprovisioning_factor": 300},
    ),
    alone("slow_start", {"lb_policy": "ROUND_ROBIN", "round_robin_lb_config": {"slow_start_config": SLOW}}),
    alone(
        "slow_start_of_least_request",
        {
            "lb_policy": "LEAST_REQUEST",
            "least_request_lb_config": {
                "slow_start_config": SLOW,
                "active_request_bias": {"default_value": 2.0, "runtime_key": "x"},
                "choice_count": 3,
            },
        },
    ),
    alone("slow_start_extension", typed("round_robin.v3.RoundRobin", slow_start_config=SLOW)),
    alone("least_request_of_all", typed("least_request.v3.LeastRequest", selection_method="FULL_SCAN")),
    alone(
        "bounded_load",
        typed("maglev.v3.Maglev", consistent_hashing_lb_config={"hash_balance_factor": 120}),
        action={"hash_policy": [{"header": {"header_name": ":path"}}]},
        endpoints=("shared0", "shared1", "shared2"),
        reached=None,
    ),
)
