from typing import Any

import pytest

from control_plane.translate.retry import DEFAULT, INBOUND, RETRY_ON, retry_policy
from mesh.istio.virtual_service import HTTPRetry


def policy(**fields: object) -> Any:
    return retry_policy(HTTPRetry.model_validate(fields))


def test_istios_default() -> None:
    assert retry_policy(None) is DEFAULT
    assert (DEFAULT.num_retries.value, DEFAULT.host_selection_retry_max_attempts) == (2, 5)
    assert DEFAULT.retry_on == "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    assert [p.name for p in DEFAULT.retry_host_predicate] == ["envoy.retry_host_predicates.previous_hosts"]
    assert not DEFAULT.retriable_status_codes


def test_where_a_key_decides_another_host_is_not_looked_for() -> None:
    assert not retry_policy(None, sticky=True).retry_host_predicate
    for asked, expected in (({}, 0), ({"retryIgnorePreviousHosts": True}, 1), ({"retryIgnorePreviousHosts": False}, 0)):
        made = retry_policy(HTTPRetry.model_validate({"attempts": 1, **asked}), sticky=True)
        assert len(made.retry_host_predicate) == expected


def test_no_attempts_are_no_policy() -> None:
    assert policy(attempts=0) is None


def test_what_is_set_replaces_the_default() -> None:
    found = policy(attempts=7, perTryTimeout="2s", backoff="5ms", retryIgnorePreviousHosts=False)
    assert (found.num_retries.value, found.retry_on) == (7, RETRY_ON)
    assert found.per_try_timeout.seconds == 2
    assert found.retry_back_off.base_interval.nanos == 5_000_000
    assert not found.retry_host_predicate
    assert policy(attempts=1, retryIgnorePreviousHosts=True).retry_host_predicate


@pytest.mark.parametrize(
    ("retry_on", "conditions", "codes"),
    [
        ("5xx", "5xx", []),
        ("503", "retriable-status-codes", [503]),
        ("5xx,503,409", "5xx,retriable-status-codes", [503, 409]),
        ("retriable-status-codes,500", "retriable-status-codes", [500]),
    ],
)
def test_numbers_are_status_codes(retry_on: str, conditions: str, codes: list[int]) -> None:
    found = policy(attempts=1, retryOn=retry_on)
    assert (found.retry_on, list(found.retriable_status_codes)) == (conditions, codes)


def test_between_sidecar_and_app() -> None:
    assert (INBOUND.num_retries.value, INBOUND.retry_on) == (2, "reset-before-request")
