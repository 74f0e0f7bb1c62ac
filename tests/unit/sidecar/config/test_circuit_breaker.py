"""The three-state breaker in a cluster's metadata."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import CircuitBreaker
from tests.unit.sidecar.config.build import Data, cluster_of, parts, problems


def given(fields: Data) -> Any:
    given = parts()
    given.cluster["metadata"] = {"filter_metadata": {"mesh.circuit_breaker": fields}}
    return given


def test_none() -> None:
    assert cluster_of(parts()).circuit_breaker is None


def test_defaults() -> None:
    assert cluster_of(given({"consecutive_failures": 5})).circuit_breaker == CircuitBreaker(5)


def test_all_fields() -> None:
    fields = {
        "consecutive_failures": 1,
        "failure_rate": 2.5,
        "slow_call_rate": 3,
        "slow_call_duration": 0.4,
        "minimum_requests": 5,
        "window": 6,
        "open_time": 7,
        "half_open_requests": 8,
    }
    compiled = cluster_of(given(fields)).circuit_breaker
    assert compiled == CircuitBreaker(1, 2.5, 3, 0.4, 5, 6, 7, 8)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "needs one of consecutive_failures, failure_rate and slow_call_rate"),
        ({"failure_rate": 50, "windows": 1}, "windows: is not known"),
        ({"failure_rate": 101}, "failure_rate: is 101, must be a percentage"),
        ({"failure_rate": True}, "failure_rate: is True, must be"),
        ({"consecutive_failures": 1.5}, "consecutive_failures: is 1.5, must be a whole number"),
        ({"failure_rate": 50, "window": "10s"}, "window: is '10s', must be seconds"),
        ({"slow_call_rate": 50}, "slow_call_duration: is required with slow_call_rate"),
    ],
)
def test_refused(fields: Data, expected: str) -> None:
    found = problems(given(fields))
    assert any(expected in problem for problem in found), found
