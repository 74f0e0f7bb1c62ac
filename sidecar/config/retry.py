"""RetryPolicy: what is tried again, when, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.config.common import typed
from sidecar.config.match import header_matcher
from sidecar.config.model import ResetHeader, RetryPolicy
from sidecar.config.reader import Reader

_HOSTS: Final = "envoy.extensions.retry.host."
_PREVIOUS_HOSTS: Final = _HOSTS + "previous_hosts.v3.PreviousHostsPredicate"
_OMIT_CANARIES: Final = _HOSTS + "omit_canary_hosts.v3.OmitCanaryHostsPredicate"
_OMIT_METADATA: Final = _HOSTS + "omit_host_metadata.v3.OmitHostMetadataConfig"
_PREDICATES: Final = dict.fromkeys((_PREVIOUS_HOSTS, _OMIT_CANARIES, _OMIT_METADATA))
_PREVIOUS_PRIORITIES: Final = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"

RETRY_CONDITIONS: Final = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
DEFAULT_BASE: Final = 0.025
MIN_INTERVAL: Final = 0.001
RESET_MAX_INTERVAL: Final = 300.0


def retry_policy(reader: Reader) -> RetryPolicy:
    words = [word.strip() for word in reader.text("retry_on").split(",")]
    conditions = frozenset(word for word in words if word)
    if unknown := sorted(conditions - RETRY_CONDITIONS):
        reader.problem(f"unknown condition {', '.join(map(repr, unknown))}", "retry_on")
    base, longest = _back_off(reader.child("retry_back_off"))
    reset_headers, reset_longest = _rate_limited(reader.child("rate_limited_retry_back_off"))
    return RetryPolicy(
        conditions=conditions,
        attempts=reader.number("num_retries", 1),
        per_try_timeout=reader.seconds("per_try_timeout"),
        per_try_idle_timeout=reader.seconds("per_try_idle_timeout"),
        status_codes=frozenset(reader.values("retriable_status_codes")),
        headers=tuple(header_matcher(each) for each in reader.children("retriable_headers")),
        request_headers=tuple(header_matcher(each) for each in reader.children("retriable_request_headers")),
        base_interval=base,
        max_interval=longest,
        reset_headers=reset_headers,
        reset_max_interval=reset_longest,
        **_host_predicates(reader),
        host_selection_attempts=reader.number("host_selection_retry_max_attempts") or 1,
        priority_frequency=_priority(reader.child("retry_priority")),
    )


def _back_off(reader: Reader | None) -> tuple[float, float]:
    if reader is None:
        return DEFAULT_BASE, DEFAULT_BASE * 10
    base = max(reader.seconds("base_interval", DEFAULT_BASE), MIN_INTERVAL)
    longest = reader.optional_seconds("max_interval")
    if longest is None:
        return base, base * 10
    longest = max(longest, MIN_INTERVAL)
    if longest < base:
        reader.problem("must not be less than base_interval", "max_interval")
    return base, longest


def _rate_limited(reader: Reader | None) -> tuple[tuple[ResetHeader, ...], float]:
    if reader is None:
        return (), RESET_MAX_INTERVAL
    headers = tuple(
        ResetHeader(each.text("name").lower().encode("latin-1", "replace"), each.enum("format") == "UNIX_TIMESTAMP")
        for each in reader.children("reset_headers")
    )
    return headers, max(reader.seconds("max_interval", RESET_MAX_INTERVAL), MIN_INTERVAL)


def _host_predicates(reader: Reader) -> dict[str, Any]:
    """The fields of RetryPolicy that predicates set; each of them may reject a host."""
    kinds = set()
    labels: list[Mapping[str, Any]] = []
    for each in reader.children("retry_host_predicate"):
        kind, config = typed(each, _PREDICATES, "retry host predicate")
        kinds.add(kind)
        if kind == _OMIT_METADATA and config is not None:
            labels.append(config.metadata("metadata_match").get("envoy.lb", {}))
    return {
        "avoid_previous_hosts": _PREVIOUS_HOSTS in kinds,
        "omit_canaries": _OMIT_CANARIES in kinds,
        "omit_metadata": tuple(each for each in labels if each),  # no labels match no host
    }


def _priority(reader: Reader | None) -> int:
    """`update_frequency` of previous_priorities, 0 without it."""
    if reader is None:
        return 0
    _, config = typed(reader, {_PREVIOUS_PRIORITIES: None}, "retry priority")
    return config.number("update_frequency") if config is not None else 0


def hedges(reader: Reader) -> bool | None:
    """`hedge_policy`: whether a time-out per try has another attempt made beside the one that takes long."""
    policy = reader.child("hedge_policy")
    if policy is None:
        return None
    policy.only("initial_requests", 1)
    if (chance := policy.child("additional_request_chance")) is not None:
        chance.only("numerator", 0)
        chance.enum("denominator")
    return policy.flag("hedge_on_per_try_timeout")
