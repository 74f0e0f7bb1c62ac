"""VirtualService `retries` → RetryPolicy."""

from __future__ import annotations

from typing import Any, Final

from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

from control_plane.translate.messages import duration
from mesh.istio.virtual_service import HTTPRetry
from mesh.xds import any_of

# Istio's defaults: only what is safe to repeat, since the server has not begun to answer.
ATTEMPTS: Final = 2
RETRY_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
HOST_SELECTION_ATTEMPTS: Final = 5
# Between a sidecar and its app: the app closed a connection before the request was in it.
INBOUND_RETRY_ON: Final = "reset-before-request"
REMOTE_AFTER: Final = 2  # attempts in one priority, before the next
_STATUS_CODES: Final = "retriable-status-codes"


def retry_policy(retries: HTTPRetry | None, *, sticky: bool = False) -> Any:
    """The policy of an outbound route; None when retries are switched off (`attempts: 0`). Where a key says which host a
    request belongs to (`sticky`), another one is tried only if the rule asks for that."""
    if retries is None:
        return STICKY if sticky else DEFAULT
    if not retries.attempts:
        return None
    policy = _policy(retries.attempts, RETRY_ON)
    if retries.retry_on:
        policy.retry_on, codes = _conditions(retries.retry_on)
        policy.retriable_status_codes.extend(codes)
    if retries.per_try_timeout is not None:
        policy.per_try_timeout.CopyFrom(duration(retries.per_try_timeout))
    if retries.backoff is not None:
        policy.retry_back_off.base_interval.CopyFrom(duration(retries.backoff))
    elsewhere = retries.retry_ignore_previous_hosts
    if not sticky if elsewhere is None else elsewhere:
        _avoid_previous_hosts(policy)
    if retries.retry_remote_localities:
        policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        policy.retry_priority.typed_config.CopyFrom(any_of(PreviousPrioritiesConfig(update_frequency=REMOTE_AFTER)))
    return policy


def _policy(attempts: int, retry_on: str) -> Any:
    policy = RetryPolicy(retry_on=retry_on, host_selection_retry_max_attempts=HOST_SELECTION_ATTEMPTS)
    policy.num_retries.value = attempts
    return policy


def _avoid_previous_hosts(policy: Any) -> None:
    predicate = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
    predicate.typed_config.CopyFrom(any_of(PreviousHostsPredicate()))


def _conditions(retry_on: str) -> tuple[str, list[int]]:
    """Numbers among the conditions are status codes."""
    words = [word for part in retry_on.split(",") if (word := part.strip())]
    codes = [int(word) for word in words if word.isdigit()]
    conditions = [word for word in words if not word.isdigit()]
    if codes and _STATUS_CODES not in conditions:
        conditions.append(_STATUS_CODES)
    return ",".join(conditions), codes


def _default() -> Any:
    policy = _policy(ATTEMPTS, RETRY_ON)
    _avoid_previous_hosts(policy)
    return policy


def _inbound() -> Any:
    policy = RetryPolicy(retry_on=INBOUND_RETRY_ON)
    policy.num_retries.value = ATTEMPTS
    return policy


# Shared: not to be changed.
DEFAULT: Final = _default()
STICKY: Final = _policy(ATTEMPTS, RETRY_ON)
INBOUND: Final = _inbound()
