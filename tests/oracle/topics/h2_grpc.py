"""gRPC: statuses in trailers and in trailers-only answers, replies of the proxy's own, retries, deadlines."""

from __future__ import annotations

from typing import Any

from tests.harness.h2_upstream import (
    EMPTY_MESSAGE,
    GRPC_HEAD,
    AwaitBody,
    Body,
    Close,
    Head,
    Pause,
    Plan,
    ResetStream,
    Trailers,
    grpc_reply,
    reply,
    trailers_only,
)
from tests.oracle.case import Case, Up, h2_cluster
from tests.oracle.h2_case import Block, Data, Over, Quiet, Request, grpc

UP = {"": h2_cluster()}
LOG = {"grpc": "%GRPC_STATUS%", "grpc_number": "%GRPC_STATUS_NUMBER%", "trailer": "%TRAILER(grpc-status)%"}
CALL = (grpc(), Over())
QUICK = {"base_interval": "0.01s", "max_interval": "0.02s"}


def retries(on: str, **policy: Any) -> dict[str, Any]:
    return {"retry_policy": {"retry_on": on, "num_retries": 2, "retry_back_off": QUICK, **policy}}


STATUSES = {f"status_{code}": grpc_reply(code, text=f"status {code}") for code in (0, 1, 2, 4, 5, 8, 13, 14, 16)}
ANSWERS: dict[str, Plan] = {
    **STATUSES,
    "trailers_only_14": trailers_only(14, "down"),
    "trailers_only_0": trailers_only(0),
    "odd_status": [AwaitBody(), GRPC_HEAD, Body(EMPTY_MESSAGE), Trailers((("grpc-status", "x"),))],
    "no_status": [AwaitBody(), GRPC_HEAD, Body(EMPTY_MESSAGE, end=True)],
    "http_503": reply(503, b"down"),
    "http_404": reply(404, b""),
    "plain_answer": reply(200, b"no gRPC"),
    "two_messages": [AwaitBody(), GRPC_HEAD, Body(EMPTY_MESSAGE * 2), Trailers((("grpc-status", "0"),))],
    "early_answer": [GRPC_HEAD, Body(EMPTY_MESSAGE), Trailers((("grpc-status", "0"),))],
    "message_in_percent": [AwaitBody(), GRPC_HEAD, Trailers((("grpc-status", "5"), ("grpc-message", "a%20b")))],
}
RESETS: dict[str, Plan] = {
    "refused": [AwaitBody(), ResetStream(7)],
    "cancelled": [AwaitBody(), ResetStream(8)],
    "internal": [AwaitBody(), ResetStream(2)],
    "no_error": [AwaitBody(), ResetStream(0)],
    "calm_down": [AwaitBody(), ResetStream(11)],
    "closed": [AwaitBody(), Close()],
    "after_the_head": [AwaitBody(), GRPC_HEAD, Pause(0.1), ResetStream(2)],
    "closed_after_the_head": [AwaitBody(), GRPC_HEAD, Pause(0.1), Close()],
}
RETRIED = {1: "cancelled", 4: "deadline-exceeded", 8: "resource-exhausted", 13: "internal", 14: "unavailable"}

CASES = (
    *(Case(f"grpc_{name}", h2=CALL, clusters=UP, h2_script=[plan], log=LOG) for name, plan in ANSWERS.items()),
    *(Case(f"grpc_reset_{name}", h2=CALL, clusters=UP, h2_script=[plan], log=LOG) for name, plan in RESETS.items()),
    *(
        Case(f"h2_reset_{name}", h2=(Request(), Over()), clusters=UP, h2_script=[plan])
        for name, plan in RESETS.items()
        if not name.endswith("head")
    ),
    *(
        Case(
            f"grpc_retry_on_{condition.replace('-', '_')}",
            h2=CALL,
            clusters=UP,
            h2_script=[trailers_only(code), grpc_reply()],
            action=retries(condition),
            log=LOG,
        )
        for code, condition in RETRIED.items()
    ),
    Case(
        "grpc_retries_used_up",
        h2=CALL,
        clusters=UP,
        h2_script=[trailers_only(14, "down")],
        action=retries("unavailable"),
        log=LOG,
    ),
    Case(
        "grpc_no_retry_of_what_has_begun",
        h2=CALL,
        clusters=UP,
        h2_script=[grpc_reply(14), grpc_reply()],
        action=retries("unavailable"),
        log=LOG,
    ),
    Case(
        "grpc_no_retry_of_another_status",
        h2=CALL,
        clusters=UP,
        h2_script=[trailers_only(5), grpc_reply()],
        action=retries("unavailable,cancelled"),
        log=LOG,
    ),
    Case(
        "grpc_retry_by_header",
        h2=(grpc(fields=(("x-envoy-retry-grpc-on", "unavailable"), ("x-envoy-max-retries", "1"))), Over()),
        clusters=UP,
        h2_script=[trailers_only(14), grpc_reply()],
        hcm={"internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}},
        log=LOG,
    ),
    *(
        Case(
            f"h2_refused_stream_retried_on_{condition.replace('-', '_')}",
            h2=(Request(), Over()),
            clusters=UP,
            h2_script=[[ResetStream(7)], reply()],
            action=retries(condition),
        )
        for condition in ("refused-stream", "reset", "5xx", "gateway-error", "connect-failure", "retriable-4xx")
    ),
    # ── replies of the proxy's own ──
    Case("h2_grpc_no_route", h2=CALL, routes=[], log=LOG),
    Case("grpc_no_host", h2=CALL, clusters={"": Up(())}, log=LOG),
    Case("grpc_unknown_cluster", h2=CALL, action={"cluster": "nowhere"}, log=LOG),
    Case("grpc_refused", h2=CALL, clusters={"": Up(("refused",), fields=UP[""].fields)}, log=LOG),
    Case(
        "grpc_direct_response",
        h2=CALL,
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 429, "body": {"inline_string": "slow down"}}}],
        log=LOG,
    ),
    Case(
        "h2_grpc_time_out",
        h2=CALL,
        clusters=UP,
        h2_script=[[AwaitBody(), Pause(2.0), Head()]],
        action={"timeout": "0.3s"},
        log=LOG,
    ),
    Case(
        "grpc_per_try_time_out",
        h2=CALL,
        clusters=UP,
        h2_script=[[AwaitBody(), Pause(2.0), Head()]],
        action=retries("unavailable", per_try_timeout="0.2s"),
        log=LOG,
    ),
    # ── deadlines ──
    *(
        Case(
            f"grpc_deadline_{name}",
            h2=(grpc(fields=(("grpc-timeout", asked),) if asked else ()), Over()),
            clusters=UP,
            h2_script=[[AwaitBody(), Pause(0.8), *grpc_reply()[1:]]],
            action={"timeout": "5s", "max_grpc_timeout": most},
            log=LOG,
        )
        for name, asked, most in (
            ("short", "200m", "10s"),
            ("above_the_most", "20S", "0.3s"),
            ("without_a_most", "300m", "0s"),
            ("none", "", "0.3s"),
            ("odd", "soon", "3s"),
            ("long", "5S", "6s"),
        )
    ),
    # ── faults ──
    *(
        Case(
            f"grpc_fault_{name}",
            h2=CALL if name != "of_a_plain_request" else (Request(), Over()),
            clusters=UP,
            filters=[
                {
                    "name": "envoy.filters.http.fault",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                        "abort": {"percentage": {"numerator": 100}, **abort},
                    },
                }
            ],
            log=LOG,
        )
        for name, abort in (
            ("with_grpc_status", {"grpc_status": 8}),
            ("with_http_status", {"http_status": 503}),
            ("of_a_plain_request", {"grpc_status": 14}),
        )
    ),
    # ── streams ──
    Case(
        "grpc_client_stream",
        h2=(
            grpc(body=None, end=False),
            Quiet(0.1),
            Data(EMPTY_MESSAGE),
            Quiet(0.1),
            Data(EMPTY_MESSAGE, end=True),
            Over(),
        ),
        clusters=UP,
        log=LOG,
    ),
    Case(
        "grpc_request_trailers",
        h2=(grpc(end=False), Block((("x-last", "1"),)), Over()),
        clusters=UP,
        log=LOG,
    ),
    Case(
        "grpc_web_type_is_no_grpc",
        h2=(Request("/a", (("content-type", "application/grpc-web"),), method="POST", body=b"x"), Over()),
        routes=[],
        log=LOG,
    ),
    Case(
        "grpc_json_type",
        h2=(Request("/a", (("content-type", "application/grpc+json"),), method="POST", body=b"x"), Over()),
        routes=[],
        log=LOG,
    ),
)
