"""VirtualService: what happens to the requests of a route."""

from __future__ import annotations

import base64
import binascii
import builtins
import http
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from mesh.istio.formats import format_problem
from mesh.istio.model import Found, Message, shown, suggestion
from mesh.istio.scalars import (
    Duration,
    HeaderText,
    HttpStatus,
    Int32,
    Integer,
    Percentage,
    PortNumber,
    Regex,
    Rows,
    WholePercent,
    Word,
    is_header_name,
    rewrite_problem,
)

MAX_BODY: Final = 1024 * 1024
MAX_HEADER_VALUE: Final = 16384  # Envoy's
REDIRECT_CODES: Final = (301, 302, 303, 307, 308)

RETRY_CONDITIONS: Final = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)

GRPC_STATUSES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

_AUTHORITY = (":authority", "host")
_HEADER_VALUE = re.compile("[^\x00-\x08\x0a-\x1f\x7f]*")


class HeaderOperations(Message):
    set: dict[str, str] = Field(default_factory=dict)
    add: dict[str, str] = Field(default_factory=dict)
    remove: Rows[str] = ()

    @property
    def authority(self) -> dict[str, str]:
        """What sets the request's authority, by operation."""
        operations = (("set", self.set), ("add", self.add))
        return {word: values[name] for word, values in operations for name in values if name.lower() in _AUTHORITY}


# Shared by a factory, because pydantic makes deep copies of plain defaults: half of the time of loading.
_NO_OPERATIONS: Final = HeaderOperations()


class Headers(Message):
    request: HeaderOperations = Field(default_factory=lambda: _NO_OPERATIONS)
    response: HeaderOperations = Field(default_factory=lambda: _NO_OPERATIONS)

    def rules(self) -> Iterator[Found]:
        for direction, operations in (("request", self.request), ("response", self.response)):
            for word, values in (("set", operations.set), ("add", operations.add)):
                for name, value in values.items():
                    allowed = direction == "request" and name.lower() in _AUTHORITY
                    if not allowed and (problem := _header_name_problem(name)):
                        yield Found((direction, word, name), problem)
                    if problem := _header_value_problem(value):
                        yield Found((direction, word, name), problem)
            for index, name in enumerate(operations.remove):
                if problem := _header_name_problem(name):
                    yield Found((direction, "remove", index), problem)


_NO_HEADERS: Final = Headers()


def no_headers() -> Headers:
    return _NO_HEADERS


def _header_name_problem(name: str) -> str:
    if name.lower() == "host" or name.startswith(":"):
        return f"{shown(name)} cannot be changed here"
    return "" if is_header_name(name) else f"{shown(name)} is not a header name"


def _header_value_problem(value: str) -> str:
    if len(value.encode()) > MAX_HEADER_VALUE:
        return f"a header value must be at most {MAX_HEADER_VALUE} bytes"
    if not _HEADER_VALUE.fullmatch(value):
        return "a header value must not contain control characters"
    return format_problem(value)


class Percent(Message):
    value: Percentage = 0.0


class RedirectPortSelection(StrEnum):
    FROM_PROTOCOL_DEFAULT = "FROM_PROTOCOL_DEFAULT"
    FROM_REQUEST_PORT = "FROM_REQUEST_PORT"


class HTTPRedirect(Message):
    at_most_one = (("uri", "prefixRewrite"), ("port", "derivePort"))

    uri: HeaderText = ""
    prefix_rewrite: HeaderText = ""
    authority: HeaderText = ""
    port: PortNumber | None = None
    derive_port: Word[RedirectPortSelection] | None = None
    scheme: str = ""
    redirect_code: Integer = 301

    def rules(self) -> Iterator[Found]:
        if not any((self.uri, self.prefix_rewrite, self.authority, self.port, self.derive_port, self.scheme)):
            yield Found((), "must change something: set uri, prefixRewrite, authority, port, derivePort or scheme")
        if self.scheme not in ("", "http", "https"):
            yield Found(("scheme",), f"must be http or https, not {shown(self.scheme)}")
        if self.redirect_code not in REDIRECT_CODES:
            codes = ", ".join(map(str, REDIRECT_CODES))
            yield Found(("redirectCode",), f"must be one of {codes}, not {self.redirect_code}")


class HTTPBody(Message):
    """`bytes` is base64, as in the document."""

    at_most_one = (("string", "bytes"),)

    string: str | None = None
    bytes: str | None = None

    def rules(self) -> Iterator[Found]:
        try:
            size = len(self.content)
        except (binascii.Error, ValueError):
            yield Found(("bytes",), "must be base64")
            return
        if size > MAX_BODY:
            yield Found((), f"must be at most {MAX_BODY} bytes, not {size}")

    @property
    def content(self) -> builtins.bytes:
        """The body itself."""
        return base64.b64decode(self.bytes, validate=True) if self.bytes is not None else (self.string or "").encode()


class HTTPDirectResponse(Message):
    status: HttpStatus
    body: HTTPBody | None = None


class RegexRewrite(Message):
    match: Regex
    rewrite: HeaderText

    def rules(self) -> Iterator[Found]:
        if problem := rewrite_problem(self.match, self.rewrite):
            yield Found(("rewrite",), problem)


class HTTPRewrite(Message):
    at_most_one = (("uri", "uriRegexRewrite"),)

    uri: HeaderText = ""
    authority: HeaderText = ""
    uri_regex_rewrite: RegexRewrite | None = None

    def rules(self) -> Iterator[Found]:
        if not any((self.uri, self.authority, self.uri_regex_rewrite)):
            yield Found((), "must change something: set uri, authority or uriRegexRewrite")


class HTTPRetry(Message):
    """`attempts` is the number of retries; 0 switches retries off. An empty `retry_on` means Istio's default."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_ignore_previous_hosts: bool | None = None
    retry_remote_localities: bool | None = None
    backoff: Duration | None = None

    def rules(self) -> Iterator[Found]:
        more = self.per_try_timeout, self.retry_remote_localities, self.backoff, self.retry_on or None
        if not self.attempts and any(each is not None for each in more):
            yield Found((), "attempts is 0, so nothing is retried: set attempts, or leave the other fields out")
        for word in self.retry_on.split(",") if self.retry_on else ():
            if word in RETRY_CONDITIONS or _is_status(word):
                continue
            if word.strip() in RETRY_CONDITIONS or _is_status(word.strip()):
                yield Found(("retryOn",), f"leave out the spaces: {shown(self.retry_on)}")
                break
            hint = suggestion(word.strip(), RETRY_CONDITIONS) or f"; they are {', '.join(RETRY_CONDITIONS)} or a status"
            yield Found(("retryOn",), f"{shown(word)} is not a retry condition{hint}")


def _is_status(word: str) -> bool:
    return len(word) == 3 and word.isascii() and word.isdigit() and int(word) in set(http.HTTPStatus)


class FaultDelay(Message):
    """Without `percentage` (or the deprecated `percent`) nothing is delayed."""

    at_most_one = (("percent", "percentage"),)

    fixed_delay: Duration
    percentage: Percent | None = None
    percent: WholePercent | None = None


class FaultAbort(Message):
    """Without `percentage` nothing is aborted."""

    exactly_one = (("httpStatus", "grpcStatus"),)

    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    percentage: Percent | None = None

    def rules(self) -> Iterator[Found]:
        if self.grpc_status is not None and self.grpc_status not in GRPC_STATUSES:
            hint = suggestion(self.grpc_status, GRPC_STATUSES) or ', such as "UNAVAILABLE"'
            yield Found(("grpcStatus",), f"must be the name of a gRPC status, not {shown(self.grpc_status)}{hint}")


class FaultThrottle(Message):
    """A response's body comes at so many KiB a second, as Envoy's `response_rate_limit` has it. Without `percentage` none
    does."""

    limit_kbps: Annotated[int, Field(ge=1, le=10_000_000)]
    percentage: Percent | None = None


class FaultReset(Message):
    """No answer: with HTTP/1 the connection ends, with HTTP/2 the stream is reset. Without `percentage` none is."""

    percentage: Percent | None = None


class FaultPlace(StrEnum):
    """`client` is Envoy's place: before the caller's router, which therefore neither retries nor ejects for it, nor counts
    its delay in a time-out. `upstream` is beyond it, at the service's own sidecar."""

    CLIENT = "client"
    UPSTREAM = "upstream"


class HTTPFaultInjection(Message):
    """`at`, `throttle` and `reset` are this mesh's own."""

    at_least_one = (("delay", "abort", "throttle", "reset"),)

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None
    throttle: FaultThrottle | None = None
    reset: FaultReset | None = None
    at: Word[FaultPlace] = FaultPlace.CLIENT

    @property
    def below_router(self) -> bool:
        return self.at is FaultPlace.UPSTREAM
