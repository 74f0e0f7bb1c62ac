"""Bodies: their framing on both hops, statuses that have none, expectations, sizes."""

from __future__ import annotations

from tests.harness.upstream import Close, Pause, ReadBody, Reset, Send, chunked, raw, reply, response_bytes
from tests.oracle.case import Case, Read, Wait, Write, post, request

CHUNKED = "Transfer-Encoding: chunked"
BIG = bytes(range(256)) * 4096  # 1 MiB


def head(name: str, response: bytes, **expect: object) -> Case:
    return Case(name, request("/x", method="HEAD"), methods=["HEAD"], script=[raw(response)])


def bare(name: str, response: bytes, status: int) -> Case:
    return Case(name, request("/x"), script=[raw(response)], expect={"client[0].status": status})


CASES = (
    Case(
        "length_both_ways",
        post("/x"),
        script=[reply(200, b"answer")],
        expect={"upstream[0].framing": "length", "client[0].framing": "length"},
    ),
    Case(
        "chunked_both_ways",
        request("/x", CHUNKED, method="POST", body=b"5\r\nhello\r\n3;ext=1\r\nabc\r\n0\r\n\r\n"),
        script=[chunked(b"aa", b"bbb")],
        expect={"upstream[0].body": b"helloabc", "client[0].body": b"aabbb", "client[0].framing": "chunked"},
    ),
    Case(
        "chunked_trailers_are_dropped",
        request("/x", CHUNKED, "Trailer: x-t", method="POST", body=b"5\r\nhello\r\n0\r\nX-T: v\r\n\r\n"),
        script=[chunked(b"aa", trailers=[("X-Rt", "1")])],
        expect={"upstream[0].trailers": (), "client[0].trailers": ()},
    ),
    Case("chunked_empty", request("/x", CHUNKED, method="POST", body=b"0\r\n\r\n"), script=[chunked()]),
    Case(
        "chunked_case_of_the_word",
        request("/x", "Transfer-Encoding: Chunked", method="POST", body=b"0\r\n\r\n"),
        expect={"client[0].status": 200},
    ),
    Case(
        "chunked_in_pieces",
        actions=[
            Write(request("/x", CHUNKED, method="POST")),
            Wait(0.03),
            Write(b"5\r"),
            Wait(0.03),
            Write(b"\nhel"),
            Wait(0.03),
            Write(b"lo\r\n0\r\n\r"),
            Wait(0.03),
            Write(b"\n"),
            Read(),
        ],
        expect={"upstream[0].body": b"hello"},
    ),
    Case(
        "length_in_pieces",
        actions=[
            Write(post("/x", body=b"hello")[:20]),
            Wait(0.03),
            Write(post("/x", body=b"hello")[20:-2]),
            Wait(0.03),
            Write(b"lo"),
            Read(),
        ],
        ignore=["upstream[0].header.content-length"],
    ),
    Case("length_zero_post", post("/x", body=b""), expect={"client[0].status": 200}),
    Case("post_without_length", request("/x", method="POST"), expect={"client[0].status": 200}),
    Case("get_with_body", post("/x", body=b"abc", method="GET"), expect={"upstream[0].body": b"abc"}),
    Case("delete_with_body", post("/x", body=b"abc", method="DELETE"), expect={"upstream[0].body": b"abc"}),
    Case(
        "close_delimited_upstream",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", Close())],
        expect={"client[0].framing": "chunked", "client[0].body": b"until the end"},
    ),
    Case(
        "close_delimited_ended_by_reset",
        request("/x"),
        script=[raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", Pause(0.05), Reset())],
    ),
    Case(
        "close_delimited_http10",
        request("/x"),
        script=[raw(b"HTTP/1.0 200 OK\r\n\r\nok", Close())],
        expect={"client[0].body": b"ok"},
    ),
    head("head_with_length", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    head("head_chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    head("head_without_framing", b"HTTP/1.1 200 OK\r\n\r\n"),
    bare("status_204", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    bare("status_204_length_zero", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204),
    bare("status_204_length_five", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 502),
    bare("status_204_chunked", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
    bare("status_304", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304),
    bare("status_304_with_length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304),
    bare("status_205", b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", 205),
    bare("status_unknown_599", b"HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nok", 599),
    bare("status_999", b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", 999),
    Case(
        "expect_continue",
        actions=[Write(post("/x", "Expect: 100-continue")[:-5]), Wait(0.1), Write(b"hello"), Read()],
        script=[reply()],
        expect={"client[0].interim[0].status": 100, "upstream[0].body": b"hello"},
    ),
    Case(
        "expect_continue_both",
        actions=[Write(post("/x", "Expect: 100-continue")[:-5]), Wait(0.1), Write(b"hello"), Read()],
        script=[[Send(b"HTTP/1.1 100 Continue\r\n\r\n"), ReadBody(), Send(response_bytes())]],
        expect={"client[0].interim[0].status": 100},
    ),
    Case("expect_other", post("/x", "Expect: foo"), expect={"client[0].status": 200}),
    Case(
        "interim_102",
        request("/x"),
        script=[raw(b"HTTP/1.1 102 Processing\r\nA: b\r\n\r\n" + response_bytes())],
        expect={"client[0].status": 200},
    ),
    Case(
        "interim_103",
        request("/x"),
        script=[raw(b"HTTP/1.1 103 Early\r\nLink: b\r\n\r\n" + response_bytes())],
        expect={"client[0].status": 200},
    ),
    Case(
        "interim_100_unasked",
        request("/x"),
        script=[raw(b"HTTP/1.1 100 Continue\r\n\r\n" + response_bytes())],
        expect={"client[0].status": 200},
    ),
    Case("one_mebibyte_up", post("/x", body=BIG), expect={"upstream[0].body": BIG, "log[0].bytes_received": len(BIG)}),
    Case(
        "one_mebibyte_down",
        request("/x"),
        script=[reply(200, BIG)],
        expect={"client[0].body": BIG, "log[0].bytes_sent": len(BIG)},
    ),
    Case("one_mebibyte_chunked_down", request("/x"), script=[chunked(BIG)], expect={"client[0].body": BIG}),
    Case(
        "early_response_then_close",
        actions=[Write(post("/x", body=b"helloworld")[:-5]), Read()],
        script=[[Send(response_bytes(200, b"early"))]],
        ignore=["upstream[0].body", "upstream[0].complete", "client.end"],
        expect={"client[0].header.connection": ("close",)},
    ),
    *(
        Case(f"no_body_with_{method.lower()}", request("/x", method=method))
        for method in ("DELETE", "OPTIONS", "PROPFIND", "PATCH")
    ),
)
