from __future__ import annotations

import pytest

from sidecar.config.model import Limits
from sidecar.upstream.limits import Budget


@pytest.mark.parametrize(
    ("limits", "requests", "pending", "allowed"),
    [
        (Limits(max_retries=2), 100, 100, 2),
        (Limits(max_retries=0), 100, 100, 0),
        (Limits(budget_percent=20.0, budget_min=3), 0, 0, 3),
        (Limits(budget_percent=20.0, budget_min=3), 20, 10, 6),
        (Limits(budget_percent=20.0, budget_min=0), 4, 0, 0),
        (Limits(budget_percent=100.0, budget_min=0, max_retries=1), 5, 0, 5),
    ],
)
def test_so_many_retries_at_once(limits: Limits, requests: int, pending: int, allowed: int) -> None:
    budget = Budget(limits)
    budget.requests, budget.pending = requests, pending
    while budget.may_retry():
        budget.retries += 1
    assert budget.retries == allowed


def test_limits_change_under_what_is_in_use() -> None:
    budget = Budget(Limits(max_requests=10))
    budget.requests = 5
    budget.update(Limits(max_requests=3))
    assert (budget.requests, budget.max_requests) == (5, 3)
