"""Connections that are given up: which responses announce it, what is still answered, and when the FIN comes."""

from __future__ import annotations

from typing import Any

from tests.oracle.case import AwaitUpstream, Case, Post, Read, Wait, Write, request

FAIL, OK = Post("/healthcheck/fail"), Post("/healthcheck/ok")
SOON = {"drain_timeout": "0.1s"}


def get(target: str = "/x", *lines: str) -> list[Any]:
    return [Write(request(target, *lines)), Read()]


CASES = (
    Case(
        "drain_announced_by_the_next_response",
        actions=[*get(), FAIL, *get(), OK],
        hcm=SOON,
        end="wait",
        expect={"client[0].header.connection": None, "client[1].header.connection": ("close",), "client.end": "fin"},
    ),
    Case(
        "drain_still_answers_what_comes",
        actions=[FAIL, *get("/1"), *get("/2"), OK, *get("/3")],
        hcm={"drain_timeout": "10s"},
        end="wait",
        expect={
            "client[1].header.connection": ("close",),
            "client[2].header.connection": ("close",),
            "client.end": "open",
        },
    ),
    Case(
        "drain_of_an_idle_connection_is_not_known",
        actions=[*get(), FAIL, Wait(0.3), OK, *get()],
        hcm=SOON,
        expect={"client[1].header.connection": None, "client.end": "open"},
    ),
    Case(
        "drain_waits_for_the_response",
        actions=[FAIL, *get("/1"), Write(request("/delay/0.4")), Read(), OK],
        hcm=SOON,
        end="wait",
        expect={"client[1].body": b"slow", "client.end": "fin"},
    ),
    Case(
        "drain_of_pipelined_requests",
        actions=[FAIL, Write(request("/1") + request("/2") + request("/3")), Read(), Read(), Read(), OK],
        hcm={"drain_timeout": "0.2s"},
        end="wait",
        expect={"client.count": 3, "client.end": "fin"},
    ),
    Case(
        "drain_begun_while_a_request_is_in_flight",
        actions=[Write(request("/delay/0.3")), AwaitUpstream(), FAIL, Read(), OK],
        hcm=SOON,
        end="wait",
        expect={"client[0].header.connection": ("close",), "client.end": "fin"},
    ),
    Case(
        "drain_and_a_request_that_closes",
        actions=[FAIL, *get("/x", "Connection: close"), OK],
        hcm={"drain_timeout": "10s"},
        end="wait",
        expect={"client.end": "open"},
    ),
    Case(
        "drain_of_a_local_reply",
        actions=[FAIL, Write(request(host="nobody.test")), Read(), OK],
        hcm=SOON,
        end="wait",
        expect={"client[0].status": 404, "client[0].header.connection": ("close",), "client.end": "fin"},
    ),
    Case(
        "drain_of_old_http",
        actions=[FAIL, Write(b"GET /x HTTP/1.0\r\nHost: %HOST%\r\nConnection: keep-alive\r\n\r\n"), Read(), OK],
        hcm={**SOON, "http_protocol_options": {"accept_http_10": True}},
        end="wait",
        expect={"client[0].header.connection": ("close",)},
    ),
    Case(
        "connection_duration_announces_its_end",
        actions=[*get("/1"), Wait(0.3), *get("/2"), *get("/3")],
        hcm={"common_http_protocol_options": {"max_connection_duration": "0.2s"}, "drain_timeout": "0.4s"},
        end="wait",
        stats=["http.listener_6.downstream_cx_max_duration_reached"],
        expect={"client[1].header.connection": ("close",), "client[2].status": 200, "client.end": "fin"},
    ),
    Case(
        "idle_connection_announces_its_end",
        actions=[*get("/1"), Wait(0.4), *get("/2")],
        hcm={"common_http_protocol_options": {"idle_timeout": "0.2s"}, "drain_timeout": "0.4s"},
        end="wait",
        expect={"client[1].header.connection": ("close",), "client.end": "fin"},
    ),
)
