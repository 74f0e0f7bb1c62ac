"""Which hosts and priorities a retry passes over."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import RetryPolicy
from sidecar.router.retry_hosts import PreviousPriorities, host_tests


class Host:
    def __init__(self, **labels: Any) -> None:
        self.metadata = {"envoy.lb": labels} if labels else {}


def rejects(policy: RetryPolicy, candidate: Any, *tried: Any) -> bool:
    return any(test(candidate, tried) for test in host_tests(policy))


def test_hosts_that_were_tried() -> None:
    policy = RetryPolicy(frozenset(), avoid_previous_hosts=True)
    one, other = Host(), Host()
    assert rejects(policy, one, other, one)
    assert not rejects(policy, one, other)


@pytest.mark.parametrize(("label", "rejected"), [(True, True), (False, False), ("true", False), (None, False)])
def test_canaries(label: Any, rejected: bool) -> None:
    assert rejects(RetryPolicy(frozenset(), omit_canaries=True), Host(canary=label)) is rejected


@pytest.mark.parametrize(
    ("labels", "rejected"),
    [
        ({"a": 1, "b": "x", "c": 3}, True),
        ({"a": 1}, False),
        ({"a": 2, "b": "x"}, False),
        ({"a": [0, 1], "b": "x"}, True),
        ({}, False),
    ],
)
def test_labels(labels: dict[str, Any], rejected: bool) -> None:
    assert rejects(RetryPolicy(frozenset(), omit_metadata=({"a": 1, "b": "x"},)), Host(**labels)) is rejected


def test_no_predicate_rejects_nobody() -> None:
    assert host_tests(RetryPolicy(frozenset())) == ()


def test_priorities_are_left_out_one_after_the_other() -> None:
    priorities = PreviousPriorities(1)

    def usable(left_out: frozenset[int]) -> bool:
        return left_out != {0, 1}

    priorities.attempted(0)
    assert priorities.left_out(usable) == {0}
    priorities.attempted(1)
    assert priorities.left_out(usable) == set()  # nobody is left: from the beginning
    priorities.attempted(0)
    assert priorities.left_out(usable) == {0}


def test_only_so_often() -> None:
    priorities = PreviousPriorities(2)
    assert priorities.left_out(lambda _: True) == set()
    priorities.attempted(0)
    assert priorities.left_out(lambda _: True) == set()
    priorities.attempted(1)
    assert priorities.left_out(lambda _: True) == {0, 1}
    priorities.attempted(2)
    assert priorities.left_out(lambda _: True) == {0, 1}


def test_labels_that_are_no_mapping_are_none() -> None:
    host = Host()
    host.metadata = {"envoy.lb": "text"}  # type: ignore[dict-item]
    assert not rejects(RetryPolicy(frozenset(), omit_canaries=True, omit_metadata=({"a": 1},)), host)


def test_any_of_several_sets_of_labels_rejects() -> None:
    policy = RetryPolicy(frozenset(), omit_metadata=({"a": 1}, {"b": 2}))
    assert [rejects(policy, Host(**labels)) for labels in ({"a": 1}, {"b": 2}, {"a": 2, "b": 1})] == [True, True, False]


def test_after_nobody_was_left_the_count_begins_anew() -> None:
    priorities = PreviousPriorities(2)
    priorities.attempted(0)
    priorities.attempted(1)
    assert priorities.left_out(lambda _: False) == set()
    priorities.attempted(0)
    assert priorities.left_out(lambda _: True) == set()  # the second attempt of this round is not made yet
    priorities.attempted(0)
    assert priorities.left_out(lambda _: True) == {0}
