"""Heads on their way out: one `join` for a message."""

from __future__ import annotations

from http import HTTPStatus

from sidecar.codec.headers import Headers

_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
# Where Envoy's phrases are not Python's.
_LINES[302] = b"HTTP/1.1 302 Found\r\n"
_LINES[413] = b"HTTP/1.1 413 Payload Too Large\r\n"
_LINES[416] = b"HTTP/1.1 416 Range Not Satisfiable\r\n"
_LINES[422] = b"HTTP/1.1 422 Unprocessable Entity\r\n"

_field = b": ".join
_lines = b"\r\n".join


def status_line(status: int) -> bytes:
    line = _LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d Unknown\r\n" % status


def response_head(status: int, headers: Headers) -> bytes:
    """A response's head, with the empty line; `headers` is not empty."""
    line = _LINES.get(status) or status_line(status)
    return line + _lines(map(_field, headers)) + b"\r\n\r\n"


def request_head(method: bytes, path: bytes, authority: bytes, headers: Headers) -> bytes:
    """A request's head, with the empty line; `headers` is not empty."""
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n\r\n" % (method, path, authority, _lines(map(_field, headers)))
