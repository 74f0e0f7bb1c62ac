"""Time-outs of a route, of a try, of a stream, of a client that stalls."""

from __future__ import annotations

from tests.harness.upstream import Hang, Pause, Plan, ReadBody, Send, raw, reply, response_bytes
from tests.oracle.case import Case, Read, Wait, Write, post, request

HANG: Plan = [ReadBody(), Hang()]
SLOW: Plan = [ReadBody(), Pause(0.5), Send(response_bytes())]
TIMEOUT_STATS = (
    "cluster.%CLUSTER%.upstream_rq_timeout",
    "cluster.%CLUSTER%.upstream_rq_per_try_timeout",
    "cluster.%CLUSTER%.upstream_rq_retry",
    "cluster.%CLUSTER%.upstream_rq_504",
)

CASES = (
    Case(
        "route_timeout",
        request("/x"),
        script=[HANG],
        action={"timeout": "0.2s"},
        stats=TIMEOUT_STATS,
        expect={
            "client[0].status": 504,
            "client[0].body": b"upstream request timeout",
            "log[0].flags": "UT",
            "log[0].details": "response_timeout",
        },
    ),
    Case(
        "route_timeout_not_retried",
        request("/x"),
        script=[HANG],
        action={"timeout": "0.2s", "retry_policy": {"retry_on": "5xx,reset", "num_retries": 2}},
        stats=TIMEOUT_STATS,
        expect={"log[0].attempts": 1, "log[0].flags": "UT"},
    ),
    Case(
        "per_try_timeouts_used_up",
        request("/x"),
        script=[HANG],
        action={"retry_policy": {"retry_on": "5xx", "num_retries": 2, "per_try_timeout": "0.15s"}},
        stats=TIMEOUT_STATS,
        expect={
            "client[0].status": 504,
            "log[0].flags": "URX,UT",
            "log[0].details": "upstream_per_try_timeout",
            "log[0].attempts": 3,
        },
    ),
    Case(
        "per_try_timeout_then_success",
        request("/x"),
        script=[HANG, reply()],
        action={"retry_policy": {"retry_on": "5xx", "per_try_timeout": "0.15s"}},
        stats=TIMEOUT_STATS,
        expect={"client[0].status": 200, "log[0].attempts": 2},
    ),
    Case(
        "per_try_timeout_not_retriable",
        request("/x"),
        script=[HANG],
        action={"retry_policy": {"retry_on": "connect-failure", "num_retries": 2, "per_try_timeout": "0.15s"}},
        stats=TIMEOUT_STATS,
        expect={"client[0].status": 504, "log[0].attempts": 1},
    ),
    Case("timeout_disabled", request("/x"), script=[SLOW], action={"timeout": "0s"}, expect={"client[0].status": 200}),
    Case(
        "route_timeout_inside_the_body",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial", Hang())],
        action={"timeout": "0.2s"},
        stats=TIMEOUT_STATS,
        expect={"client[0].status": 200, "client[0].complete": False, "log[0].flags": "UT"},
    ),
    Case(
        "route_timeout_starts_at_the_end_of_the_request",
        actions=[Write(post("/x", body=b"hello")[:-5]), Wait(0.4), Write(b"hello"), Read()],
        action={"timeout": "0.2s"},
        expect={"client[0].status": 200},
    ),
    Case(
        "stream_idle_in_the_head",
        actions=[Write(b"GET /x HTTP/1.1\r\nHost: "), Read()],
        hcm={"stream_idle_timeout": "0.2s"},
        expect={"client[0].status": 408, "client[0].body": b"stream timeout", "log[0].flags": "SI"},
    ),
    Case(
        "stream_idle_in_the_body",
        actions=[Write(post("/x", body=b"hello")[:-3]), Read()],
        hcm={"stream_idle_timeout": "0.2s"},
        script=[HANG],
        expect={"client[0].status": 408},
    ),
    Case(
        "stream_idle_waiting_for_the_upstream",
        request("/x"),
        hcm={"stream_idle_timeout": "0.2s"},
        script=[HANG],
        expect={"log[0].flags": "SI"},
    ),
    Case(
        "route_idle_timeout",
        request("/x"),
        script=[HANG],
        action={"idle_timeout": "0.2s"},
        expect={"log[0].flags": "SI"},
    ),
    Case(
        "request_timeout",
        actions=[Write(post("/x", body=b"hello")[:-3]), Read()],
        hcm={"request_timeout": "0.2s"},
        script=[HANG],
        expect={"client[0].status": 408},
    ),
    Case(
        "request_headers_timeout",
        actions=[Write(b"GET /x HTTP/1.1\r\nHost: "), Read()],
        hcm={"request_headers_timeout": "0.2s"},
        expect={"client[0].status": 408},
    ),
    Case(
        "idle_connection",
        actions=[Write(request("/x")), Read()],
        hcm={"common_http_protocol_options": {"idle_timeout": "0.1s"}, "drain_timeout": "0.1s"},
        end="wait",
        expect={"client.end": "fin"},
    ),
)
