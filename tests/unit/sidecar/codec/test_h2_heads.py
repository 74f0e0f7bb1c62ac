"""Fields → heads."""

import pytest

from sidecar.codec import h2_heads
from sidecar.codec.h2_heads import INVALID_FIELD, MalformedError
from sidecar.codec.hpack_decoder import Field
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers

GET: Headers = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]


def request(headers: Headers) -> RequestHead:
    fields = [Field(name, value, h2_heads.request_kind(name, value)) for name, value in headers]
    return h2_heads.request(fields, extended_connect=True)


def response(headers: Headers) -> ResponseHead:
    return h2_heads.response([Field(name, value, h2_heads.response_kind(name, value)) for name, value in headers])


def test_a_request() -> None:
    head = request([*GET, (b"te", b"trailers"), (b"x-a", b"1"), (b"x-request-id", b"7"), (b"content-length", b"3")])
    assert (head.method, head.hop_headers[b"host"], head.target, head.protocol) == (b"GET", b"a", b"/", "HTTP/2")
    assert head.headers == [(b"x-a", b"1"), (b"x-request-id", b"7")]
    assert head.indexed_headers == {b"x-request-id": b"7"}
    assert head.hop_headers == {b"host": b"a", b"te": b"trailers", b"content-length": b"3"}
    assert h2_heads.length_of(head.hop_headers) == 3


def test_cookies_are_one_field() -> None:
    head = request([*GET, (b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"), (b"cookie", b"c=3")])
    assert head.headers == [(b"cookie", b"a=1; b=2; c=3"), (b"x-a", b"1")]


def test_repeated_fields_read_as_one_and_travel_as_they_are() -> None:
    head = request([*GET, (b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2")])
    assert head.indexed_headers == {b"x-forwarded-for": b"1.1.1.1,2.2.2.2"}
    assert len(head.headers) == 2


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ([(b"X-A", b"1")], INVALID_FIELD),
        ([(b"x a", b"1")], INVALID_FIELD),
        ([(b"", b"1")], INVALID_FIELD),
        ([(b"x-a", b"1\n")], INVALID_FIELD),
        ([(b"x-a", b"\0")], INVALID_FIELD),
        ([(b"connection", b"close")], INVALID_FIELD),
        ([(b"keep-alive", b"5")], INVALID_FIELD),
        ([(b"transfer-encoding", b"chunked")], INVALID_FIELD),
        ([(b"upgrade", b"websocket")], INVALID_FIELD),
        ([(b"te", b"gzip")], INVALID_FIELD),
        ([(b":path", b"/again")], INVALID_FIELD),
        ([(b":status", b"200")], INVALID_FIELD),
        ([(b":unknown", b"1")], INVALID_FIELD),
        ([(b"x-a", b"1"), (b":protocol", b"late")], INVALID_FIELD),
        ([(b"content-length", b"x")], INVALID_FIELD),
        ([(b"content-length", b"1"), (b"content-length", b"2")], INVALID_FIELD),
        ([(b"content-length", b"1"), (b"content-length", b"1")], INVALID_FIELD),
        ([(b"host", b"a"), (b"host", b"a")], INVALID_FIELD),
    ],
)
def test_fields_that_make_a_request_malformed(more: Headers, detail: str) -> None:
    with pytest.raises(MalformedError, match=detail):
        request(GET + more)


def test_a_host_stands_behind_the_pseudo_header_fields_and_says_nothing_beside_an_authority() -> None:
    assert request([*GET, (b"host", b"b")]).hop_headers == {b"host": b"a"}
    without = [field for field in GET if field[0] != b":authority"]
    assert request([*without, (b"host", b"b")]).hop_headers == {b"host": b"b"}
    for early in ([(b"host", b"b"), *GET], [*GET[:3], (b"host", b"b"), GET[3]]):
        with pytest.raises(MalformedError, match=INVALID_FIELD):
            request(early)


@pytest.mark.parametrize("missing", [b":method", b":scheme", b":path"])
def test_what_every_request_has(missing: bytes) -> None:
    with pytest.raises(MalformedError):
        request([field for field in GET if field[0] != missing])


def test_connect_has_less_and_extended_connect_has_all() -> None:
    assert request([(b":method", b"CONNECT"), (b":authority", b"a:80")]).target == b"a:80"
    with pytest.raises(MalformedError):
        request([(b":method", b"CONNECT"), (b":authority", b"a:80"), (b":protocol", b"websocket")])
    head = request([(b":method", b"CONNECT"), *GET[1:], (b":protocol", b"websocket")])
    assert (head.method, head.target, head.hop_headers) == (
        b"GET",
        b"/",
        {b"host": b"a", b"connection": b"upgrade", b"upgrade": b"websocket"},
    )


def test_a_response() -> None:
    head = response([(b":status", b"200"), (b"content-length", b"3"), (b"server", b"s"), (b"set-cookie", b"a")])
    assert head.status == 200
    assert head.headers == [(b"content-length", b"3"), (b"set-cookie", b"a")]
    assert head.hop_headers == {b"content-length": b"3", b"server": b"s"}
    assert h2_heads.length_of(head.hop_headers) == 3


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-a", b"1")],
        [(b":status", b"20")],
        [(b":status", b"2x0")],
        [(b":status", b"101")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b"x-a", b"1"), (b":status", b"200")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"1")],
        [(b":status", b"204"), (b"content-length", b"1")],
        [(b":status", b"103"), (b"content-length", b"1")],
    ],
)
def test_malformed_responses(headers: Headers) -> None:
    with pytest.raises(MalformedError):
        response(headers)


def test_trailers_have_no_pseudo_header_fields() -> None:
    good = [Field(b"grpc-status", b"0", h2_heads.response_kind(b"grpc-status", b"0"))]
    assert h2_heads.trailers(good) == [(b"grpc-status", b"0")]
    with pytest.raises(MalformedError):
        h2_heads.trailers([*good, Field(b":status", b"200", h2_heads.response_kind(b":status", b"200"))])


def test_trailers_tell_no_length() -> None:
    for kind in (h2_heads.request_kind, h2_heads.response_kind):
        with pytest.raises(MalformedError, match=h2_heads.INVALID_MESSAGE):
            h2_heads.trailers([Field(b"content-length", b"3", kind(b"content-length", b"3"))])


def test_no_content_may_say_that_it_has_none() -> None:
    assert response([(b":status", b"204"), (b"content-length", b"0")]).status == 204


def test_names_are_forgotten_when_there_are_many() -> None:
    for number in range(3000):
        assert h2_heads.request_kind(b"x-%d" % number, b"") == h2_heads.PLAIN
    assert len(h2_heads._request_names) <= 1024
