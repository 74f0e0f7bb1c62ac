"""Request and response heads, by llhttp and by our second opinion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.codec import fallback_parser
from sidecar.codec.h1_parser import HeadError, RequestParser, ResponseParser


def test_headers_are_sorted_into_those_that_travel_and_those_that_do_not() -> None:
    head = RequestParser().parse(
        b"POST /p?q HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 3\r\nX-Request-Id: r\r\n\r\n"
    )
    assert (head.method, head.target, head.keep_alive) == (b"POST", b"/p?q", True)
    assert head.headers == [(b"x-a", b"1"), (b"x-request-id", b"r")]
    assert head.hop_headers == {b"host": b"a", b"content-length": b"3"}
    assert head.indexed_headers == {b"x-request-id": b"r"}


def test_a_parser_serves_one_request_after_another() -> None:
    parser = RequestParser()
    for path in (b"/1", b"/2", b"/3"):
        head = parser.parse(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        assert head.target == path
        assert head.headers == []


def test_repeated_special_fields_join() -> None:
    head = RequestParser().parse(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n")
    assert head.hop_headers[b"connection"] == b"x,close"
    assert not head.keep_alive


def test_white_space_behind_a_value_is_no_part_of_it() -> None:
    head = RequestParser().parse(b"GET / HTTP/1.1\r\nHost: a \r\nX-A:  b c \t\r\nX-Request-Id: r \r\n\r\n")
    assert head.headers == [(b"x-a", b"b c"), (b"x-request-id", b"r")]
    assert head.hop_headers == {b"host": b"a"}
    assert head.indexed_headers == {b"x-request-id": b"r"}
    response = ResponseParser()
    response.parse(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: b \r\n\r\n")
    assert (b"x-a", b"b") in response.headers


def test_a_refused_head_does_not_spoil_the_next() -> None:
    parser = RequestParser()
    with pytest.raises(HeadError):
        parser.parse(b"nonsense\r\n\r\n")
    assert parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").method == b"GET"


def test_response_head() -> None:
    parser = ResponseParser()
    parser.parse(b"HTTP/1.1 404 Nope\r\nServer: s\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n")
    assert parser.status == 404
    assert parser.headers == [(b"x-a", b"1"), (b"content-length", b"0")]
    assert parser.hop_headers == {b"server": b"s", b"content-length": b"0"}


# What Envoy 1.40 answers, seen on the real one.
@pytest.mark.parametrize(
    ("head", "detail"),
    [
        (b"garbage\r\n\r\n", "http1.codec_error"),
        (b"get /x HTTP/1.1\r\nHost: a\r\n\r\n", "http1.codec_error"),
        (b"FOO /x HTTP/1.1\r\nHost: a\r\n\r\n", "http1.codec_error"),
        (b"GET /x HTTP/1.2\r\nHost: a\r\n\r\n", "low_version"),
        (b"GET /x\r\nHost: a\r\n\r\n", "low_version"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX : v\r\n\r\n", "http1.codec_error"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "http1.invalid_characters"),
        (b"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", "http1.invalid_characters"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", "http1.codec_error"),
        (b"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", "http1.invalid_url"),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "http1.codec_error"),
    ],
)
def test_refusals_are_envoys(head: bytes, detail: str) -> None:
    with pytest.raises(HeadError, match=detail):
        fallback_parser.parse(head, RequestParser())


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        (b"GET /x HTTP/1.1\nHost: a\nX: 1\n\n", [(b"x", b"1")]),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n  b\r\n\r\n", [(b"x", b"a  b")]),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", [(b"x", b"ab")]),
        (b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n", []),
    ],
)
def test_what_llhttp_refuses_and_envoy_does_not(head: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    parsed = fallback_parser.parse(head, RequestParser())
    assert parsed.headers == headers
    assert parsed.hop_headers[b"host"] == b"a"


@given(st.binary(max_size=300))
def test_the_second_opinion_decides_on_any_bytes(head: bytes) -> None:
    try:
        parsed = fallback_parser.parse(head, RequestParser())
    except HeadError:
        return
    assert parsed.method and parsed.target


@given(st.binary(max_size=100))
def test_hopeless_never_condemns_the_beginning_of_a_good_head(data: bytes) -> None:
    good = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    assert all(fallback_parser.hopeless(good[:size]) is None for size in range(len(good)))
    fallback_parser.hopeless(data)


@pytest.mark.fault(34)
@pytest.mark.parametrize("method", [b"QUERY", b"MSEARCH", b"PURGE"])
def test_a_method_is_known_however_its_head_is_split(method: bytes) -> None:
    head = method + b" /x HTTP/1.1\r\nHost: a\r\n\r\n"
    assert all(fallback_parser.hopeless(head[:size]) is None for size in range(len(head)))


@pytest.mark.fault(34)
def test_a_request_of_another_version_may_be_taken_for_one_of_1_0() -> None:
    parser = RequestParser()
    head = fallback_parser.parse(b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n", parser, any_version=True)
    assert (head.protocol, head.keep_alive, head.hop_headers) == ("HTTP/1.0", False, {b"host": b"a"})
    assert fallback_parser.hopeless(b"GET /x\r\n", any_version=True) == fallback_parser.SIMPLE
    head = fallback_parser.parse(b"GET /x\r\nHost: a\r\n\r\n", parser, any_version=True)
    assert (head.protocol, head.target, head.hop_headers) == ("HTTP/1.0", b"/x", {})


@pytest.mark.fault(36)
@pytest.mark.parametrize(
    "line", [b"RTSP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 2000 OK"]
)
def test_what_is_no_status_line_is_no_response(line: bytes) -> None:
    head = line + b"\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(HeadError):
        ResponseParser().parse(head)
    with pytest.raises(HeadError):
        fallback_parser.parse_response(head, ResponseParser())


@pytest.mark.parametrize("line", [b"GET /xHTTP/1.1", b"GET HTTP/1.1", b"GET /", b"GET / HTTP/2.0", b"GET / HTTP/0.9"])
def test_a_version_is_a_word_of_its_own(line: bytes) -> None:
    with pytest.raises(HeadError):
        RequestParser().parse(line + b"\r\nhost: a\r\n\r\n")


@given(st.sampled_from([b"", b"\r\n", b"\n"]), st.sampled_from([b"1.0", b"1.1"]), st.sampled_from([b"HTTP/1.1", b"x"]))
def test_the_version_is_the_request_lines(before: bytes, version: bytes, value: bytes) -> None:
    head = RequestParser().parse(before + b"GET / HTTP/" + version + b"\r\nx: " + value + b"\r\n\r\n")
    assert head.protocol == "HTTP/" + version.decode()
