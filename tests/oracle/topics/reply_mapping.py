"""local_reply_config: statuses, bodies, formats and headers of the proxy's own replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.upstream import Hang, ReadBody, reply
from tests.oracle.case import Case, Up, request


def status(operator: str, value: int) -> dict[str, Any]:
    return {
        "status_code_filter": {"comparison": {"op": operator, "value": {"default_value": value, "runtime_key": "none"}}}
    }


def mapped(name: str, sent: bytes, mappers: Sequence[Mapping[str, Any]] = (), **more: Any) -> Case:
    config = {"mappers": list(mappers), **more.pop("config", {})}
    return Case(name, sent, hcm={"local_reply_config": config, **more.pop("hcm", {})}, **more)


GRPC = "Content-Type: application/grpc"
NOBODY = request("/x?q=1", host="nobody.test")
UNROUTED = {"filter": {"response_flag_filter": {"flags": ["NR"]}}}
TEXT = {
    "body_format": {"text_format": "<%LOCAL_REPLY_BODY%> %RESPONSE_CODE% %RESPONSE_FLAGS% %REQ(:path)% %REQ(x-none)%\n"}
}
JSON = {
    "body_format": {
        "json_format": {
            "code": "%RESPONSE_CODE%",
            "text": "%LOCAL_REPLY_BODY%",
            "details": "%RESPONSE_CODE_DETAILS%",
            "missing": "%REQ(x-none)%",
        }
    }
}
REFUSED = {"": Up(endpoints=["refused"])}
DIRECT = {"match": {"prefix": "/"}, "direct_response": {"status": 418, "body": {"inline_string": "teapot"}}}
REDIRECT = {"match": {"prefix": "/"}, "redirect": {"path_redirect": "/new"}}

CASES = (
    mapped(
        "reply_mapped_status",
        NOBODY,
        [{**UNROUTED, "status_code": 410}],
        expect={"client[0].status": 410, "log[0].code": 410, "log[0].details": "route_not_found"},
    ),
    mapped(
        "reply_mapped_body",
        NOBODY,
        [{**UNROUTED, "body": {"inline_string": "nothing here"}}],
        expect={"client[0].body": b"nothing here", "client[0].header.content-type": ("text/plain",)},
    ),
    mapped("reply_not_wanted", request("/x"), [{**UNROUTED, "status_code": 410}], clusters=REFUSED),
    mapped(
        "reply_first_mapping_wins",
        NOBODY,
        [
            {"filter": status("EQ", 503), "status_code": 500},
            {"filter": status("EQ", 404), "status_code": 410},
            {"filter": status("EQ", 410), "status_code": 411},
        ],
        expect={"client[0].status": 410},
    ),
    mapped("reply_format_text", request("/x"), clusters=REFUSED, config=TEXT),
    mapped(
        "reply_format_json",
        request("/x"),
        clusters=REFUSED,
        config=JSON,
        expect={"client[0].header.content-type": ("application/json",)},
    ),
    mapped("reply_format_of_empty", NOBODY, config=JSON),
    mapped(
        "reply_format_to_nothing",
        request("/x"),
        clusters=REFUSED,
        config={"body_format": {"text_format": "%REQ(x):0%"}},
    ),
    mapped(
        "reply_format_with_type",
        NOBODY,
        config={
            "body_format": {
                "text_format_source": {"inline_string": "<b>%RESPONSE_CODE%</b>"},
                "content_type": "text/html; charset=UTF-8",
            }
        },
    ),
    mapped(
        "reply_format_override",
        NOBODY,
        [
            {
                **UNROUTED,
                "status_code": 400,
                "body": {"inline_string": "b"},
                "body_format_override": {
                    "text_format": "own %LOCAL_REPLY_BODY% %RESPONSE_CODE%",
                    "content_type": "a/b",
                },
            }
        ],
        config=JSON,
        expect={"client[0].body": b"own b 400"},
    ),
    mapped(
        "reply_format_not_overridden", request("/x"), [{**UNROUTED, "status_code": 400}], clusters=REFUSED, config=JSON
    ),
    mapped(
        "reply_format_without_missing",
        NOBODY,
        config={"body_format": {**JSON["body_format"], "omit_empty_values": True}},
    ),
    mapped(
        "reply_headers_added",
        NOBODY,
        [
            {
                **UNROUTED,
                "headers_to_add": [
                    {"header": {"key": "x-flag", "value": "%RESPONSE_FLAGS%"}},
                    {"header": {"key": "x-two", "value": "a"}},
                    {"header": {"key": "x-two", "value": "b"}},
                ],
            }
        ],
        expect={"client[0].header.x-flag": ("NR",)},
    ),
    mapped(
        "reply_headers_replace_type",
        NOBODY,
        [
            {
                **UNROUTED,
                "body": {"inline_string": "{}"},
                "headers_to_add": [
                    {
                        "header": {"key": "content-type", "value": "application/problem"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                ],
            }
        ],
        config=TEXT,
    ),
    mapped(
        "reply_mapped_grpc", request("/x", GRPC, host="nobody.test"), [{**UNROUTED, "status_code": 503}], config=TEXT
    ),
    mapped("reply_format_grpc", request("/x", GRPC), clusters=REFUSED, config=JSON),
    mapped(
        "reply_mapped_direct_response",
        request("/x"),
        [{"filter": status("EQ", 418), "status_code": 200}],
        routes=[DIRECT],
        config=TEXT,
    ),
    mapped("reply_format_redirect", request("/x"), routes=[REDIRECT], config=TEXT),
    mapped(
        "reply_mapped_redirect", request("/x"), [{"filter": status("EQ", 301), "status_code": 302}], routes=[REDIRECT]
    ),
    mapped(
        "reply_format_bad_head", b"garbage\r\n\r\n", [{"filter": status("EQ", 400), "status_code": 444}], config=TEXT
    ),
    mapped("reply_format_low_version", b"GET / HTTP/1.0\r\n\r\n", config=TEXT),
    mapped("reply_format_head", request("/x", method="HEAD"), methods=["HEAD"], clusters=REFUSED, config=TEXT),
    mapped(
        "reply_from_upstream_is_left",
        request("/x"),
        [{"filter": status("GE", 0), "status_code": 400}],
        script=[reply(503)],
    ),
    mapped(
        "reply_mapped_by_request_header",
        request("/x", "X-In: 1", host="nobody.test"),
        [{"filter": {"header_filter": {"header": {"name": "x-in", "present_match": True}}}, "status_code": 410}],
        expect={"client[0].status": 410},
    ),
    mapped(
        "reply_mapped_time_out",
        request("/x"),
        [{"filter": {"response_flag_filter": {"flags": ["UT"]}}, "status_code": 408}],
        script=[[ReadBody(), Hang()]],
        action={"timeout": "0.1s"},
        stats=("cluster.%CLUSTER%.upstream_rq_504", "cluster.%CLUSTER%.upstream_rq_408"),
        expect={"client[0].status": 408, "log[0].code": 408},
    ),
    mapped(
        "reply_after_the_routes_headers",
        request("/x"),
        clusters=REFUSED,
        route={"response_headers_to_add": [{"header": {"key": "x-route", "value": "r"}}]},
        config={"body_format": {"text_format": "%RESP(x-route)% %RESP(:status)%"}},
    ),
)
