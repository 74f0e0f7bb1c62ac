"""What a connection manager makes of request heads: escaped slashes, hosts, schemes, early mutations, spelling, 100."""

from __future__ import annotations

from typing import Any

from tests.harness.upstream import ReadBody, Send, raw, reply, response_bytes
from tests.oracle.case import Case, Read, Up, Wait, Write, request

EARLY_TYPE = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
PRESERVE_TYPE = (
    "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
)
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def slashes(name: str, path: str, action: str, **more: Any) -> Case:
    hcm = {"path_with_escaped_slashes_action": action, **more.pop("hcm", {})}
    return Case(name, request(path), hcm=hcm, **more)


def early(name: str, sent: bytes, *mutations: dict[str, Any], **more: Any) -> Case:
    typed = {"@type": EARLY_TYPE, "mutations": list(mutations)}
    extensions = [{"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": typed}]
    return Case(name, sent, hcm={"early_header_mutation_extensions": extensions, **more.pop("hcm", {})}, **more)


def add(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> dict[str, Any]:
    return {"append": {"header": {"key": name, "value": value}, "append_action": action}}


def spelled(**fields: Any) -> dict[str, Any]:
    return {"http_protocol_options": {"header_key_format": fields}}


def preserve(**fields: Any) -> dict[str, Any]:
    typed = {"@type": PRESERVE_TYPE, **fields}
    return {"stateful_formatter": {"name": "preserve_case", "typed_config": typed}}


def upstream_spelled(**fields: Any) -> dict[str, Up]:
    options = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", "explicit_http_config": spelled(**fields)}
    return {"": Up(fields={"typed_extension_protocol_options": {HTTP_OPTIONS: options}})}


ODD = ("X-FoO-bar: 1", "x_low: 2", "UPPER: 3", "x-two: a", "X-Two: b")
ODD_ANSWER = [raw(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nX-FoO-bar: 1\r\nuPPer: 2\r\n\r\nok")]
PROPER: dict[str, Any] = {"proper_case_words": {}}
ON_ENVOYS = {"formatter_type_on_envoy_headers": "PROPER_CASE"}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTS = request("/x", "Expect: 100-continue", "Content-Length: 5", method="POST")
DIRECT = {"match": {"prefix": "/"}, "direct_response": {"status": 400}}
ABORT = {
    "name": "envoy.filters.http.fault",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 400, "percentage": {"numerator": 100}},
    },
}
ROUTED_BY_HEADER = [
    {
        "match": {"prefix": "/", "headers": [{"name": "x-early", "string_match": {"exact": "yes"}}]},
        "direct_response": {"status": 202},
    },
    {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
]

CASES = (
    *(
        slashes(f"slashes_{action.lower()}_{number}", path, action)
        for action in ("KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD")
        for number, path in enumerate(("/a%2Fb%5cc?d=%2f", "/a/b?d=%2f", "/a%2F%2Fb"))
    ),
    slashes(
        "slashes_then_dots",
        "/a/x%2F..%2fb//c",
        "UNESCAPE_AND_FORWARD",
        hcm={"normalize_path": True, "merge_slashes": True},
        expect={"upstream[0].line": "GET /a/b/c HTTP/1.1"},
    ),
    slashes(
        "slashes_redirect_to_the_normal_form",
        "/a/x%2F..%2fb//c?q=%2F",
        "UNESCAPE_AND_REDIRECT",
        hcm={"normalize_path": True, "merge_slashes": True},
        expect={"client[0].status": 307, "client[0].header.location": ("/a/b/c?q=%2F",)},
        stats=(),
    ),
    *(
        Case(
            f"trailing_dot_{number}",
            request("/x", host=host),
            hcm={"strip_trailing_host_dot": True, **more},
            routes=[{"match": {"prefix": "/"}, "route": {"cluster": "%CLUSTER%"}}],
            vhost={"domains": [f"dotted-{number}.test", f"dotted-{number}.test:81", f"dotted-{number}.test.:81"]},
        )
        for number, host, more in (
            (0, "dotted-0.test.", {}),
            (1, "dotted-1.test.:81", {}),
            (2, "dotted-2.test.:81", {"strip_any_host_port": True}),
            (3, "dotted-3.test", {}),
            (4, "dotted-4.test..", {}),
        )
    ),
    Case("user_agent_added", request("/x"), hcm={"add_user_agent": True}),
    Case("user_agent_there", request("/x", "User-Agent: me"), hcm={"add_user_agent": True}),
    Case(
        "user_agent_overrides_cluster",
        request("/x", "x-envoy-downstream-service-cluster: them", "x-envoy-downstream-service-node: it"),
        hcm={"add_user_agent": True},
    ),
    *(
        Case(
            f"scheme_{scheme}{suffix}",
            request("/x", *lines),
            hcm={"scheme_header_transformation": {"scheme_to_overwrite": scheme}, **more},
            log={"scheme": "%REQ(:SCHEME)%", "proto": "%REQ(X-FORWARDED-PROTO)%"},
        )
        for scheme in ("http", "https")
        for suffix, lines, more in (
            ("", (), {}),
            ("_against_proto", ("x-forwarded-proto: https",), {}),
            ("_at_the_edge", ("x-forwarded-proto: https",), {"use_remote_address": True}),
        )
    ),
    Case(
        "forwarded_port",
        request("/x", "x-forwarded-port: 1"),
        hcm={"append_x_forwarded_port": True, "use_remote_address": True},
        log={"~port": "%REQ(x-forwarded-port)%"},
        ignore=["upstream[0].header.x-forwarded-port"],
    ),
    Case(
        "forwarded_port_of_a_trusted_proxy",
        request("/x", "x-forwarded-port: 1"),
        hcm={"append_x_forwarded_port": True, "use_remote_address": True, "xff_num_trusted_hops": 1},
        expect={"upstream[0].header.x-forwarded-port": ("1",)},
    ),
    Case(
        "forwarded_port_behind_a_proxy",
        request("/x"),
        hcm={"append_x_forwarded_port": True},
        log={"~port": "%REQ(x-forwarded-port)%"},
        ignore=["upstream[0].header.x-forwarded-port"],
    ),
    Case(
        "forwarded_port_of_the_proxy_before_us",
        request("/x", "x-forwarded-port: 1"),
        hcm={"append_x_forwarded_port": True},
    ),
    early(
        "early_header_routes",
        request("/x"),
        add("x-early", "yes"),
        routes=ROUTED_BY_HEADER,
        expect={"client[0].status": 202},
    ),
    early("early_removal", request("/x", "X-Early: yes"), {"remove": "x-early"}, routes=ROUTED_BY_HEADER),
    early(
        "early_order",
        request("/x", "x-a: 0"),
        add("x-a", "1"),
        {"remove": "x-a"},
        add("x-a", "2"),
        add("x-b", "%REQ(x-a)%"),
        add("x-a", "3", "OVERWRITE_IF_EXISTS_OR_ADD"),
    ),
    early(
        "early_request_id",
        request("/x"),
        add("x-request-id", "mine", "OVERWRITE_IF_EXISTS_OR_ADD"),
        log={"id": "%REQ(x-request-id)%"},
    ),
    early(
        "early_forwarded_for",
        request("/x"),
        add("x-forwarded-for", "1.2.3.4"),
        log={"client_seen": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
    ),
    early("early_timeout_wish", request("/x"), add("x-envoy-upstream-rq-timeout-ms", "5000")),
    Case(
        "proper_case_response", request("/x"), hcm=spelled(**PROPER), script=[reply(200, b"ok", (("x-a-b.c_d", "1"),))]
    ),
    Case("proper_case_local_reply", request("/x", host="nobody.test"), hcm=spelled(**PROPER)),
    Case("proper_case_request", request("/x", *ODD), clusters=upstream_spelled(**PROPER)),
    Case("preserved_request", request("/x", *ODD), hcm=spelled(**preserve())),
    Case(
        "preserved_request_to_proper",
        request("/x", *ODD),
        hcm=spelled(**preserve()),
        clusters=upstream_spelled(**PROPER),
    ),
    Case("preserved_request_envoys_proper", request("/x", *ODD), hcm=spelled(**preserve(**ON_ENVOYS))),
    Case("preserved_response", request("/x"), clusters=upstream_spelled(**preserve()), script=ODD_ANSWER),
    Case(
        "preserved_response_envoys_proper",
        request("/x"),
        clusters=upstream_spelled(**preserve(**ON_ENVOYS)),
        script=ODD_ANSWER,
    ),
    Case(
        "preserved_response_to_proper",
        request("/x"),
        hcm=spelled(**PROPER),
        clusters=upstream_spelled(**preserve()),
        script=ODD_ANSWER,
    ),
    Case("preserved_local_reply", request("/x", *ODD, host="nobody.test"), hcm=spelled(**preserve())),
    Case(
        "preserved_keep_alive",
        actions=[Write(request("/1", "X-ONE: 1")), Read(), Write(request("/2", "x-One: 2")), Read()],
        hcm=spelled(**preserve()),
        clusters=upstream_spelled(**preserve()),
        script=[ODD_ANSWER[0], reply(200, b"ok", (("X-ONE", "1"),))],
    ),
    *(
        Case(f"bad_request_{name}{suffix}", sent, hcm={"stream_error_on_invalid_http_message": keeps}, **more)
        for suffix, keeps in (("_closes", False), ("_keeps", True))
        for name, sent, more in (
            ("without_host", b"GET / HTTP/1.1\r\n\r\n", {}),
            ("with_fragment", request("/x#y"), {}),
            ("by_route", request("/x"), {"routes": [DIRECT]}),
            ("by_fault", request("/x"), {"filters": [ABORT]}),
            ("by_codec", b"garbage\r\n\r\n", {}),
        )
    ),
    Case(
        "continue_goes_through",
        actions=[Write(EXPECTS), Wait(0.1), Write(b"hello"), Read("POST")],
        hcm={"proxy_100_continue": True},
        script=[[Send(CONTINUE), ReadBody(), Send(response_bytes(200, b"ok"))]],
        expect={"client[0].interim[0].status": 100},
    ),
    Case(
        "continue_refused_by_upstream",
        actions=[Write(EXPECTS), Read("POST")],
        hcm={"proxy_100_continue": True},
        script=[[Send(response_bytes(417, b"no"))]],
    ),
    Case(
        "early_hints_go_through",
        request("/x"),
        hcm={"proxy_100_continue": True},
        script=[
            [ReadBody(), Send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), Send(response_bytes(200, b"ok"))]
        ],
    ),
    Case(
        "early_hints_are_dropped",
        request("/x"),
        script=[
            [ReadBody(), Send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), Send(response_bytes(200, b"ok"))]
        ],
    ),
    Case(
        "duration_over_ends_with_a_response",
        actions=[Write(request("/1")), Read(), Wait(0.5), Write(request("/2")), Read()],
        hcm={
            "http1_safe_max_connection_duration": True,
            "common_http_protocol_options": {"max_connection_duration": "0.15s"},
            "drain_timeout": "0.1s",
        },
        expect={"client[1].status": 200, "client[1].header.connection": ("close",)},
    ),
    Case(
        "duration_over_before_a_request",
        actions=[Wait(0.5), Read()],
        hcm={"common_http_protocol_options": {"max_connection_duration": "0.1s"}, "drain_timeout": "2s"},
        expect={"client.end": "fin"},
        logs=0,
    ),
)
