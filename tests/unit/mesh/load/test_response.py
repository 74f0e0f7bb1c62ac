"""Where responses end, however their bytes come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.load.response import MOST_HEAD, ProtocolError, Response

WHOLE = {
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello": (200, 5, True),
    b"HTTP/1.1 200 OK\r\nContent-Length:0\r\n\r\n": (200, 0, True),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, 0, True),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\ncontent-length: 1\r\n\r\nx": (503, 1, True),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n": (
        200,
        15,
        True,
    ),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n": (200, 0, True),
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok": (200, 2, False),
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok": (200, 2, False),
}


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(1, 20), max_size=80))
def test_the_pieces_do_not_matter(data: bytes, sizes: list[int]) -> None:
    response, position = Response(), 0
    for size in [*sizes, len(data)]:
        piece = data[position : position + size]
        if piece:
            assert not response.done
            response.feed(piece)
        position += size
    assert response.done
    assert (response.status, response.size, response.reusable) == WHOLE[data]


def test_a_response_to_head_has_no_body() -> None:
    response = Response(no_body=True)
    response.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
    assert response.done and response.reusable


def test_a_body_that_ends_with_its_connection() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    response.feed(b"thing")
    assert not response.done
    assert response.end()
    assert (response.size, response.reusable) == (9, False)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", b"HTTP/1.1 200"])
def test_a_cut_response_is_not_whole(data: bytes) -> None:
    response = Response()
    if data:
        response.feed(data)
    assert not response.end()


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"x" * MOST_HEAD,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_response(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Response().feed(data)


def test_bytes_after_the_end_spoil_the_connection() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP")
    assert response.done and not response.reusable


@given(st.binary(max_size=200))
def test_any_bytes_are_a_response_or_an_error(data: bytes) -> None:
    response = Response()
    try:
        response.feed(data)
    except ProtocolError:
        return
    response.end()
