"""Whether a failed attempt is tried again (`retry_backoff`: after how long). Pure; `forward` counts, waits and acts."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from sidecar.config.model import HeaderMatcher, RetryPolicy
from sidecar.http.exchange import Exchange
from sidecar.http.headers import get
from sidecar.http.status import GATEWAY_ERRORS
from sidecar.router.match import header_predicate
from sidecar.router.retry_hosts import HostTest, host_tests

if TYPE_CHECKING:
    from sidecar.http.head import ResponseHead

_GRPC_CODES: Final = {
    b"1": "cancelled",
    b"4": "deadline-exceeded",
    b"8": "resource-exhausted",
    b"13": "internal",
    b"14": "unavailable",
}


class Failure(Enum):
    """How an attempt ended without a response."""

    CONNECT = "connect"  # refused or timed out
    RESET = "reset"  # the connection ended, or what came was not HTTP
    REFUSED = "refused"  # the host says that it has done nothing about it
    PER_TRY_TIMEOUT = "per-try timeout"
    OVERFLOW = "overflow"


class Answer:
    """A response's head, as header matchers want it."""

    __slots__ = ("_head",)

    def __init__(self, head: ResponseHead) -> None:
        self._head = head

    def header_values(self, name: bytes) -> list[bytes]:
        head = self._head
        if name == b":status":
            return [b"%d" % head.status]
        found = [value for key, value in head.headers if key == name]
        return found or ([head.hop_headers[name]] if name in head.hop_headers else [])

    def header(self, name: bytes) -> bytes | None:
        values = self.header_values(name)
        return b",".join(values) if values else None


class RetryPlan:
    """A retry policy, compiled: each question is a set look-up. `per_try_timeout` is the policy's as far as the request's
    own `timeout` leaves it a meaning. Without any condition a plan retries nothing, and only bounds the one attempt."""

    __slots__ = (
        "_grpc",
        "_headers",
        "_never_sent",
        "_on_any_reset",
        "_on_connect",
        "_on_refused",
        "_ratelimited",
        "_request_headers",
        "_statuses",
        "enabled",
        "per_try_timeout",
        "policy",
        "rejects",
        "timed",
    )

    def __init__(self, policy: RetryPolicy, timeout: float = 0.0) -> None:
        conditions = policy.conditions
        statuses: set[int] = set()
        if "5xx" in conditions:
            statuses.update(range(500, 600))
        if "gateway-error" in conditions:
            statuses.update(GATEWAY_ERRORS)
        if "retriable-4xx" in conditions:
            statuses.add(409)
        if "retriable-status-codes" in conditions:
            statuses.update(policy.status_codes)
        self.policy = policy
        self.enabled = bool(conditions)
        self.per_try_timeout = 0.0 if timeout and policy.per_try_timeout >= timeout else policy.per_try_timeout
        self.timed = bool(self.per_try_timeout or policy.per_try_idle_timeout)
        self.rejects: tuple[HostTest, ...] = host_tests(policy)
        self._statuses = frozenset(statuses)
        retriable = policy.headers if "retriable-headers" in conditions else ()
        self._headers = tuple(header_predicate(matcher) for matcher in retriable)
        self._request_headers = tuple(header_predicate(matcher) for matcher in policy.request_headers)
        self._grpc = conditions & set(_GRPC_CODES.values())
        self._ratelimited = "envoy-ratelimited" in conditions
        self._on_any_reset = not conditions.isdisjoint(("5xx", "gateway-error", "reset"))
        self._on_refused = self._on_any_reset or "refused-stream" in conditions
        self._on_connect = self._on_any_reset or not conditions.isdisjoint(("connect-failure", "reset-before-request"))

    def of(self, exchange: Exchange) -> RetryPlan:
        """The plan for this request: one that none of `retriable_request_headers` matches is not retried."""
        if not self._request_headers or any(matches(exchange) for matches in self._request_headers):
            return self
        return self.barred()

    def barred(self) -> RetryPlan:
        """The same time-outs, and no retries."""
        plan = RetryPlan(replace(self.policy, conditions=frozenset()))
        plan.per_try_timeout, plan.timed = self.per_try_timeout, self.timed
        return plan

    def wants_response(self, head: ResponseHead) -> bool:
        """Whether this response is one to try again for."""
        wanted = head.status in self._statuses
        if not (wanted or self._grpc or self._ratelimited or self._headers):
            return False
        if get(head.headers, b"x-envoy-ratelimited") is not None:
            return self._ratelimited
        if self._grpc and _GRPC_CODES.get(get(head.headers, b"grpc-status") or b"") in self._grpc:
            return True
        if self._headers and not wanted:
            answer = Answer(head)
            return any(matches(answer) for matches in self._headers)
        return wanted

    def wants_failure(self, failure: Failure) -> bool:
        if failure is Failure.OVERFLOW:
            return False
        if failure is Failure.REFUSED:
            return self._on_refused
        return self._on_connect if failure is Failure.CONNECT else self._on_any_reset


def with_client_wishes(policy: RetryPolicy | None, indexed: dict[bytes, bytes]) -> RetryPolicy | None:
    """The policy as the request's x-envoy-* headers change it: more conditions, another number of retries, a per-try
    time-out. None when neither route nor client wants any of it."""
    conditions = _words(indexed, b"x-envoy-retry-on") | _words(indexed, b"x-envoy-retry-grpc-on")
    per_try = number(indexed.get(b"x-envoy-upstream-rq-per-try-timeout-ms"))
    if policy is None:
        if not conditions and not per_try:
            return None
        policy = RetryPolicy(frozenset())
    codes = frozenset(int(code) for code in _words(indexed, b"x-envoy-retriable-status-codes") if code.isdigit())
    names = sorted(_words(indexed, b"x-envoy-retriable-header-names"))
    attempts = number(indexed.get(b"x-envoy-max-retries"))
    return replace(
        policy,
        conditions=policy.conditions | conditions,
        status_codes=policy.status_codes | codes,
        headers=policy.headers + tuple(HeaderMatcher(name.lower().encode("latin-1")) for name in names),
        attempts=policy.attempts if attempts is None else attempts,
        per_try_timeout=policy.per_try_timeout if per_try is None else per_try / 1000,
    )


def _words(indexed: dict[bytes, bytes], header: bytes) -> frozenset[str]:
    return frozenset(word.strip().decode("latin-1") for word in indexed.get(header, b"").split(b",") if word.strip())


def number(value: bytes | None) -> int | None:
    """A header that is a plain decimal number, else None."""
    return int(value) if value is not None and value.isdigit() and len(value) < 11 else None
