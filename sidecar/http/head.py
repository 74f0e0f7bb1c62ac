"""Message heads as records: what a codec reads, and what it writes, whatever the version of HTTP.

A codec sorts the fields once, on the way in. `headers` travel on, in order. `hop_headers` never travel on as they came:
hop-by-hop fields (RFC 9110 §7.6.1), framing, and what each proxy says anew. `indexed_headers` has the values of those
travelling fields that some station asks for. Repeated fields read as one in both (RFC 9110 §5.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.http.headers import Headers

# How a name is written, given in lower case.
Spelling = Callable[[bytes], bytes]

HTTP10: Final = "HTTP/1.0"
HTTP11: Final = "HTTP/1.1"
HTTP2: Final = "HTTP/2"

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
        b"tracestate",
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

# Response fields that never travel on as they came.
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


class RequestHead:
    """A request's head. A codec fills it; on the way upstream the stations' changes are put into it before it is sent.

    `target` is the path with its query (or what else the request line has), `authority` empty where only a Host field
    tells it. `upgrade` names the protocol that the upstream is to be asked for, `spelling` how the client wrote names,
    where that is remembered.
    """

    __slots__ = (
        "authority",
        "headers",
        "hop_headers",
        "indexed_headers",
        "keep_alive",
        "method",
        "protocol",
        "scheme",
        "spelling",
        "target",
        "upgrade",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        hop_headers: dict[bytes, bytes],
        indexed_headers: dict[bytes, bytes],
        protocol: str = HTTP11,
        keep_alive: bool = True,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.hop_headers = hop_headers
        self.indexed_headers = indexed_headers
        self.protocol = protocol
        self.keep_alive = keep_alive
        self.authority = b""
        self.scheme = b"http"
        self.upgrade = b""
        self.spelling: Spelling | None = None


class ResponseHead:
    """A response's head. A codec fills it, or a station that answers by itself; what the client gets is made of it in
    place."""

    __slots__ = ("headers", "hop_headers", "keep_alive", "spelling", "status")

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self.hop_headers: dict[bytes, bytes] = {}
        self.keep_alive = True
        self.spelling: Spelling | None = None
