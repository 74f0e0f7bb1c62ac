"""Heads on their way out: one `join` for the fields of a message."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from sidecar.http.head import RequestHead
from sidecar.http.headers import Headers

# The phrases that Envoy knows; for others it writes Unknown.
_SPANS: Final = (range(100, 103), range(200, 209), range(300, 306), range(400, 418), range(421, 427), range(500, 509))
_KNOWN: Final = (*(status for span in _SPANS for status in span), 226, 307, 308, 428, 429, 431, 510, 511)
_PHRASES: Final = {305: "Use Proxy", 413: "Payload Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable"} | {
    422: "Unprocessable Entity",
    599: "Last Unassigned Server Error Code",
}


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


_LINES: Final = {status: f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode() for status in (*_KNOWN, 599)}

_field = b": ".join
_lines = b"\r\n".join


def status_line(status: int) -> bytes:
    line = _LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d Unknown\r\n" % status


def response_head(status: int, headers: Headers) -> bytes:
    """A response's head, with the empty line; `headers` is not empty."""
    line = _LINES.get(status) or status_line(status)
    return line + _lines(map(_field, headers)) + b"\r\n\r\n"


def request_head(head: RequestHead, framing: bytes) -> bytes:
    """A request's head, with the empty line; its headers are not empty, `framing` are whole lines."""
    fields = _lines(map(_field, head.headers))  # (of few and short pieces a sum is cheaper than a join)
    start = head.method + b" " + head.target + b" HTTP/1.1\r\nhost: " + head.authority + b"\r\n"
    return start + fields + b"\r\n" + framing + b"\r\n"
