"""HTTP/1 heads: bytes up to the empty line → `RequestHead`, `ResponseHead`.

httptools (llhttp) parses; it is fed exactly one head, because it cannot pause and because bodies are framed by
`codec.framing`. Names are lower-cased on the way.
"""

from __future__ import annotations

import re
from typing import Any, Final

import httptools

from sidecar.http.head import (
    HOP_HEADERS,
    HTTP10,
    HTTP11,
    INDEXED_HEADERS,
    RESPONSE_HOP_HEADERS,
    RequestHead,
    ResponseHead,
    Spelling,
)
from sidecar.http.headers import Headers

_INTEREST: Final = HOP_HEADERS | INDEXED_HEADERS


class HeadError(Exception):
    """A head that is refused; the message is Envoy's code detail."""


class RequestParser:
    """Parses request heads of one connection, one `parse` each."""

    __slots__ = ("_llhttp", "headers", "hop_headers", "indexed_headers", "spelling", "target")

    def __init__(self) -> None:
        self._llhttp: Any = None
        self.spelling: Spelling | None = None  # of the names, where that is remembered
        self.reset()

    def reset(self) -> None:
        """What the callbacks fill."""
        self.headers: Headers = []
        self.hop_headers: dict[bytes, bytes] = {}
        self.indexed_headers: dict[bytes, bytes] = {}
        self.target = b""

    def forget(self) -> None:
        """Nothing more will be parsed: what llhttp refers to it by would keep both in a cycle."""
        self._llhttp = None

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip()  # white space behind it is no part of it (RFC 9110 §5.5); llhttp leaves it on
        if name in _INTEREST:
            found = self.hop_headers if name in HOP_HEADERS else self.indexed_headers
            if name in found:
                found[name] += b"," + value  # repeated fields read as one (RFC 9110 §5.3)
            else:
                found[name] = value
            if found is self.hop_headers:
                return
        self.headers.append((name, value))

    def parse(self, head: bytes) -> RequestHead:
        """Raises HeadError."""
        self.reset()
        hop_headers = self.hop_headers
        llhttp = self._llhttp
        if llhttp is None:
            llhttp = httptools.HttpRequestParser(self)
        try:
            llhttp.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            self._llhttp = None
            raise HeadError("http1.codec_error") from error
        line_end = head.find(b"\r\n")
        http10 = False
        # Cheaper than llhttp's version, which is text made anew. (Compiled, a slice must not begin behind its end.)
        if line_end < 9 or head[line_end - 9 : line_end] != b" HTTP/1.1":
            version = llhttp.get_http_version()
            http10 = version != "1.1"
            if version not in ("1.1", "1.0"):
                raise HeadError("http1.codec_error")
        # The field is mostly absent, or one of two words: 0.4 µs cheaper than reading it.
        keeps = _KEEPS.get(hop_headers.get(b"connection", b""))
        if keeps is None or http10 or b"proxy-connection" in hop_headers:
            keeps = keeps_alive(hop_headers, http10)
        # llhttp now waits for a body that it will never see: the next head needs a new one (0.35 µs).
        ends_here = not hop_headers or hop_headers.keys().isdisjoint(_LEAVES_LLHTTP_WAITING)
        self._llhttp = llhttp if ends_here else None
        method, protocol = llhttp.get_method(), HTTP10 if http10 else HTTP11
        request = RequestHead(method, self.target, self.headers, hop_headers, self.indexed_headers, protocol, keeps)
        if self.spelling is not None:
            request.spelling = self.spelling
        return request


_KEEPS: Final = {b"": True, b"keep-alive": True, b"Keep-Alive": True, b"close": False}
_LEAVES_LLHTTP_WAITING: Final = frozenset((b"content-length", b"transfer-encoding", b"upgrade", b"connection"))


def keeps_alive(hop_headers: dict[bytes, bytes], http10: bool) -> bool:
    """Whether the sender lets the connection live (RFC 9112 §9.3); Proxy-Connection counts too, as in Envoy."""
    options = hop_headers.get(b"connection", b"").lower()
    if b"proxy-connection" in hop_headers:
        options += b"," + hop_headers[b"proxy-connection"].lower()
    if not options:
        return not http10
    names = [name.strip() for name in options.split(b",")]
    return b"close" not in names and (not http10 or b"keep-alive" in names)


def switches(head: ResponseHead) -> bool:
    """Whether a 101 says what it switches to."""
    hop_headers = head.hop_headers
    return b"upgrade" in hop_headers and b"upgrade" in hop_headers.get(b"connection", b"").lower()


_OK: Final = b"HTTP/1.1 200 OK\r\n"  # nearly all of them begin so
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [1-9]\d\d(?: [^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")


class ResponseParser(ResponseHead):
    """A head that fills itself; make a new one for each response."""

    __slots__ = ()

    def __init__(self) -> None:  # (what the class it inherits from does, without the call)
        self.status = 0
        self.headers = []
        self.hop_headers = {}
        self.keep_alive = True
        self.spelling = None

    def reset(self) -> None:
        self.headers = []
        self.hop_headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip()  # white space behind it is no part of it (RFC 9110 §5.5); llhttp leaves it on
        if name in RESPONSE_HOP_HEADERS:
            hop_headers = self.hop_headers
            hop_headers[name] = hop_headers[name] + b"," + value if name in hop_headers else value
            if name != b"content-length":  # it travels on, in its place
                return
        self.headers.append((name, value))

    def parse(self, head: bytes) -> None:
        """Raises HeadError."""
        if not head.startswith(_OK) and _STATUS_LINE.match(head) is None:
            raise HeadError("http1.codec_error")  # llhttp would take other protocols', and empty lines before it
        llhttp = httptools.HttpResponseParser(self)
        try:
            llhttp.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise HeadError("http1.codec_error") from error
        self.status = llhttp.get_status_code()
        hop_headers, http10 = self.hop_headers, not head.startswith(b"HTTP/1.1")
        keeps = _KEEPS.get(hop_headers.get(b"connection", b""))
        if keeps is None or http10 or b"proxy-connection" in hop_headers:
            keeps = keeps_alive(hop_headers, http10)
        self.keep_alive = keeps
