"""PINGs of the proxy's own, on both sides: answered or not, and what puts off the end."""

from __future__ import annotations

from typing import Any

from tests.harness.h2_upstream import AwaitBody, Head, IgnorePings, Pause, Raw, reply
from tests.harness.h2_wire import PING, window_update
from tests.oracle.case import Case, h2_cluster
from tests.oracle.h2_case import Over, Quiet, Request, Send, UntilEnd

UP = {"": h2_cluster()}
SLOW = [[AwaitBody(), Pause(1.2), *reply()[1:]]]
ASKING = {"interval": "0.1s", "timeout": "0.3s", "interval_jitter": {"value": 0}}


def downstream(**keepalive: Any) -> dict[str, Any]:
    return {"hcm": {"http2_protocol_options": {"connection_keepalive": {**ASKING, **keepalive}}}}


def upstream(**keepalive: Any) -> dict[str, Any]:
    return {"": h2_cluster(connection_keepalive={**ASKING, **keepalive})}


CASES = (
    Case(
        "h2_ping_answered",
        h2=(Request(), Over(), UntilEnd(0.5)),
        clusters=UP,
        **downstream(),
        expect={"h2.pinged": True},
    ),
    Case(
        "h2_ping_not_answered",
        h2=(UntilEnd(2.0),),
        h2_pongs=False,
        logs=0,
        **downstream(),
        expect={"client.end": "over"},
    ),
    Case(
        "h2_ping_not_answered_in_a_request",
        h2=(Request(), UntilEnd(2.0)),
        h2_pongs=False,
        clusters=UP,
        h2_script=SLOW,
        stats=["http2.keepalive_timeout"],
        **downstream(),
        expect={"log[0].details": "downstream_local_disconnect(http2_ping_timeout)"},
    ),
    Case(
        "h2_ping_put_off",
        h2=(Request(), *(step for _ in range(9) for step in (Quiet(0.1), Send((window_update(0, 1),)))), Over()),
        h2_pongs=False,
        clusters=UP,
        h2_script=[[AwaitBody(), Pause(0.8), *reply()[1:]]],
        end="skip",
        **downstream(),
        expect={"h2[1].header.:status": ("200",)},
    ),
    Case(
        "h2_ping_without_interval",
        h2=(Request(), Over(), UntilEnd(0.5)),
        clusters=UP,
        **downstream(interval=None),
        expect={"h2.pinged": False},
    ),
    Case(
        "h2_ping_to_the_host_answered",
        h2=(Request(), Over()),
        clusters=upstream(),
        h2_script=SLOW,
        expect={"h2[1].header.:status": ("200",)},
    ),
    Case(
        "h2_ping_to_the_host_not_answered",
        h2=(Request(), Over()),
        clusters=upstream(),
        h2_script=[[IgnorePings(), *SLOW[0]]],
        expect={"h2[1].header.:status": ("503",), "log[0].flags": "UC"},
    ),
    Case(
        "h2_ping_to_the_host_not_answered_behind_the_head",
        h2=(Request(), Over()),
        clusters=upstream(),
        h2_script=[[IgnorePings(), AwaitBody(), Head(200), Pause(1.5)]],
    ),
    Case(
        "h2_ping_to_the_host_put_off",
        h2=(Request(), Over()),
        clusters=upstream(),
        h2_script=[
            [
                IgnorePings(),
                AwaitBody(),
                *(step for _ in range(8) for step in (Pause(0.1), Raw(PING, 0, b"12345678", on_connection=True))),
                *reply()[1:],
            ]
        ],
        expect={"h2[1].header.:status": ("200",)},
    ),
    Case(
        "h2_ping_ahead_of_a_stream",
        h2=(Request(), Over(), Quiet(0.4), Request(stream=3), Over((3,))),
        clusters=upstream(interval=None, connection_idle_interval="0.2s"),
        h2_script=[[IgnorePings(), *reply()], SLOW[0]],
        expect={"h2[3].header.:status": ("503",)},
    ),
)
