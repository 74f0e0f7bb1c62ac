"""Whether an attempt that failed is tried again. Pure; `forward` counts, waits and acts."""

from __future__ import annotations

import random
from dataclasses import replace
from enum import Enum

from sidecar.codec.headers import Headers, get
from sidecar.config.model import RetryPolicy

_GATEWAY_ERRORS = frozenset((502, 503, 504))
_GRPC_CODES = {
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
    PER_TRY_TIMEOUT = "per-try timeout"
    OVERFLOW = "overflow"


class RetryPlan:
    """A retry policy, compiled: each question is a set look-up."""

    __slots__ = ("_grpc", "_on_any_reset", "_on_connect", "_ratelimited", "_statuses", "policy")

    def __init__(self, policy: RetryPolicy) -> None:
        conditions = policy.conditions
        statuses: set[int] = set()
        if "5xx" in conditions:
            statuses.update(range(500, 600))
        if "gateway-error" in conditions:
            statuses.update(_GATEWAY_ERRORS)
        if "retriable-4xx" in conditions:
            statuses.add(409)
        if "retriable-status-codes" in conditions:
            statuses.update(policy.status_codes)
        self.policy = policy
        self._statuses = frozenset(statuses)
        self._grpc = conditions & set(_GRPC_CODES.values())
        self._ratelimited = "envoy-ratelimited" in conditions
        self._on_any_reset = not conditions.isdisjoint(("5xx", "gateway-error", "reset"))
        self._on_connect = self._on_any_reset or "connect-failure" in conditions

    def wants_status(self, status: int, headers: Headers) -> bool:
        """Whether this response is one to try again for."""
        wanted = status in self._statuses
        if not (wanted or self._grpc or self._ratelimited):
            return False
        if get(headers, b"x-envoy-ratelimited") is not None:
            return self._ratelimited
        if self._grpc and _GRPC_CODES.get(get(headers, b"grpc-status") or b"") in self._grpc:
            return True
        return wanted

    def wants_failure(self, failure: Failure) -> bool:
        if failure is Failure.OVERFLOW:
            return False
        return self._on_connect if failure is Failure.CONNECT else self._on_any_reset

    def backoff(self, retry: int, rng: random.Random) -> float:
        """Seconds before the `retry`-th retry (1 is the first): full jitter under an exponential ceiling."""
        policy = self.policy
        ceiling = min(policy.base_interval * (1 << min(retry - 1, 30)), policy.max_interval)
        return rng.random() * ceiling


def with_client_wishes(policy: RetryPolicy | None, noted: dict[bytes, bytes]) -> RetryPolicy | None:
    """The policy as the request's x-envoy-* headers change it: more conditions, another number of retries, a per-try
    time-out. None when neither route nor client wants retries."""
    conditions = frozenset(
        word.strip().decode("latin-1")
        for header in (b"x-envoy-retry-on", b"x-envoy-retry-grpc-on")
        for word in noted.get(header, b"").split(b",")
        if word.strip()
    )
    if policy is None:
        if not conditions:
            return None
        policy = RetryPolicy(conditions)
    codes = frozenset(
        int(code) for code in noted.get(b"x-envoy-retriable-status-codes", b"").split(b",") if code.isdigit()
    )
    attempts = number(noted.get(b"x-envoy-max-retries"))
    per_try = number(noted.get(b"x-envoy-upstream-rq-per-try-timeout-ms"))
    return replace(
        policy,
        conditions=policy.conditions | conditions,
        status_codes=policy.status_codes | codes,
        attempts=policy.attempts if attempts is None else attempts,
        per_try_timeout=policy.per_try_timeout if per_try is None else per_try / 1000,
    )


def number(value: bytes | None) -> int | None:
    """A header that is a plain decimal number, else None."""
    return int(value) if value is not None and value.isdigit() and len(value) < 10 else None
