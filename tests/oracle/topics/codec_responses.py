"""Responses of an upstream that are malformed, ambiguous, or odd."""

from __future__ import annotations

from tests.harness.upstream import Close, raw
from tests.oracle.case import Case, request


def got(name: str, response: bytes, status: int, flags: str = "-") -> Case:
    return Case(name, request("/x"), script=[raw(response)], expect={"client[0].status": status, "log[0].flags": flags})


OK = b"HTTP/1.1 200 OK\r\n"
CASES = (
    got("response_extra_bytes", OK + b"Content-Length: 2\r\n\r\nokEXTRA", 200),
    got(
        "response_length_and_chunked",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        502,
        "UPE",
    ),
    got("response_length_twice_different", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", 502, "UPE"),
    got("response_length_twice_same", OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_length_with_cr", OK + b"Content-Length: 2\r0\r\n\r\nok", 502, "UPE"),
    got("response_switching_chunked", b"HTTP/1.1 101 Switching\r\nTransfer-Encoding: chunked\r\n\r\n", 502, "UPE"),
    got("response_length_negative", OK + b"Content-Length: -2\r\n\r\nok", 502, "UPE"),
    got("response_te_gzip_chunked", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 502, "UPE"),
    got("response_without_reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_status_99", b"HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_bare_lf", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200),
    got("response_obs_fold", OK + b"X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_obs_fold_with_cr", OK + b"X-A: a\r\n b\rc\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_cr_in_value", OK + b"X-A: b\rc\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_version_91", b"HTTP/9.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_status_of_four", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", 2000),
    got("response_status_garbage", b"HTTP/1.1 2+10 OK\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_only_a_version", b"HTTP/1.1 \n", 502, "UPE"),
    Case(
        "response_cut_in_the_status_line",
        request("/x"),
        script=[raw(b"HTTP/1.1 200", Close())],
        expect={"client[0].status": 502, "log[0].flags": "UPE"},
    ),
    Case(
        "response_cut_in_the_head",
        request("/x"),
        script=[raw(OK + b"Content-Length: 2\r\nContent-", Close())],
        expect={"client[0].status": 502, "log[0].flags": "UPE"},
    ),
    got("response_bare_lf_before_a_body_like_headers", b"HTTP/1.1 200 OK\nContent-Length: 11\n\nX-A: b\r\n\r\nx", 200),
    got("response_version_20", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_version_10", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    got("response_large_header", OK + b"X-A: " + b"a" * 50_000 + b"\r\nContent-Length: 2\r\n\r\nok", 200),
    got(
        "response_with_as_many_headers_as_may_be",
        OK + b"".join(b"X-%d: 1\r\n" % n for n in range(99)) + b"Content-Length: 2\r\n\r\nok",
        200,
    ),
    got(
        "response_with_one_header_more_than_may_be",
        OK + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"Content-Length: 2\r\n\r\nok",
        502,
        "UPE",
    ),
    got(
        "response_too_many_headers",
        OK + b"".join(b"X-%d: 1\r\n" % n for n in range(101)) + b"Content-Length: 2\r\n\r\nok",
        502,
        "UPE",
    ),
    got("response_nul_in_value", OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_space_before_colon", OK + b"X-A : a\r\nContent-Length: 2\r\n\r\nok", 502, "UPE"),
    got("response_chunk_extension", OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n", 200),
)
