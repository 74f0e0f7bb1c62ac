"""Replies that the proxy makes itself, as Envoy words them.

gRPC requests are answered in gRPC's way: HTTP 200 with a grpc-status, the body as its message.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from sidecar.http.headers import Headers

# Envoy's mapping of HTTP statuses to gRPC codes for local replies; everything else is 2 (unknown).
_GRPC_STATUS: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}

RESET_TEXT: Final = "upstream connect error or disconnect/reset before headers. "


def is_grpc(content_type: bytes | None) -> bool:
    return content_type is not None and content_type.startswith(b"application/grpc") and content_type[16:17] in b"+;"


def grpc_status_of(status: int) -> int:
    """The gRPC code that stands for an HTTP status."""
    return _GRPC_STATUS.get(status, 2)


def grpc_headers(status: int, body: bytes, grpc_status: int | None) -> Headers:
    """The headers of an answer to a gRPC request: the body is its message."""
    code = grpc_status_of(status) if grpc_status is None else grpc_status
    headers: Headers = [
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % code),
    ]
    if body:
        headers.insert(2, (b"grpc-message", grpc_message(body)))
    return headers


def grpc_message(text: bytes) -> bytes:
    """A text as the value of grpc-message."""
    return quote(text, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}").encode()


def reply_headers(status: int, body: bytes, grpc: bool, grpc_status: int | None = None) -> tuple[int, Headers, bytes]:
    """The status, headers and body that go out for a local reply of `status` with `body`."""
    if grpc:
        return 200, grpc_headers(status, body, grpc_status), b""
    if not body:
        return status, [], b""
    return status, [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")], body


def reset_body(reason: str, retried: bool) -> bytes:
    """What a client reads when no response came."""
    which = "retried and the latest reset reason: " if retried else "reset reason: "
    return (RESET_TEXT + which + reason).encode()
