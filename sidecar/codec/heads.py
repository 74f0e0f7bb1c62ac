"""Message heads: bytes up to the empty line → method, target, headers.

httptools (llhttp) parses; it is fed exactly one head, because it cannot pause and because bodies are framed by
`sidecar.codec.framing`. Names are lower-cased on the way. Headers that the proxy itself acts on, and that never travel
on as they came (framing, connection management, host), go to `hop_headers`; all others to `headers`, in order.
`indexed_headers` has the values of those that some station will look for.
"""

from __future__ import annotations

from typing import Any, Final

import httptools

from sidecar.http.headers import Headers

# Request fields that never travel on as they came: hop-by-hop ones (RFC 9110 §7.6.1) and those that the proxy renders.
HOP_HEADERS: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"x-envoy-peer-metadata",
        b"x-envoy-peer-metadata-id",
    )
)

# Request fields that travel on and that some station asks for: found here without a walk through the list.
INDEXED_HEADERS: Final = frozenset(
    (
        b"b3",
        b"content-type",
        b"traceparent",
        b"x-b3-sampled",
        b"x-b3-traceid",
        b"x-client-trace-id",
        b"x-envoy-attempt-count",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-envoy-decorator-operation",
        b"x-envoy-force-trace",
        b"x-envoy-hedge-on-per-try-timeout",
        b"x-envoy-internal",
        b"x-envoy-ip-tags",
        b"x-envoy-max-retries",
        b"x-envoy-original-path",
        b"x-envoy-original-url",
        b"x-envoy-retriable-header-names",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retry-on",
        b"x-envoy-upstream-alt-stat-name",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-alt-response",
        b"x-envoy-upstream-rq-timeout-ms",
        b"x-envoy-upstream-stream-duration-ms",
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-request-id",
    )
)
_INTEREST: Final = HOP_HEADERS | INDEXED_HEADERS

RESPONSE_HOP_HEADERS: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"server",
        b"transfer-encoding",
        b"upgrade",
        b"x-envoy-peer-metadata",
        b"x-envoy-peer-metadata-id",
        b"x-envoy-upstream-service-time",
    )
)


class HeadError(Exception):
    """A head that is refused; the message is Envoy's code detail."""


class RequestParser:
    """Parses request heads, one `parse` each; the results stand in the attributes until the next one."""

    __slots__ = ("_llhttp", "headers", "hop_headers", "http10", "indexed_headers", "keep_alive", "method", "target")

    def __init__(self) -> None:
        self._llhttp: Any = None
        self.headers: Headers = []
        self.hop_headers: dict[bytes, bytes] = {}
        self.indexed_headers: dict[bytes, bytes] = {}
        self.target = b""
        self.method = b""
        self.http10 = False
        self.keep_alive = True

    def reset(self) -> None:
        self.headers = []
        self.hop_headers = {}
        self.indexed_headers = {}
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

    def parse(self, head: bytes) -> None:
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
        self.method = llhttp.get_method()
        version = llhttp.get_http_version()
        self.http10 = version != "1.1"
        if version not in ("1.1", "1.0"):
            raise HeadError("http1.codec_error")
        # The field is mostly absent, or one of two words: 0.4 µs cheaper than reading it.
        keeps = _KEEPS.get(hop_headers.get(b"connection", b""))
        if keeps is None or self.http10 or b"proxy-connection" in hop_headers:
            keeps = keeps_alive(hop_headers, self.http10)
        self.keep_alive = keeps
        # llhttp now waits for a body that it will never see: the next head needs a new one (0.35 µs).
        ends_here = not hop_headers or hop_headers.keys().isdisjoint(_LEAVES_LLHTTP_WAITING)
        self._llhttp = llhttp if ends_here else None


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


def switches(head: ResponseParser) -> bool:
    """Whether a 101 says what it switches to."""
    hop_headers = head.hop_headers
    return b"upgrade" in hop_headers and b"upgrade" in hop_headers.get(b"connection", b"").lower()


class ResponseParser:
    """Parses one response head; make a new one for each."""

    __slots__ = ("headers", "hop_headers", "keep_alive", "status")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.hop_headers: dict[bytes, bytes] = {}
        self.status = 0
        self.keep_alive = True

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip()  # white space behind it is no part of it (RFC 9110 §5.5); llhttp leaves it on
        if name in RESPONSE_HOP_HEADERS:
            hop_headers = self.hop_headers
            hop_headers[name] = hop_headers[name] + b"," + value if name in hop_headers else value
            if name != b"content-length":  # it travels on, in its place
                return
        self.headers.append((name, value))

    def reset(self) -> None:
        self.headers = []
        self.hop_headers = {}

    def parse(self, head: bytes) -> None:
        """Raises HeadError."""
        llhttp = httptools.HttpResponseParser(self)
        try:
            llhttp.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise HeadError("http1.codec_error") from error
        self.status = llhttp.get_status_code()
        hop_headers = self.hop_headers
        keeps = _KEEPS.get(hop_headers.get(b"connection", b""))
        if keeps is None or b"proxy-connection" in hop_headers or llhttp.get_http_version() != "1.1":
            keeps = keeps_alive(hop_headers, llhttp.get_http_version() != "1.1")
        self.keep_alive = keeps
