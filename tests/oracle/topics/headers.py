"""Header operations, in their order and with their actions, and what happens to headers that belong to one hop."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import raw, reply
from tests.oracle.case import Case, request


def add(name: str, value: str, action: str | None = None, **more: Any) -> dict[str, Any]:
    option: dict[str, Any] = {"header": {"key": name, "value": value}, **more}
    if action is not None:
        option["append_action"] = action
    return option


_OPERATION = "x-envoy-decorator-operation"


def decorated(name: str, *headers: str, propagate: bool = True) -> Case:
    """A route with a decorator, on a listener that traces; without a direction, that is for ingress."""
    decorator = {"operation": "ours", "propagate": propagate}
    return Case(name, request("/x", *headers), hcm={"tracing": {}}, route={"decorator": decorator}, ignore=_TRACE)


# A tracer that is not configured writes no context; ours, which is built in, does.
_TRACE = ("upstream[0].header.traceparent", "upstream[0].header.x-request-id")

# W3C's baggage belongs to the apps: several lines of it, properties and what is no entry go on as they came.
_BAGGAGE = ("userId=alice,serverNode=DF%2028", "isProduction=false;a=b;c", "=no entry,,")

CASES = (
    *(
        Case(
            f"baggage_{name}",
            request(
                "/x",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "tracestate: rojo=00f067aa0ba902b7",
                *(f"baggage: {line}" for line in _BAGGAGE),
            ),
            hcm=hcm,
            ignore=_TRACE,
            expect={
                "upstream[0].header.baggage": _BAGGAGE,
                "upstream[0].header.tracestate": ("rojo=00f067aa0ba902b7",),
            },
        )
        for name, hcm in (("without_tracing", {}), ("with_tracing", {"tracing": {}}))
    ),
    decorated("decorator"),
    decorated("decorator_that_is_kept", propagate=False),
    decorated("decorator_of_the_client", f"{_OPERATION}: theirs"),
    decorated("decorator_of_the_client_empty", f"{_OPERATION}:"),
    Case(
        "names_are_lowered_and_order_kept",
        request("/", "X-B: 1", "X-A: 2", "x-b: 3", "User-Agent: t"),
        expect={"upstream[0].header.x-b": ("1", "3"), "upstream[0].header.x-a": ("2",)},
    ),
    Case(
        "response_names_are_lowered",
        request("/"),
        script=[
            reply(
                200,
                b"ok",
                [
                    ("X-Up", "1"),
                    ("Set-Cookie", "a=1"),
                    ("set-cookie", "b=2"),
                    ("Server", "mine"),
                    ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
                ],
            )
        ],
        expect={"client[0].header.set-cookie": ("a=1", "b=2"), "client[0].header.server": ("envoy",)},
    ),
    Case(
        "request_actions",
        request("/", "X-Append: a", "X-Over: a", "X-Absent: a", "X-If: a"),
        route={
            "request_headers_to_add": [
                add("x-append", "b"),
                add("x-append-new", "b"),
                add("x-over", "b", "OVERWRITE_IF_EXISTS_OR_ADD"),
                add("x-over-new", "b", "OVERWRITE_IF_EXISTS_OR_ADD"),
                add("x-absent", "b", "ADD_IF_ABSENT"),
                add("x-absent-new", "b", "ADD_IF_ABSENT"),
                add("x-if", "b", "OVERWRITE_IF_EXISTS"),
                add("x-if-new", "b", "OVERWRITE_IF_EXISTS"),
            ]
        },
        expect={
            "upstream[0].header.x-append": ("a", "b"),
            "upstream[0].header.x-over": ("b",),
            "upstream[0].header.x-absent": ("a",),
            "upstream[0].header.x-if": ("b",),
        },
    ),
    Case(
        "response_actions",
        request("/"),
        script=[
            reply(200, b"ok", [("X-Append", "a"), ("X-Over", "a"), ("X-Absent", "a"), ("X-If", "a"), ("X-Gone", "a")])
        ],
        route={
            "response_headers_to_add": [
                add("x-append", "b"),
                add("x-over", "b", "OVERWRITE_IF_EXISTS_OR_ADD"),
                add("x-absent", "b", "ADD_IF_ABSENT"),
                add("x-if", "b", "OVERWRITE_IF_EXISTS"),
                add("x-if-new", "b", "OVERWRITE_IF_EXISTS"),
            ],
            "response_headers_to_remove": ["x-gone"],
        },
        expect={"client[0].header.x-append": ("a", "b"), "client[0].header.x-over": ("b",)},
    ),
    Case(
        "levels_route_before_host",
        request("/"),
        route={"request_headers_to_add": [add("x-l", "route")], "response_headers_to_add": [add("x-l", "route")]},
        vhost={"request_headers_to_add": [add("x-l", "vhost")], "response_headers_to_add": [add("x-l", "vhost")]},
        expect={"upstream[0].header.x-l": ("route", "vhost"), "client[0].header.x-l": ("route", "vhost")},
    ),
    Case(
        "remove_then_add",
        request("/", "X-A: client"),
        route={"request_headers_to_add": [add("x-a", "mine")], "request_headers_to_remove": ["x-a"]},
    ),
    Case(
        "remove_repeated",
        request("/", "X-A: 1", "X-A: 2", "X-B: 3"),
        route={"request_headers_to_remove": ["x-a"]},
        expect={"upstream[0].header.x-b": ("3",)},
    ),
    Case(
        "empty_values_are_dropped",
        request("/"),
        route={"request_headers_to_add": [add("x-empty", ""), add("x-kept", "", keep_empty_value=True)]},
        expect={"upstream[0].header.x-kept": ("",)},
    ),
    Case(
        "format_strings",
        request("/p?q=1", "X-In: v"),
        route={
            "request_headers_to_add": [
                add("x-req", "%REQ(X-IN)%"),
                add("x-req-missing", "%REQ(X-NONE)%"),
                add("x-req-alt", "%REQ(X-NONE?X-IN)%"),
                add("x-req-cut", "%REQ(:PATH):3%"),
                add("x-mixed", "a-%REQ(:METHOD)%-%PROTOCOL%-100%%"),
                add("x-remote", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
                add("x-route", "%ROUTE_NAME%"),
                add("x-cluster", "%UPSTREAM_CLUSTER%"),
            ],
            "response_headers_to_add": [
                add("x-code", "%RESPONSE_CODE%"),
                add("x-flags", "%RESPONSE_FLAGS%"),
                add("x-up", "%UPSTREAM_CLUSTER%"),
                add("x-resp", "%RESP(content-length)%"),
                add("x-attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
            ],
        },
        expect={"upstream[0].header.x-mixed": ("a-GET-HTTP/1.1-100%",), "client[0].header.x-code": ("200",)},
    ),
    Case(
        "hop_headers_of_the_request",
        request(
            "/",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: timeout=5",
            "TE: gzip",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: abc",
            "Trailer: foo",
        ),
        expect={"upstream[0].header.proxy-authorization": ("abc",)},
    ),
    Case("te_trailers_is_kept", request("/", "TE: trailers, deflate"), expect={"upstream[0].header.te": ("trailers",)}),
    Case("connection_names_te", request("/", "Connection: te, foo", "TE: trailers", "Foo: 1")),
    Case(
        "hop_headers_of_the_response",
        request("/"),
        script=[
            raw(
                b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n"
                b"TE: x\r\nUpgrade: h2c\r\nTrailer: z\r\nContent-Length: 2\r\n\r\nok"
            )
        ],
        expect={"client[0].header.trailer": ("z",)},
    ),
    Case("upgrade_without_connection", request("/", "Upgrade: websocket"), expect={"client[0].status": 200}),
    Case(
        "h2c_upgrade_is_ignored",
        request("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM"),
        expect={"client[0].status": 200},
    ),
    Case(
        "server_pass_through",
        request("/"),
        script=[reply(200, b"ok", [("Server", "mine")])],
        hcm={"server_header_transformation": "PASS_THROUGH"},
        expect={"client[0].header.server": ("mine",)},
    ),
    Case("server_pass_through_none", request("/"), hcm={"server_header_transformation": "PASS_THROUGH"}),
    Case(
        "server_append_if_absent",
        request("/"),
        script=[reply(200, b"ok", [("Server", "mine")])],
        hcm={"server_header_transformation": "APPEND_IF_ABSENT"},
        expect={"client[0].header.server": ("mine",)},
    ),
    Case(
        "server_name",
        request("/"),
        hcm={"server_name": "istio-envoy"},
        expect={"client[0].header.server": ("istio-envoy",)},
    ),
    Case(
        "server_name_local_reply",
        request("/", host="nobody.test"),
        hcm={"server_name": "istio-envoy"},
        expect={"client[0].header.server": ("istio-envoy",)},
    ),
    Case("underscores_are_allowed", request("/", "x_y: 1"), expect={"upstream[0].header.x_y": ("1",)}),
    Case("values_are_trimmed", request("/", "X-A:  \t b c \t "), expect={"upstream[0].header.x-a": ("b c",)}),
    Case("values_of_8_bit_pass", request("/", "X-A: \xe9\xff"), expect={"upstream[0].header.x-a": ("\xe9\xff",)}),
)
