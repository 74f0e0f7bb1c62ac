"""Upgrades and CONNECT tunnels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.harness.upstream import Close, Echo, Hang, Pause, Plan, Reset, Send, Step, reply
from tests.oracle.case import Abort, Action, Case, HalfClose, Read, ReadUntil, Write, request

WEBSOCKET = {"upgrade_configs": [{"upgrade_type": "websocket"}]}
CONNECT = {"upgrade_configs": [{"upgrade_type": "CONNECT"}]}
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n"
)
ACCEPT: Sequence[Step] = [Send(SWITCH), Send(b"hi "), Echo()]
ASKS = request(
    "/x", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"
)


def websocket(name: str, sent: bytes, script: Sequence[Plan], actions: Sequence[Action] = (), **more: Any) -> Case:
    return Case(name, sent, actions=actions, script=script, hcm=more.pop("hcm", WEBSOCKET), **more)


CONNECT_ROUTE = [
    {
        "name": "tunnel",
        "match": {"connect_matcher": {}},
        "route": {"cluster": "%CLUSTER%", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
    }
]

# What is to be told and changed in responses, a tunnel's beginning as well.
TOLD = {
    "include_attempt_count_in_response": True,
    "response_headers_to_add": [{"header": {"key": "x-code", "value": "%RESPONSE_CODE%"}}],
    "response_headers_to_remove": ["sec-websocket-accept"],
}
RAW = b"GET /raw HTTP/1.1\r\nHost: a\r\n\r\n"


def tunnel(
    name: str, script: Sequence[Step], actions: Sequence[Action], end: str, vhost: Mapping[str, Any] | None = None
) -> Case:
    """A CONNECT tunnel in which the server sees one request and does what the script says."""
    asks = request("%HOST%:80", method="CONNECT", host="%HOST%:80")
    case = Case(
        name,
        actions=[Write(asks), Read("CONNECT"), Write(RAW), *actions],
        script=[script],
        hcm=CONNECT,
        routes=CONNECT_ROUTE,
        end=end,
        faults=(33,) if vhost else (30,),
    )
    return replace(case, vhost={"domains": [f"{case.host}:80"], **(vhost or {})})


CASES = (
    Case(
        "upgrade_not_enabled",
        ASKS,
        expect={"client[0].status": 403, "log[0].details": "upgrade_failed", "log[0].flags": "-"},
    ),
    websocket(
        "websocket_tunnel",
        ASKS,
        [ACCEPT],
        [Write(ASKS), Read(), ReadUntil(b"hi "), Write(b"ping!"), ReadUntil(b"!")],
        end="skip",
        expect={
            "client[0].status": 101,
            "client.tunnel": b"hi ping!",
            "log[0].bytes_received": 5,
            "log[0].bytes_sent": 8,
        },
    ),
    websocket("websocket_early_data", ASKS, [ACCEPT], [Write(ASKS + b"early!"), Read(), ReadUntil(b"!")], end="skip"),
    websocket("websocket_refused_200", ASKS, [reply()], expect={"client[0].status": 200}),
    websocket("websocket_refused_403", ASKS, [reply(403, b"no")], expect={"client[0].status": 403}),
    websocket(
        "websocket_upstream_closes",
        ASKS,
        [[Send(SWITCH), Send(b"bye"), Close()]],
        [Write(ASKS), Read(), ReadUntil(b"never")],
        expect={"client.tunnel": b"bye"},
    ),
    websocket(
        "upgrade_of_another_type",
        request("/x", "Connection: Upgrade", "Upgrade: foo"),
        [reply()],
        expect={"client[0].status": 403},
    ),
    websocket("plain_request_where_upgrades_are_on", request("/x"), [reply()], expect={"client[0].status": 200}),
    websocket(
        "websocket_disabled_on_the_route",
        ASKS,
        [ACCEPT],
        action={"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]},
        expect={"client[0].status": 403},
    ),
    websocket(
        "websocket_enabled_on_the_route_only",
        ASKS,
        [ACCEPT],
        [Write(ASKS), Read(), ReadUntil(b"hi ")],
        hcm={"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]},
        action={"upgrade_configs": [{"upgrade_type": "websocket"}]},
        end="skip",
        expect={"client[0].status": 101},
    ),
    websocket(
        "websocket_no_upstream", ASKS, [reply()], action={"cluster": "nowhere"}, expect={"client[0].status": 503}
    ),
    Case(
        "connect_tunnel",
        actions=[
            Write(request("tunnel.test:80", method="CONNECT", host="tunnel.test:80")),
            Read("CONNECT"),
            Write(b"GET /raw HTTP/1.1\r\nHost: a\r\n\r\n"),
            ReadUntil(b"/raw"),
        ],
        hcm=CONNECT,
        routes=CONNECT_ROUTE,
        vhost={"domains": ["tunnel.test:80"]},
        end="skip",
        expect={"client[0].status": 200, "upstream[0].line": "GET /raw HTTP/1.1"},
    ),
    *(
        tunnel(f"connect_{name}", script, actions, end)
        for name, script, actions, end in (
            ("server_ends", [Send(b"hello"), Close()], [ReadUntil(b"never")], "auto"),
            ("server_ends_later", [Send(b"hello"), Pause(0.1), Close()], [ReadUntil(b"never")], "auto"),
            ("server_resets", [Send(b"hello"), Pause(0.1), Reset()], [ReadUntil(b"never")], "auto"),
            ("client_ends", [Send(b"hello"), Hang()], [ReadUntil(b"hello"), HalfClose()], "skip"),
            ("client_resets", [Send(b"hello"), Hang()], [ReadUntil(b"hello"), Abort()], "skip"),
        )
    ),
    *(
        websocket(
            f"websocket_{name}",
            ASKS,
            [[Send(SWITCH), *script]],
            [Write(ASKS), Read(), ReadUntil(b"never")],
            faults=(30,),
        )
        for name, script in (
            ("server_ends", [Send(b"bye"), Pause(0.1), Close()]),
            ("server_ends_at_once", [Pause(0.1), Close()]),
            ("server_resets", [Send(b"bye"), Pause(0.1), Reset()]),
        )
    ),
    *(
        replace(case, name=f"{case.name}_with_headers", vhost={**case.vhost, **TOLD}, faults=(33,))
        for case in (
            websocket("upgrade", ASKS, [ACCEPT], [Write(ASKS), Read()], end="skip"),
            websocket("upgrade_refused", ASKS, [reply(403, b"no")]),
            websocket("upgrade_answered_200", ASKS, [reply()]),
        )
    ),
    tunnel("connect_with_headers", [Send(b"hello"), Hang()], [ReadUntil(b"hello")], "skip", TOLD),
    Case(
        "connect_without_route",
        request("nobody.test:80", method="CONNECT", host="nobody.test:80"),
        hcm=CONNECT,
        expect={"client[0].status": 404, "log[0].flags": "NR"},
    ),
)
