"""gRPC-Web without sockets: base64 however it comes, trailers as a frame, answers that are no gRPC."""

from __future__ import annotations

from base64 import b64decode, b64encode
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.filter_model import GrpcWeb
from sidecar.filters import Encode, RefusedBody
from sidecar.filters.bodies import BodyChange, ResponseBody
from sidecar.filters.grpc_web import AsItIs, FromText, GrpcWebFilter, ToMessage, ToText, ToWeb
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, get
from tests.unit.sidecar.filters.support import Bench, answered, asked, exchange

messages = st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=40)), max_size=6)
CHUNK = st.integers(1, 30)


def framed(found: list[tuple[int, bytes]]) -> list[bytes]:
    return [bytes((flags,)) + len(data).to_bytes(4) + data for flags, data in found]


def in_pieces(change: BodyChange, data: bytes, size: int) -> bytes:
    pieces = [change.feed(data[at : at + size], False) for at in range(0, len(data), size)]
    return b"".join(pieces)


def web(content_type: bytes, *headers: tuple[bytes, bytes]) -> Exchange:
    fields = [(b"content-type", content_type), *headers]
    request = exchange(fields, b"POST", b"/pkg.Service/Method")
    request.indexed_headers[b"content-type"] = content_type
    return request


@given(messages, CHUNK)
def test_text_of_messages_is_padded_one_by_one(found: list[tuple[int, bytes]], size: int) -> None:
    frames = framed(found)
    change = ToText(lambda _fields: None)
    assert in_pieces(change, b"".join(frames), size) == b"".join(map(b64encode, frames))
    change.take_trailers([(b"grpc-status", b"0")])
    assert b64decode(change.feed(b"", True)) == b"\x80\0\0\0\x0fgrpc-status:0\r\n"


@given(messages, CHUNK)
def test_binary_messages_pass(found: list[tuple[int, bytes]], size: int) -> None:
    counted: list[Headers] = []
    change, data = ToWeb(lambda fields: counted.append(list(fields))), b"".join(framed(found))
    trailers = [(b"grpc-status", b"5"), (b"x", b"y")]
    assert in_pieces(change, data, size) == data
    change.take_trailers(trailers)
    assert trailers == []
    assert change.feed(b"", True) == b"\x80\0\0\0\x14grpc-status:5\r\nx:y\r\n"
    assert counted == [[(b"grpc-status", b"5"), (b"x", b"y")]]


@given(st.binary(max_size=100), CHUNK)
def test_a_requests_text(plain: bytes, size: int) -> None:
    change = FromText()
    assert in_pieces(change, b64encode(plain), size) + change.feed(b"", True) == plain


@pytest.mark.parametrize("text", [b"A", b"AAA", b"AB==", b"AAB=", b"A===", b"!!!!", b"A-_A", b"AA==AAAA", b"AAAA\r\n"])
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    change = FromText()
    with pytest.raises(RefusedBody) as caught:
        change.feed(text, True)
    assert caught.value.reply.status == 400


@given(st.binary(max_size=60), CHUNK)
def test_whatever_a_client_sends_is_text_or_refused(data: bytes, size: int) -> None:
    change = FromText()
    try:
        plain = in_pieces(change, data, size) + change.feed(b"", True)
    except RefusedBody:
        return
    assert len(plain) <= len(data)


def test_a_request_becomes_grpc() -> None:
    steps = Bench().steps(GrpcWebFilter, GrpcWeb())
    for content_type, kind in ((b"application/grpc-web", AsItIs), (b"application/grpc-web-text+proto", FromText)):
        request = web(content_type)
        request.hop_headers[b"content-length"] = b"5"
        decision = asked(steps, request)
        assert isinstance(decision, Encode) and isinstance(decision.request, kind)
        assert dict(request.headers) == {
            b"content-type": b"application/grpc",
            b"te": b"trailers",
            b"grpc-accept-encoding": b"identity",
        }
        assert request.grpc is not None and b"content-length" not in request.hop_headers


def test_others_are_left_alone() -> None:
    steps = Bench().steps(GrpcWebFilter, GrpcWeb())
    for content_type in (b"application/grpc", b"application/grpc-web+json", b"application/grpc-web; a=b"):
        request = web(content_type)
        assert asked(steps, request) is None
        assert request.headers == [(b"content-type", content_type)]
        assert answered(steps, request, [(b"content-type", b"a")]) == [(b"content-type", b"a")]


def test_an_answer_that_is_no_grpc_becomes_a_message() -> None:
    steps = Bench().steps(GrpcWebFilter, GrpcWeb())
    request = web(b"application/grpc-web", (b"accept", b"application/grpc-web-text"))
    asked(steps, request)
    request.status = 503
    request.keep(ResponseBody, ResponseBody(True))
    headers = answered(steps, request, [(b"content-length", b"4"), (b"content-type", b"text/plain")])
    (change,) = request.kept(ResponseBody).changes
    assert isinstance(change, ToMessage) and change.holds_head
    assert change.feed(b"x" * 20000, False) + change.feed(b"y", True) == b""
    assert get(headers, b"content-type") == b"application/grpc-web-text+proto"
    (step,) = steps.response
    step(request, headers)
    assert len(request.kept(ResponseBody).changes) == 2


def test_methods_that_are_counted_are_bounded() -> None:
    bench = Bench()
    config = SimpleNamespace(alt_stat_name="")
    made = GrpcWebFilter(GrpcWeb(), bench.context())
    steps = made.bind((), None)
    for number in range(1100):
        request = web(b"application/grpc-web")
        request.cluster = SimpleNamespace(name="up", config=config)  # type: ignore[assignment]
        request.path = b"/s/m%d" % number
        asked(steps, request)
        request.status = 200
        request.keep(ResponseBody, ResponseBody(False))
        answered(steps, request, [(b"grpc-status", b"0")])
    assert bench.count("cluster.up.grpc-web.s.m999.success") == 1
    assert bench.count("cluster.up.grpc-web.s.m1000.success") == 0
