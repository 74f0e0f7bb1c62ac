"""What a health check sends, and what it makes of the answer."""

from __future__ import annotations

import httptools
import pytest

from sidecar.config.model import AppendAction, HeaderAdd, HeaderOps, HttpProbe
from sidecar.upstream.health import Failure, Verdict
from sidecar.upstream.probe import _HEAD_LIMIT, Response, contains, judge, request_bytes


def test_the_request() -> None:
    assert request_bytes(HttpProbe("/h"), "c") == b"GET /h HTTP/1.1\r\nhost: c\r\nuser-agent: Envoy/HC\r\n\r\n"


def test_headers_and_body() -> None:
    ops = HeaderOps(
        (
            HeaderAdd(b"user-agent", "me", AppendAction.OVERWRITE),
            HeaderAdd(b"x-a", "1"),
            HeaderAdd(b"x-a", "2", AppendAction.ADD_IF_ABSENT),
            HeaderAdd(b"x-b", "3", AppendAction.OVERWRITE_IF_EXISTS),
            HeaderAdd(b"x-c", ""),
        ),
        (b"x-gone",),
    )
    sent = request_bytes(HttpProbe("/", method="POST", headers=ops, send=b"hi"), "c")
    assert sent == b"POST / HTTP/1.1\r\nhost: c\r\nuser-agent: me\r\nx-a: 1\r\ncontent-length: 2\r\n\r\nhi"


@pytest.mark.parametrize(
    ("expected", "found"),
    [((), True), ((b"b",), True), ((b"a", b"c"), True), ((b"c", b"a"), False), ((b"ab", b"b"), False)],
)
def test_pieces_come_in_order(expected: tuple[bytes, ...], found: bool) -> None:
    assert contains(b"abc", expected) is found


@pytest.mark.parametrize(
    ("status", "headers", "body", "verdict"),
    [
        (200, {}, b"ok", Verdict()),
        (204, {}, b"ok", Verdict(Failure.ACTIVE)),
        (503, {}, b"ok", Verdict(Failure.ACTIVE, retriable=True)),
        (200, {}, b"no", Verdict(Failure.ACTIVE)),
        (200, {b"x-envoy-degraded": b""}, b"ok", Verdict(degraded=True)),
        (200, {b"x-envoy-immediate-health-check-fail": b"1"}, b"ok", Verdict()),
        (500, {b"x-envoy-immediate-health-check-fail": b"1"}, b"ok", Verdict(Failure.ACTIVE, excluded=True)),
    ],
)
def test_verdicts(status: int, headers: dict[bytes, bytes], body: bytes, verdict: Verdict) -> None:
    probe = HttpProbe("/", retriable=((503, 504),), receive=(b"ok",))
    assert judge(probe, status, headers, body) == verdict


def fed(*pieces: bytes, without_body: bool = False, limit: int = 1024) -> Response:
    response = Response(without_body, limit)
    for piece in pieces:
        response.feed(piece)
    return response


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_response_in_any_pieces(size: int) -> None:
    data = (
        b"HTTP/1.1 100 Continue\r\nx-envoy-degraded: 1\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 3\r\n\r\nabc"
    )
    response = fed(*[data[at : at + size] for at in range(0, len(data), size)])
    assert (response.complete, response.status, bytes(response.body), response.keep_alive) == (True, 200, b"abc", True)
    assert response.headers == {b"a": b"1", b"content-length": b"3"}


def test_a_response_to_head_has_no_body() -> None:
    assert fed(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", without_body=True).complete


def test_a_body_until_the_end() -> None:
    response = fed(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not response.complete and response.ends_with_connection


def test_only_so_much_of_the_body_is_kept() -> None:
    assert fed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde", limit=3).body == b"abc"
    assert fed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde", limit=0).body == b"abcde"


def test_what_is_not_http_is_refused() -> None:
    with pytest.raises(httptools.HttpParserError):
        fed(b"hello\r\n")
    with pytest.raises(httptools.HttpParserError):
        fed(b"HTTP/1.1 200 OK\r\na: ", b"x" * 100_000)


@pytest.mark.parametrize("more", [0, 1])
def test_a_head_has_its_limit(more: int) -> None:
    response = Response(False, 0)
    start = b"HTTP/1.1 200 OK\r\nx: "
    response.feed(start)
    rest = b"y" * (_HEAD_LIMIT - len(start) + more)
    if more:
        with pytest.raises(httptools.HttpParserError, match="too long"):
            response.feed(rest)
    else:
        response.feed(rest)
