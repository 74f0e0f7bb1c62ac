"""The buffer filter: whole requests, and too large ones."""

from __future__ import annotations

from typing import Any

from tests.oracle.case import Case, Read, Wait, Write, post, request

NAME = "envoy.filters.http.buffer"
TYPE = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3."
FILTER = {"name": NAME, "typed_config": {"@type": TYPE + "Buffer", "max_request_bytes": 10}}
CHUNKED = "Transfer-Encoding: chunked"


def per_route(**how: Any) -> dict[str, Any]:
    return {"typed_per_filter_config": {NAME: {"@type": TYPE + "BufferPerRoute", **how}}}


def big(size: int) -> dict[str, Any]:
    return per_route(buffer={"max_request_bytes": size})


CASES = (
    Case("buffer_no_body", request("/x"), filters=[FILTER], expect={"client[0].status": 200}),
    Case("buffer_small_body", post("/x", body=b"0123456789"), filters=[FILTER], expect={"client[0].status": 200}),
    Case(
        "buffer_body_in_pieces",
        actions=[Write(post("/x", body=b"01234")[:-5]), Wait(0.05), Write(b"012"), Wait(0.05), Write(b"34"), Read()],
        filters=[FILTER],
        expect={"upstream[0].body": b"01234"},
    ),
    Case(
        "buffer_too_large",
        post("/x", body=b"0123456789a"),
        filters=[FILTER],
        ignore=["log[0].bytes_received"],
        expect={
            "client[0].status": 413,
            "client[0].body": b"Payload Too Large",
            "log[0].details": "request_payload_too_large",
            "log[0].flags": "-",
            "upstream.count": 0,
        },
        stats=["http.listener_0.downstream_rq_too_large"],
    ),
    Case(
        "buffer_too_large_in_pieces",
        actions=[
            Write(request("/x", "Content-Length: 30", method="POST") + b"01234567"),
            Wait(0.05),
            Write(b"01234567"),
            Read(),
        ],
        filters=[FILTER],
        expect={"client[0].status": 413, "client[0].header.connection": ("close",)},
    ),
    Case(
        "buffer_chunked_gets_a_length",
        request("/x", CHUNKED, method="POST") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        filters=[FILTER],
        expect={"upstream[0].framing": "length", "upstream[0].body": b"abcde"},
    ),
    Case(
        "buffer_chunked_too_large",
        request("/x", CHUNKED, method="POST") + b"b\r\n0123456789a\r\n0\r\n\r\n",
        filters=[FILTER],
        ignore=["log[0].bytes_received"],
        expect={"client[0].status": 413},
    ),
    Case("buffer_empty_chunked", request("/x", CHUNKED, method="POST") + b"0\r\n\r\n", filters=[FILTER]),
    Case("buffer_more_on_the_route", post("/x", body=b"x" * 1000), filters=[FILTER], route=big(2000)),
    Case(
        "buffer_disabled_on_the_route", post("/x", body=b"x" * 1000), filters=[FILTER], route=per_route(disabled=True)
    ),
    Case("buffer_large_bodies", post("/x", body=b"x" * 300_000), filters=[FILTER], route=big(400_000)),
    Case("buffer_unrouted", post("/x", body=b"0123").replace(b"%HOST%", b"nobody.test"), filters=[FILTER]),
    Case(
        "buffer_unrouted_too_large",
        post("/x", body=b"0123456789abc").replace(b"%HOST%", b"nobody.test"),
        filters=[FILTER],
        ignore=["log[0].bytes_received"],
        expect={"client[0].status": 413},
    ),
    Case(
        "buffer_retries",
        post("/x", body=b"01234"),
        filters=[FILTER],
        script=[],
        action={"retry_policy": {"retry_on": "5xx", "num_retries": 1}},
    ),
)
