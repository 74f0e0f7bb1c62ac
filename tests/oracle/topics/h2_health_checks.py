"""Active health checks over HTTP/2: grpc.health.v1, and requests like those over HTTP/1.1.

What the upstreams receive is compared in one case only: it is for the most part the checks of all these clusters.
"""

from __future__ import annotations

from typing import Any

from tests.harness.h2_upstream import CHECKS
from tests.oracle.case import Case, Up, h2_cluster
from tests.oracle.h2_case import Over, Received, Request
from tests.oracle.topics.health_checks import NO_PANIC, OFTEN, ONCE, hexadecimal, http

HEALTHY = ("serving", "trailing", "early", "goaway")
METADATA = [
    {"header": {"key": "X-Check", "value": "1"}},
    {"header": {"key": "user-agent", "value": "me"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
]


def checked(name: str, healthy: bool, check: dict[str, Any], **fields: Any) -> Case:
    """One request to a cluster whose health check is `check` over ONCE."""
    made = {**h2_cluster().fields, "common_lb_config": NO_PANIC, "health_checks": [{**ONCE, **check}], **fields}
    return Case(
        name,
        h2=(Request(), Over()),
        clusters={"": Up(("h2up",), fields=made)},
        expect={"h2[1].header.:status": ("200",)} if healthy else {"log[0].flags": "UH"},
        ignore=["h2up", "upstream"],
    )


def grpc(authority: str, **fields: Any) -> dict[str, Any]:
    return {"grpc_health_check": {"authority": f"{authority}.check", **fields}}


def over_http2(authority: str, **fields: Any) -> dict[str, Any]:
    return http("/x", codec_client_type="HTTP2", host=f"{authority}.check", **fields)


NAMES = tuple(authority.removesuffix(".check") for authority in CHECKS)

CASES = (
    *(checked(f"check_grpc_{name.replace('-', '_')}", name in HEALTHY, grpc(name)) for name in NAMES),
    checked("check_grpc_without_reuse", True, {**grpc("serving"), "reuse_connection": False}),
    Case(
        "check_grpc_request",
        h2=(Received(2), Request(), Over()),
        clusters={
            "": Up(
                ("h2up",),
                fields={
                    **h2_cluster().fields,
                    "health_checks": [
                        {**ONCE, **OFTEN, **grpc("serving", service_name="pkg.Service", initial_metadata=METADATA)}
                    ],
                },
            )
        },
        expect={
            "h2up[0].header.:path": ("/grpc.health.v1.Health/Check",),
            "h2up[0].header.user-agent": ("me",),
            "h2up[0].body": b"\0\0\0\0\r\n\x0bpkg.Service",
        },
        ignore=[
            "upstream",
            "h2up.count",
            "h2up[0].connection",
            *(f"h2up[{number}]" for number in range(1, 100)),
        ],
    ),
    checked("check_http_over_http2", True, over_http2("plain")),
    checked("check_http_over_http2_body", True, over_http2("plain", receive=[hexadecimal("ok")])),
    checked("check_http_over_http2_other_body", False, over_http2("plain", receive=[hexadecimal("ko")])),
    checked("check_http_over_http2_post", True, over_http2("plain", method="POST", send=hexadecimal("hi"))),
    checked("check_http_over_http2_unexpected", False, over_http2("http-503")),
    checked("check_http_over_http2_reset", False, over_http2("reset")),
    checked("check_http_over_http2_closed", False, over_http2("closed")),
    checked("check_http_over_http2_time_out", False, over_http2("slow")),
    checked("check_http_over_http2_goaway", True, over_http2("goaway")),
)
