"""A 101 that nobody asked for, or not for that: it never opens a way past routing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.harness.upstream import Echo, Pause, Plan, ReadBody, Send, reply
from tests.oracle.case import Action, Case, Read, Up, Wait, Write, post, request
from tests.oracle.topics.upgrades import ASKS, SWITCH, WEBSOCKET

BARE = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
H2C = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
OTHER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n"
FRAMED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi"
ZERO = SWITCH[:-2] + b"Content-Length: 0\r\n\r\n"
ELSEWHERE = request("/secret", host="nowhere.test")  # routes to nothing
RETRIES = {"retry_on": "5xx,reset,gateway-error,retriable-status-codes", "retriable_status_codes": [101]}
# What is sent after an answer that came early and ended the connection: whether it ends by FIN or RST is a race.
_EARLY = ("client.end", "stats.cluster.switching_unasked_early.upstream_cx_protocol_error")
STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in ("upstream_rq_total", "upstream_rq_retry", "upstream_rq_active", "upstream_cx_protocol_error")
)


def switched(
    name: str, sent: bytes, answer: bytes, after: Sequence[Action] = (), *, end: str = "auto", **more: Any
) -> Case:
    """The upstream answers `answer` and from then on returns what it gets."""
    plan: Plan = more.pop("plan", [Send(answer), Echo()])
    actions = [Write(sent), Read(more.pop("method", "GET")), *after]
    return Case(
        name,
        actions=actions,
        script=more.pop("script", [plan]),
        stats=STATS,
        faults=(2,),
        end=end,
        logs=1 + sum(isinstance(each, Read) for each in after),
        **more,
    )


THEN: Sequence[Action] = (Write(ELSEWHERE), Read())

CASES = (
    switched("switching_unasked", request("/x"), SWITCH, THEN),
    switched("switching_unasked_pipelined", request("/x") + ELSEWHERE, SWITCH, [Read()]),
    switched("switching_unasked_bare", request("/x"), BARE, THEN),
    switched("switching_unasked_framed", request("/x"), FRAMED, THEN),
    switched("switching_unasked_with_data", request("/x"), SWITCH + b"data", THEN),
    switched("switching_unasked_post", post("/x"), SWITCH, THEN, plan=[ReadBody(), Send(SWITCH), Echo()]),
    switched("switching_unasked_head", request("/x", method="HEAD"), SWITCH, THEN, method="HEAD"),
    switched("switching_unasked_early", post("/x")[:-2], SWITCH, [Write(b"lo" + ELSEWHERE), Read()], ignore=_EARLY),
    switched("switching_unasked_length_zero", request("/x"), ZERO, THEN),
    switched("switching_asked_length_zero", ASKS, ZERO, hcm=WEBSOCKET, end="skip"),
    switched("switching_unasked_where_upgrades_are_on", request("/x"), SWITCH, THEN, hcm=WEBSOCKET),
    switched("switching_h2c_asked", request("/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), H2C, THEN),
    switched(
        "switching_h2c_asked_where_upgrades_are_on",
        request("/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
        H2C,
        THEN,
        hcm=WEBSOCKET,
    ),
    switched("switching_upgrade_without_connection", request("/x", "Upgrade: websocket"), SWITCH, THEN, hcm=WEBSOCKET),
    switched("switching_to_another_protocol", ASKS, OTHER, hcm=WEBSOCKET, end="skip"),
    switched("switching_to_no_protocol", ASKS, BARE, hcm=WEBSOCKET, end="skip"),
    switched(
        "switching_retried",
        request("/x"),
        SWITCH,
        THEN,
        action={"retry_policy": RETRIES},
        script=[[Send(SWITCH), Echo()], reply()],
    ),
    switched(
        "switching_hedged",
        request("/x"),
        SWITCH,
        action={
            "retry_policy": {"retry_on": "5xx", "per_try_timeout": "0.2s", "num_retries": 1},
            "hedge_policy": {"hedge_on_per_try_timeout": True},
        },
        script=[
            [ReadBody(), Pause(0.4), Send(SWITCH), Echo()],
            [ReadBody(), Pause(0.6), Send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")],
        ],
    ),
    switched(
        "switching_mirror",
        request("/x"),
        SWITCH,
        [Wait(0.3), *THEN],
        action={"request_mirror_policies": [{"cluster": "%CLUSTER%-mirror"}]},
        clusters={"": Up(), "-mirror": Up(endpoints=["second"])},
        script=[[Send(SWITCH), Echo()]],
    ),
    switched(
        "switching_then_a_proper_answer",
        request("/x"),
        SWITCH + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        THEN,
    ),
)
