"""Which failures are tried again, and after how long."""

import random

import pytest

from sidecar.config.model import RetryPolicy
from sidecar.router.retry import Failure, RetryPlan, with_client_wishes


def plan(*conditions: str, codes: tuple[int, ...] = ()) -> RetryPlan:
    return RetryPlan(RetryPolicy(frozenset(conditions), status_codes=frozenset(codes)))


@pytest.mark.parametrize(
    ("condition", "status", "wanted"),
    [
        ("5xx", 500, True),
        ("5xx", 429, False),
        ("gateway-error", 503, True),
        ("gateway-error", 500, False),
        ("retriable-4xx", 409, True),
        ("retriable-status-codes", 418, True),
        ("reset", 503, False),
    ],
)
def test_statuses(condition: str, status: int, wanted: bool) -> None:
    assert plan(condition, codes=(418,)).wants_status(status, []) is wanted


def test_rate_limited_answers_are_retried_only_on_request() -> None:
    headers = [(b"x-envoy-ratelimited", b"true")]
    assert not plan("5xx").wants_status(503, headers)
    assert plan("envoy-ratelimited").wants_status(429, headers)


def test_grpc_status_of_a_trailers_only_answer() -> None:
    assert plan("unavailable").wants_status(200, [(b"grpc-status", b"14")])
    assert not plan("unavailable").wants_status(200, [(b"grpc-status", b"13")])


@pytest.mark.parametrize(
    ("condition", "failure", "wanted"),
    [
        ("connect-failure", Failure.CONNECT, True),
        ("connect-failure", Failure.RESET, False),
        ("reset", Failure.RESET, True),
        ("reset", Failure.CONNECT, True),
        ("5xx", Failure.PER_TRY_TIMEOUT, True),
        ("5xx", Failure.OVERFLOW, False),
        ("retriable-status-codes", Failure.RESET, False),
    ],
)
def test_failures(condition: str, failure: Failure, wanted: bool) -> None:
    assert plan(condition).wants_failure(failure) is wanted


class Highest(random.Random):
    def random(self) -> float:
        return 1.0


def test_back_off_doubles_up_to_its_maximum() -> None:
    waits = [plan("5xx").backoff(retry, Highest()) for retry in (1, 2, 3, 4, 5, 50)]
    assert waits == [0.025, 0.05, 0.1, 0.2, 0.25, 0.25]


def test_clients_add_conditions_and_replace_numbers() -> None:
    policy = with_client_wishes(
        RetryPolicy(frozenset(("5xx",)), attempts=1),
        {b"x-envoy-retry-on": b"reset, connect-failure", b"x-envoy-max-retries": b"7"},
    )
    assert policy is not None
    assert policy.conditions == {"5xx", "reset", "connect-failure"}
    assert policy.attempts == 7


def test_numbers_alone_make_no_policy() -> None:
    assert with_client_wishes(None, {b"x-envoy-max-retries": b"7"}) is None
