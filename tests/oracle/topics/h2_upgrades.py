"""WebSockets over HTTP/2: extended CONNECT (RFC 8441), from clients, to hosts, and both."""

from __future__ import annotations

from typing import Any

from tests.harness.h2_upstream import Body, EchoBody, Head, Pause, ResetStream, Trailers
from tests.harness.upstream import reply as h1_reply
from tests.oracle.case import Case, Read, ReadUntil, Up, Write, h2_cluster
from tests.oracle.h2_case import HOST, Block, Data, H2Action, Over, Pairs, Quiet
from tests.oracle.topics.upgrades import ACCEPT, ASKS

ASKED: Pairs = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", HOST),
    (":path", "/chat"),
    ("sec-websocket-version", "13"),
)
HCM = {"upgrade_configs": [{"upgrade_type": "websocket"}], "http2_protocol_options": {"allow_connect": True}}
H1, H2 = {"": Up()}, {"": h2_cluster(allow_connect=True)}
TALK: tuple[H2Action, ...] = (
    Block(ASKED, end=False),
    Quiet(0.2),
    Data(b"hello "),
    Quiet(0.2),
    Data(b"you"),
    Quiet(0.2),
)
ECHO = [Head(200), Body(b"hi "), EchoBody()]


def to_http1(name: str, *steps: H2Action, script: Any = (ACCEPT,), **more: Any) -> Case:
    return Case(f"h2_ws_{name}", h2=steps, clusters=H1, script=list(script), hcm=more.pop("hcm", HCM), **more)


def to_http2(name: str, *steps: H2Action, script: Any = (ECHO,), **more: Any) -> Case:
    return Case(
        f"h2_ws_{name}",
        h2=steps,
        clusters=more.pop("clusters", H2),
        h2_script=list(script),
        hcm=more.pop("hcm", HCM),
        **more,
    )


CASES = (
    to_http1(
        "to_http1", *TALK, expect={"h2[1].header.:status": ("200",), "h2[1].body": b"hi hello you"}, end="skip", logs=0
    ),
    to_http1(
        "to_http1_that_refuses",
        *TALK[:2],
        Over(),
        script=[h1_reply(403, b"no")],
        expect={"h2[1].header.:status": ("403",)},
    ),
    to_http1("not_configured", *TALK[:2], Over(), hcm={"http2_protocol_options": {"allow_connect": True}}),
    to_http1("not_allowed", *TALK[:2], Over(), hcm={"upgrade_configs": HCM["upgrade_configs"]}, ignore=["h2.goaway"]),
    to_http2("to_http2", *TALK, Data(b"", end=True), Over(), expect={"h2[1].body": b"hi hello you"}),
    to_http2("to_http2_that_refuses", *TALK[:2], Over(), script=[[Head(403, end=True)]], ignore=["h2up[0].reset"]),
    to_http2("to_http2_that_resets", *TALK[:3], Over(), script=[[Head(200), Pause(0.3), ResetStream(2)]]),
    to_http2(
        "to_http2_with_trailers_of_the_client",
        *TALK[:4],
        Block((("x-sum", "1"),)),
        Over(),
        script=[[Head(200), EchoBody()]],
        expect={"h2up[0].trailers": (("x-sum", "1"),)},
        ignore=["h2up[0].reset"],
    ),
    to_http2(
        "to_http2_with_trailers",
        *TALK[:4],
        Over(),
        script=[[Head(200), Body(b"bye"), Trailers((("x-sum", "1"),))]],
        expect={"h2[1].trailers": (("x-sum", "1"),)},
        ignore=["h2up[0].reset"],
    ),
    to_http2(
        "to_http2_that_ends", *TALK[:3], Over(), script=[[Head(200), Body(b"bye", end=True)]], ignore=["h2up[0].reset"]
    ),
    *(
        Case(
            f"h1_ws_to_http2{name}",
            actions=actions,
            clusters=H2,
            h2_script=[plan],
            hcm={"upgrade_configs": HCM["upgrade_configs"]},
            end="skip",
            **more,
        )
        for name, actions, plan, more in (
            (
                "",
                [Write(ASKS), Read(), Write(b"hello you"), ReadUntil(b"you")],
                ECHO,
                {"expect": {"client[0].status": 101}, "logs": 0},
            ),
            (
                "_that_refuses",
                [Write(ASKS), Read()],
                [Head(403, end=True)],
                {"ignore": ["h2up[0].ended", "h2up[0].reset"]},
            ),
        )
    ),
)
