"""Upgrades and CONNECT tunnels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.harness.upstream import Close, Echo, Plan, Send, Step, reply
from tests.oracle.case import Action, Case, Read, ReadUntil, Write, request

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
    Case(
        "connect_without_route",
        request("nobody.test:80", method="CONNECT", host="nobody.test:80"),
        hcm=CONNECT,
        expect={"client[0].status": 404, "log[0].flags": "NR"},
    ),
)
