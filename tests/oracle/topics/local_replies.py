"""Replies of the proxy's own: failures of the upstream, of the route, of the request."""

from __future__ import annotations

from tests.harness.upstream import Close, Hang, ReadBody, Reset, raw, reply
from tests.oracle.case import Abort, AwaitUpstream, Case, Up, Write, post, request

RESET_BEFORE = b"upstream connect error or disconnect/reset before headers. reset reason: "

CASES = (
    Case(
        "no_route",
        request("/x", host="nobody.test"),
        expect={
            "client[0].status": 404,
            "client[0].body": b"",
            "log[0].flags": "NR",
            "log[0].details": "route_not_found",
        },
    ),
    Case(
        "no_route_post_with_body",
        post("/x").replace(b"%HOST%", b"nobody.test"),
        expect={"client[0].status": 404, "log[0].bytes_received": 0},
    ),
    Case(
        "no_route_head",
        request("/x", method="HEAD", host="nobody.test"),
        methods=["HEAD"],
        expect={"client[0].status": 404},
    ),
    Case(
        "unknown_cluster",
        request("/x"),
        action={"cluster": "nowhere"},
        expect={
            "client[0].status": 503,
            "client[0].body": b"",
            "log[0].flags": "NC",
            "log[0].details": "cluster_not_found",
        },
    ),
    Case(
        "unknown_cluster_code_404",
        request("/x"),
        action={"cluster": "nowhere", "cluster_not_found_response_code": "NOT_FOUND"},
        expect={"client[0].status": 404, "log[0].flags": "NC"},
    ),
    Case(
        "no_endpoints",
        request("/x"),
        clusters={"": Up(endpoints=())},
        stats=["cluster.%CLUSTER%.upstream_cx_none_healthy", "cluster.%CLUSTER%.upstream_rq_total"],
        expect={
            "client[0].status": 503,
            "client[0].body": b"no healthy upstream",
            "log[0].flags": "UH",
            "log[0].details": "no_healthy_upstream",
        },
    ),
    Case(
        "connect_refused",
        request("/x"),
        clusters={"": Up(endpoints=["refused"])},
        stats=["cluster.%CLUSTER%.upstream_cx_connect_fail", "cluster.%CLUSTER%.upstream_rq_503"],
        expect={
            "client[0].status": 503,
            "client[0].body": RESET_BEFORE + b"remote connection failure",
            "log[0].flags": "UF",
            "log[0].attempts": 1,
        },
    ),
    Case(
        "upstream_closes_before_headers",
        request("/x"),
        script=[[ReadBody(), Close()]],
        stats=["cluster.%CLUSTER%.upstream_cx_destroy_remote_with_active_rq", "cluster.%CLUSTER%.upstream_rq_503"],
        expect={"client[0].body": RESET_BEFORE + b"connection termination", "log[0].flags": "UC"},
    ),
    Case(
        "upstream_resets_before_headers",
        request("/x"),
        script=[[ReadBody(), Reset()]],
        expect={"client[0].body": RESET_BEFORE + b"connection termination", "log[0].flags": "UC"},
    ),
    Case(
        "upstream_closes_inside_headers",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\nX:", Close())],
        expect={"client[0].status": 502, "log[0].flags": "UPE"},
    ),
    Case(
        "upstream_speaks_no_http",
        request("/x"),
        script=[raw(b"this is no HTTP\r\n\r\n")],
        stats=["cluster.%CLUSTER%.upstream_cx_protocol_error"],
        expect={
            "client[0].status": 502,
            "client[0].body": RESET_BEFORE + b"protocol error",
            "log[0].flags": "UPE",
            "log[0].details": "upstream_reset_before_response_started{protocol_error}",
        },
    ),
    Case(
        "upstream_truncates_length_body",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial", Close())],
        expect={
            "client[0].status": 200,
            "client[0].complete": False,
            "log[0].flags": "UPE",
            "log[0].details": "upstream_reset_after_response_started{protocol_error}",
        },
    ),
    Case(
        "upstream_truncates_chunked_body",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\npartial", Close())],
        expect={"client[0].complete": False, "log[0].flags": "UPE"},
    ),
    Case(
        "upstream_bad_chunk",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n")],
        expect={"client[0].complete": False, "log[0].flags": "UPE"},
    ),
    Case(
        "overflow_of_requests",
        request("/x"),
        clusters={"": Up(fields={"circuit_breakers": {"thresholds": [{"max_requests": 0}]}})},
        action={"retry_policy": {"retry_on": "5xx,reset", "num_retries": 2}},
        stats=["cluster.%CLUSTER%.upstream_rq_pending_overflow", "cluster.%CLUSTER%.upstream_rq_retry"],
        expect={
            "client[0].status": 503,
            "client[0].body": RESET_BEFORE + b"overflow",
            "client[0].header.x-envoy-overloaded": ("true",),
            "log[0].flags": "UO",
            "log[0].attempts": 1,
        },
    ),
    Case(
        "overflow_of_pending",
        request("/x"),
        clusters={"": Up(fields={"circuit_breakers": {"thresholds": [{"max_pending_requests": 0}]}})},
        stats=["cluster.%CLUSTER%.upstream_rq_pending_overflow"],
        expect={"client[0].status": 503, "log[0].flags": "UO"},
    ),
    Case(
        "client_goes_away",
        actions=[Write(request("/delay/2")), AwaitUpstream(), Abort()],
        logs=1,
        stats=["cluster.%CLUSTER%.upstream_rq_cancelled"],
        expect={"log[0].code": 0, "log[0].flags": "DC", "log[0].details": "downstream_remote_disconnect"},
    ),
    Case(
        "local_reply_has_upstreams_own_headers_none",
        request("/x", "Accept: application/json"),
        clusters={"": Up(endpoints=["refused"])},
        vhost={"response_headers_to_add": [{"header": {"key": "x-vh", "value": "1"}}]},
        expect={"client[0].header.x-vh": ("1",), "client[0].header.content-type": ("text/plain",)},
    ),
    Case(
        "grpc_local_reply",
        request("/svc/Method", "Content-Type: application/grpc", method="POST"),
        clusters={"": Up(endpoints=["refused"])},
        expect={"client[0].status": 200, "client[0].header.grpc-status": ("14",)},
    ),
    Case(
        "grpc_time_out",
        request("/svc/Method", "Content-Type: application/grpc", method="POST"),
        script=[[ReadBody(), Hang()]],
        action={"timeout": "0.1s"},
        expect={
            "client[0].header.grpc-status": ("14",),
            "client[0].header.grpc-message": ("upstream request timeout",),
            "log[0].flags": "UT",
        },
    ),
    Case(
        "grpc_no_route",
        request("/svc/Method", "Content-Type: application/grpc", method="POST", host="nobody.test"),
        expect={"client[0].status": 200, "client[0].header.grpc-status": ("12",)},
    ),
    Case(
        "second_endpoint_of_two_refuses",
        request("/x"),
        clusters={"": Up(endpoints=["refused", "refused"])},
        expect={"log[0].flags": "UF"},
    ),
    Case("upstream_500_passes", request("/status/500"), expect={"client[0].status": 500, "log[0].flags": "-"}),
    Case(
        "upstream_503_with_body_and_headers_passes",
        request("/x"),
        script=[reply(503, b"mine", [("Retry-After", "3")])],
        expect={"client[0].body": b"mine", "client[0].header.retry-after": ("3",), "log[0].flags": "-"},
    ),
)
