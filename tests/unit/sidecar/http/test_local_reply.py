"""Replies of the proxy's own, in HTTP's way and in gRPC's."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.local_reply import grpc_message, grpc_status_of, is_grpc, reply_headers, reset_body


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;charset=utf-8", True),
        (b"application/grpc-web", False),
        (b"application/grpcish", False),
        (b"application/json", False),
        (b"", False),
        (None, False),
    ],
)
def test_what_is_grpc(content_type: bytes | None, expected: bool) -> None:
    assert is_grpc(content_type) is expected


def test_a_reply_in_http() -> None:
    assert reply_headers(503, b"no", False) == (
        503,
        [(b"content-length", b"2"), (b"content-type", b"text/plain")],
        b"no",
    )
    assert reply_headers(404, b"", False) == (404, [], b"")


def test_a_reply_in_grpc_is_all_head() -> None:
    headers = [(b"content-type", b"application/grpc"), (b"grpc-status", b"14"), (b"grpc-message", b"no")]
    assert reply_headers(503, b"no", True) == (200, headers, b"")
    assert reply_headers(404, b"", True) == (
        200,
        [(b"content-type", b"application/grpc"), (b"grpc-status", b"12")],
        b"",
    )
    assert dict(reply_headers(503, b"", True, grpc_status=8)[1])[b"grpc-status"] == b"8"


@pytest.mark.parametrize(("status", "code"), [(400, 13), (401, 16), (403, 7), (429, 14), (504, 14), (500, 2), (418, 2)])
def test_the_code_that_stands_for_a_status(status: int, code: int) -> None:
    assert grpc_status_of(status) == code


@given(st.binary(max_size=60))
def test_a_message_comes_back_as_it_was(text: bytes) -> None:
    """Percent-encoded as gRPC has it: printable ASCII but `%` as it is."""
    message = grpc_message(text)
    assert all(0x20 <= byte <= 0x7E for byte in message)
    assert unquote_to_bytes(message) == text


def test_why_there_is_no_answer() -> None:
    assert reset_body("remote reset", False).endswith(b"before headers. reset reason: remote reset")
    assert b"retried and the latest reset reason: remote reset" in reset_body("remote reset", True)
