"""The header mutation filter: operations, levels, and where in the chain it stands."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import reply
from tests.oracle.case import Case, Up, request
from tests.oracle.topics.faults import FILTER as FAULT
from tests.oracle.topics.faults import abort, fault
from tests.oracle.topics.headers import add

NAME = "envoy.filters.http.header_mutation"
TYPE = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3."


def mutations(request: Any = (), response: Any = ()) -> dict[str, Any]:
    return {"mutations": {"request_mutations": list(request), "response_mutations": list(response)}}


def chain(request: Any = (), response: Any = (), **more: Any) -> dict[str, Any]:
    return {"name": NAME, "typed_config": {"@type": TYPE + "HeaderMutation", **mutations(request, response), **more}}


def level(request: Any = (), response: Any = ()) -> dict[str, Any]:
    config = {"@type": TYPE + "HeaderMutationPerRoute", **mutations(request, response)}
    return {"typed_per_filter_config": {NAME: config}}


def append(*given: Any, **more: Any) -> dict[str, Any]:
    return {"append": add(*given, **more)}


BOTH = [append("x-l", "chain")]
LEVELS: dict[str, Any] = {
    "route": level([append("x-l", "route")], [append("x-l", "route")]),
    "vhost": level([append("x-l", "vhost")], [append("x-l", "vhost")]),
}

CASES = (
    Case(
        "mutate_request",
        request("/p", "X-Append: a", "X-Over: a", "X-Absent: a", "X-If: a", "X-Gone: a", "X-Gone: b"),
        filters=[
            chain(
                [
                    append("x-append", "b"),
                    append("x-over", "b", "OVERWRITE_IF_EXISTS_OR_ADD"),
                    append("x-absent", "b", "ADD_IF_ABSENT"),
                    append("x-if", "b", "OVERWRITE_IF_EXISTS"),
                    append("x-if-new", "b", "OVERWRITE_IF_EXISTS"),
                    append("x-path", "%REQ(:PATH)%"),
                    append("x-empty", ""),
                    append("x-kept", "", keep_empty_value=True),
                    {"remove": "x-gone"},
                ]
            )
        ],
        expect={"upstream[0].header.x-append": ("a", "b"), "upstream[0].header.x-path": ("/p",)},
    ),
    Case(
        "mutate_response",
        request("/p"),
        script=[reply(201, b"ok", [("X-Append", "a"), ("X-Over", "a"), ("X-Gone", "a")])],
        filters=[
            chain(
                (),
                [
                    append("x-append", "b"),
                    append("x-over", "b", "OVERWRITE_IF_EXISTS_OR_ADD"),
                    append("x-code", "%RESPONSE_CODE%"),
                    append("x-req", "%REQ(:PATH)%"),
                    append("x-up", "%RESP(X-GONE)%"),
                    {"remove": "x-gone"},
                    {"remove": "x-envoy-upstream-service-time"},
                ],
            )
        ],
        expect={"client[0].header.x-append": ("a", "b"), "client[0].header.x-code": ("201",)},
    ),
    Case(
        "mutate_in_order",
        request("/", "X-A: 1"),
        filters=[chain([{"remove": "x-a"}, append("x-a", "2"), append("x-b", "3"), {"remove": "x-b"}])],
        expect={"upstream[0].header.x-a": ("2",)},
    ),
    Case(
        "mutate_removing_by_match",
        request("/", "X-Internal-A: 1", "X-Internal-B: 2", "X-Other: 3"),
        script=[reply(200, b"ok", [("X-Up-A", "1"), ("X-Up-B", "2")])],
        filters=[
            chain(
                [{"remove_on_match": {"key_matcher": {"prefix": "x-internal-"}}}],
                [{"remove_on_match": {"key_matcher": {"safe_regex": {"regex": "x-up-[b-z]"}}}}],
            )
        ],
        expect={"upstream[0].header.x-other": ("3",), "client[0].header.x-up-a": ("1",)},
    ),
    Case("mutate_levels", request("/"), filters=[chain(BOTH, BOTH)], **LEVELS),
    Case(
        "mutate_levels_specific_last",
        request("/"),
        filters=[chain(BOTH, BOTH, most_specific_header_mutations_wins=True)],
        **LEVELS,
    ),
    Case(
        "mutate_and_route_operations",
        request("/"),
        filters=[chain([append("x-o", "filter")], [append("x-o", "filter")])],
        route={"request_headers_to_add": [add("x-o", "route")], "response_headers_to_add": [add("x-o", "route")]},
    ),
    Case(
        "mutate_two_filters",
        request("/"),
        filters=[
            chain([append("x-o", "first")], [append("x-o", "first")]),
            {**chain([append("x-o", "second")], [append("x-o", "second")]), "name": "second"},
        ],
        expect={"upstream[0].header.x-o": ("first", "second"), "client[0].header.x-o": ("second", "first")},
    ),
    Case(
        "mutate_local_reply",
        request("/"),
        clusters={"": Up(endpoints=())},
        filters=[chain((), [append("x-m", "%RESPONSE_CODE%"), append("x-f", "%RESPONSE_FLAGS%")])],
        expect={"client[0].header.x-m": ("503",)},
    ),
    Case(
        "mutate_direct_response",
        request("/"),
        routes=[{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hi"}}}],
        filters=[chain((), [append("x-direct", "1")])],
        expect={"client[0].header.x-direct": ("1",)},
    ),
    Case(
        "mutate_redirect",
        request("/"),
        routes=[{"match": {"prefix": "/"}, "redirect": {"path_redirect": "/y"}}],
        filters=[chain((), [append("x-redirect", "1")])],
    ),
    Case(
        "mutate_no_route",
        request("/", host="nobody.test"),
        filters=[chain((), [append("x-no-route", "1")])],
        expect={"client[0].status": 404, "client[0].header.x-no-route": ("1",)},
    ),
    Case("mutate_no_host", request("/", host=None), filters=[chain((), [append("x-no-host", "1")])]),
    Case(
        "mutate_bad_request",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
        filters=[chain((), [append("x-bad", "1")])],
        expect={"client[0].status": 400},
    ),
    Case("mutate_http10", b"GET / HTTP/1.0\r\nHost: %HOST%\r\n\r\n", filters=[chain((), [append("x-10", "1")])]),
    Case(
        "mutate_abort_of_an_earlier_filter",
        request("/"),
        filters=[FAULT, chain((), [append("x-behind", "1")])],
        route={"typed_per_filter_config": {FAULT["name"]: fault(**abort(418))}},
        expect={"client[0].status": 418},
    ),
    Case(
        "mutate_the_routers_wishes",
        request("/delay/0.3"),
        filters=[chain([append("x-envoy-upstream-rq-timeout-ms", "100")])],
        hcm={"internal_address_config": {"cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}},
        expect={"client[0].status": 504},
    ),
    Case(
        "mutate_upgrade",
        request("/", "Connection: Upgrade", "Upgrade: websocket"),
        filters=[chain([append("x-ws", "1")], [append("x-ws", "1")])],
        hcm={"upgrade_configs": [{"upgrade_type": "websocket"}]},
        script=[reply(200)],
    ),
)
