"""envoy.filters.http.grpc_web: browsers' gRPC, which knows no trailers, on its way to servers of gRPC proper.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_web_filter
"""

from __future__ import annotations

import binascii
import functools
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final

from sidecar.config.filter_model import GrpcWeb
from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import Decision, Encode, FilterContext, FilterType, RefusedBody, Reply, Steps
from sidecar.filters.bodies import BodyChange, as_response_step
from sidecar.http.exchange import Exchange
from sidecar.http.grpc import PREFIX, GrpcCall
from sidecar.http.headers import Headers, drop, get, put
from sidecar.http.local_reply import grpc_message, is_grpc
from sidecar.telemetry.cells import Counter

BINARY: Final = (b"application/grpc-web", b"application/grpc-web+proto")
TEXT: Final = (b"application/grpc-web-text", b"application/grpc-web-text+proto")
_TRAILERS: Final = b"\x80"  # the first byte of the frame that has them
_LONGEST_MESSAGE: Final = 16384  # of an answer in several pieces that becomes a grpc-message
_MOST_METHODS: Final = 1000  # that are counted: their names are the client's
# HTTP status → gRPC code of an answer that is no gRPC (doc/http-grpc-status-mapping.md of gRPC).
_GRPC_STATUS: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}

_NO_BASE64: Final = b"Bad gRPC-web request, invalid base64 data."
_BAD_SIZE: Final = Reply(400, _NO_BASE64, "grpc_base_64_decode_failed_bad_size")
_BAD_DATA: Final = Reply(400, _NO_BASE64, "grpc_base_64_decode_failed")


class _Call:
    """What is kept of one call between its head and its end."""

    __slots__ = ("counted", "text")

    def __init__(self, text: bool, counted: str) -> None:
        self.text = text  # the client takes base64
        self.counted = counted


class FromText(BodyChange):
    """A request's base64, four letters at a time."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes, end: bool) -> bytes:
        data = self._rest + data
        whole = len(data) & ~3
        self._rest = data[whole:]
        if end and self._rest:
            raise RefusedBody(_BAD_SIZE)
        try:
            plain = binascii.a2b_base64(data[:whole], strict_mode=True)
        except binascii.Error:
            raise RefusedBody(_BAD_DATA) from None
        if b64encode(plain[-(len(plain) % 3) :]) != data[whole - 4 : whole] and len(plain) % 3:
            raise RefusedBody(_BAD_DATA)  # there are bits behind the end
        return plain


class AsItIs(BodyChange):
    """A request's body that only loses its length."""

    __slots__ = ()

    def feed(self, data: bytes, end: bool) -> bytes:
        return data


class ToWeb(BodyChange):
    """A response whose trailers become the last frame of its body, once they are counted."""

    __slots__ = ("_count", "_end")

    def __init__(self, count: Callable[[Headers], None]) -> None:
        self._count = count
        self._end = b""

    def take_trailers(self, trailers: Headers) -> None:
        self._count(trailers)
        fields = b"".join([b"%b:%b\r\n" % field for field in trailers])
        trailers.clear()
        self._end = self._coded(_TRAILERS + len(fields).to_bytes(4) + fields)

    def feed(self, data: bytes, end: bool) -> bytes:
        return self._messages(data) + (self._end if end else b"")

    def _messages(self, data: bytes) -> bytes:
        return data

    def _coded(self, frame: bytes) -> bytes:
        return frame


class ToText(ToWeb):
    """The same in base64, each message padded by itself; of a message in pieces goes on what fills groups of letters."""

    __slots__ = ("_left", "_rest")

    def __init__(self, count: Callable[[Headers], None]) -> None:
        super().__init__(count)
        self._rest = b""  # less than a group, or than a message's prefix
        self._left = 0  # bytes of the message in progress still to come, beyond the rest

    def _messages(self, data: bytes) -> bytes:
        data = self._rest + data
        at = len(self._rest) if self._left else 0
        start, coded = 0, []
        while True:
            if not self._left:
                if len(data) - start < PREFIX:
                    break
                self._left = PREFIX + int.from_bytes(data[start + 1 : start + PREFIX])
                at = start
            step = min(self._left, len(data) - at)
            self._left -= step
            at += step
            stop = at if not self._left else at - (at - start) % 3
            coded.append(b64encode(data[start:stop]))
            start = stop
            if self._left:
                break
        self._rest = data[start:]
        return b"".join(coded)

    def _coded(self, frame: bytes) -> bytes:
        return b64encode(frame)


class ToMessage(BodyChange):
    """An answer that is no gRPC, of a host or the proxy's own: its body becomes the head's grpc-message."""

    __slots__ = ("_begun", "_headers", "_message", "_status")

    holds_head = True

    def __init__(self, status: int, headers: Headers) -> None:
        self._status = status
        self._headers = headers
        self._message = b""
        self._begun = False

    def feed(self, data: bytes, end: bool) -> bytes:
        if self._begun or not end:
            data = data[: _LONGEST_MESSAGE - len(self._message)]
        self._begun = True
        self._message += data
        if end:
            headers = self._headers
            put(headers, b"grpc-message", grpc_message(self._message))
            put(headers, b"grpc-status", b"%d" % _GRPC_STATUS.get(self._status, 2))
            put(headers, b"content-length", b"0")
        return b""


class GrpcWebFilter:
    """One connection manager's filter; routes can only disable it."""

    def __init__(self, _config: GrpcWeb, context: FilterContext) -> None:
        self._registry = context.registry
        self._counters: dict[str, Counter] = {}
        self._methods: set[str] = set()
        self._steps = Steps((self._on_request,), (as_response_step(self._on_response),))

    def bind(self, _overrides: Sequence[Any], _route: Route | None) -> Steps:
        return self._steps

    def _on_request(self, exchange: Exchange) -> Decision | None:
        content_type = exchange.indexed_headers.get(b"content-type")
        if content_type is None or not (content_type in BINARY or content_type in TEXT):
            return None
        headers = exchange.headers
        exchange.keep(self, _Call(get(headers, b"accept") in TEXT, self._counted(exchange)))
        exchange.grpc = GrpcCall()
        exchange.hop_headers.pop(b"content-length", None)
        put(headers, b"content-type", b"application/grpc")
        put(headers, b"te", b"trailers")
        if get(headers, b"grpc-accept-encoding") is None:
            headers.append((b"grpc-accept-encoding", b"identity"))
        return Encode(FromText() if content_type in TEXT else AsItIs())

    def _on_response(self, exchange: Exchange, headers: Headers, present: bool) -> BodyChange | None:
        call: _Call | None = exchange.kept(self)
        if call is None:
            return None
        self._count(call, headers)
        own = get(headers, b"content-type") or b""
        drop(headers, b"content-length")
        put(headers, b"content-type", TEXT[1] if call.text else BINARY[1])
        if not present:
            return None
        if exchange.status != 200 or not (is_grpc(own) or own.partition(b";")[0].rstrip().lower() in BINARY):
            return ToMessage(exchange.status, headers)
        count = functools.partial(self._count, call)
        return ToText(count) if call.text else ToWeb(count)

    # ── what is counted ───────────────────────────────────────────────────────────────────────────────────────────────

    def _counted(self, exchange: Exchange) -> str:
        """Where calls of this method are counted, empty where they are not."""
        parts = exchange.path.partition(b"?")[0].split(b"/")
        if exchange.cluster is None or len(parts) != 3 or parts[0] or not (parts[1] and parts[2]):
            return ""
        service, method = parts[1].decode("latin-1"), parts[2].decode("latin-1")
        name = f"cluster.{exchange.cluster.config.alt_stat_name or exchange.cluster.name}.grpc-web.{service}.{method}."
        if name not in self._methods:
            if len(self._methods) >= _MOST_METHODS:
                return ""
            self._methods.add(name)
        return name

    def _count(self, call: _Call, fields: Headers) -> None:
        status = get(fields, b"grpc-status")
        if status is None or not call.counted:
            return
        known = status.decode("latin-1") if status.isdigit() and int(status) <= 16 else "unknown"
        for word in (known, "success" if status == b"0" else "failure", "total"):
            self._counter(call.counted + word).value += 1

    def _counter(self, name: str) -> Counter:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = self._registry.counter(name)
        return counter


def compile(_reader: Reader) -> GrpcWeb:
    return GrpcWeb()


FILTER: Final = FilterType(GrpcWeb, GrpcWebFilter, compile)
