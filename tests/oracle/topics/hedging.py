"""Hedging on a time-out per try: both attempts go on, and the first good answer counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Close, Hang, Pause, Plan, ReadBody, Send, reply, response_bytes
from tests.oracle.case import Case, request
from tests.oracle.topics import internal
from tests.oracle.topics.head_rules import preserve, spelled, upstream_spelled

STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "upstream_rq_total",
        "upstream_rq_retry",
        "upstream_rq_retry_success",
        "upstream_rq_retry_limit_exceeded",
        "upstream_rq_per_try_timeout",
        "upstream_rq_timeout",
        "upstream_rq_completed",
        "upstream_rq_200",
        "upstream_rq_503",
        "upstream_rq_504",
        "upstream_rq_active",
    )
)
HANG: Plan = [ReadBody(), Hang()]
CLOSE: Plan = [ReadBody(), Close()]


def late(seconds: float, status: int = 200, body: bytes = b"late") -> Plan:
    return [ReadBody(), Pause(seconds), Send(response_bytes(status, body))]


def hedged(
    name: str,
    script: Sequence[Plan],
    attempts: int,
    *lines: str,
    policy: Mapping[str, Any] | None = None,
    hedge: Mapping[str, Any] | None = None,
    **more: Any,
) -> Case:
    """`attempts` is what Envoy's log says; the time per try is 0.2 s."""
    retry = {
        "retry_on": "5xx",
        "num_retries": 1,
        "per_try_timeout": "0.2s",
        "retry_back_off": {"base_interval": "0.001s"},
        **(policy or {}),
    }
    action = {"retry_policy": retry, "hedge_policy": {"hedge_on_per_try_timeout": True} if hedge is None else hedge}
    return Case(
        name,
        request("/x", *lines),
        action={**action, **more.pop("action", {})},
        script=script,
        stats=STATS,
        expect={"log[0].attempts": attempts, **more.pop("expect", {})},
        ignore=("upstream[1].header.x-envoy-expected", "upstream[2].header.x-envoy-expected"),
        **more,
    )


CASES = (
    hedged("hedge_first_wins", [late(0.35), late(5.0)], 2, expect={"client[0].body": b"late"}),
    hedged("hedge_second_wins", [HANG, reply()], 2, expect={"client[0].body": b"ok"}),
    hedged(
        "hedge_with_preserved_case",
        [
            [ReadBody(), Pause(0.35), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-FoO-bar: 1\r\n\r\nlate")],
            late(5.0),
        ],
        2,
        "X-FoO-bar: 1",
        hcm=spelled(**preserve()),
        clusters=upstream_spelled(**preserve()),
        expect={"client[0].body": b"late"},
        faults=(32,),
    ),
    hedged("hedge_in_time", [late(0.1), HANG], 1, expect={"client[0].body": b"late"}),
    hedged("hedge_none_in_time", [HANG], 2, action={"timeout": "0.7s"}, expect={"client[0].status": 504}),
    hedged("hedge_bad_second", [late(0.5), reply(503)], 2, expect={"client[0].status": 200}),
    hedged("hedge_bad_first", [late(0.35, 503), late(0.4)], 2, expect={"client[0].status": 200}),
    hedged("hedge_both_bad", [late(0.5, 503, b"first"), reply(503, b"second")], 2, expect={"client[0].status": 503}),
    hedged("hedge_second_closed", [late(0.5), CLOSE], 2, expect={"client[0].status": 200}),
    hedged("hedge_both_closed", [[ReadBody(), Pause(0.5), Close()], CLOSE], 2, expect={"client[0].status": 503}),
    hedged("hedge_thrice", [HANG, HANG, late(0.1)], 3, policy={"num_retries": 2}, expect={"client[0].status": 200}),
    hedged("hedge_without_conditions", [late(0.4), reply()], 1, policy={"retry_on": None}),
    hedged("hedge_whatever_the_conditions", [HANG, reply()], 2, policy={"retry_on": "connect-failure"}),
    hedged("hedge_without_retries", [late(0.4), reply()], 1, policy={"num_retries": 0}),
    hedged("hedge_not", [late(0.4), reply()], 2, hedge={"hedge_on_per_try_timeout": False}),
    hedged(
        "hedge_of_the_virtual_host",
        [late(0.35), late(5.0)],
        2,
        hedge={},
        action={"hedge_policy": None},
        vhost={"hedge_policy": {"hedge_on_per_try_timeout": True}},
        expect={"client[0].body": b"late"},
    ),
    hedged(
        "hedge_of_the_route_wins",
        [late(0.4), reply()],
        2,
        hedge={},
        vhost={"hedge_policy": {"hedge_on_per_try_timeout": True}},
        expect={"client[0].body": b"ok"},
    ),
    hedged(
        "hedge_wished",
        [late(0.35), late(5.0)],
        2,
        "X-Envoy-Hedge-On-Per-Try-Timeout: true",
        hedge={},
        hcm=internal.HCM,
        expect={"client[0].body": b"late"},
    ),
    hedged(
        "hedge_not_wished",
        [late(0.4), reply()],
        2,
        "X-Envoy-Hedge-On-Per-Try-Timeout: false",
        hcm=internal.HCM,
        expect={"client[0].body": b"ok"},
    ),
)
