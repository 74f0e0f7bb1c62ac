"""Where a route sends a request, rewritten how and retried when."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import (
    Forward,
    HeaderAdd,
    HeaderOps,
    RetryPolicy,
    Rewrite,
    WeightedCluster,
)
from tests.unit.sidecar.config.build import (
    Data,
    T,
    parts,
    route_of,
)

PREVIOUS_HOSTS = T + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def forward_of(**action: Any) -> Forward:
    given = parts()
    if "weighted_clusters" in action:
        del given.action["cluster"]
    given.action.update(action)
    compiled = route_of(given).action
    assert isinstance(compiled, Forward)
    return compiled


def test_weighted_clusters() -> None:
    clusters = forward_of(
        weighted_clusters={
            "clusters": [
                {"name": "up", "weight": 90, "host_rewrite_literal": "h", "request_headers_to_remove": ["X-A"]},
                {"name": "up", "weight": 10, "response_headers_to_add": [{"header": {"key": "A", "value": "b"}}]},
            ]
        }
    ).clusters
    assert clusters == (
        WeightedCluster("up", 90, request_ops=HeaderOps(remove=(b"x-a",)), host_rewrite="h"),
        WeightedCluster("up", 10, response_ops=HeaderOps(add=(HeaderAdd(b"a", "b"),))),
    )


def test_time_outs_and_the_rest_of_an_action() -> None:
    forward = forward_of(
        timeout="0s",
        idle_timeout="0s",
        cluster_not_found_response_code="INTERNAL_SERVER_ERROR",
        priority="HIGH",
        upgrade_configs=[
            {"upgrade_type": "WebSocket", "enabled": False},
            {"upgrade_type": "CONNECT", "connect_config": {}},
        ],
    )
    assert (forward.timeout, forward.idle_timeout) == (0.0, 0.0)
    assert forward.cluster_not_found_code == 500
    assert forward.high_priority
    assert forward.upgrades == {"websocket": False, "connect": True}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"prefix_rewrite": "/b"}, Rewrite(prefix="/b")),
        ({"regex_rewrite": {"pattern": {"regex": "(a)"}, "substitution": "\\1"}}, Rewrite(regex=("(a)", "\\1"))),
        ({"host_rewrite_literal": "h", "append_x_forwarded_host": True}, Rewrite(host="h", append_forwarded_host=True)),
        ({"auto_host_rewrite": True}, Rewrite(host_from_upstream=True)),
        ({"auto_host_rewrite": False}, None),
        ({}, None),
    ],
)
def test_rewrites(action: Data, expected: Rewrite | None) -> None:
    assert forward_of(**action).rewrite == expected


def test_retry_policy_with_everything() -> None:
    policy = forward_of(
        retry_policy={
            "retry_on": "5xx, connect-failure,retriable-status-codes",
            "num_retries": 3,
            "per_try_timeout": "2s",
            "retriable_status_codes": [503, 429],
            "retry_back_off": {"base_interval": "0.1s"},
            "retry_host_predicate": [{"name": "p", "typed_config": {"@type": PREVIOUS_HOSTS}}],
            "host_selection_retry_max_attempts": 5,
        }
    ).retry
    assert policy == RetryPolicy(
        conditions=frozenset({"5xx", "connect-failure", "retriable-status-codes"}),
        attempts=3,
        per_try_timeout=2.0,
        status_codes=frozenset({503, 429}),
        base_interval=0.1,
        max_interval=1.0,
        avoid_previous_hosts=True,
        host_selection_attempts=5,
    )


def test_retry_policy_with_nothing() -> None:
    assert forward_of(retry_policy={}).retry == RetryPolicy(frozenset())


def test_back_off_is_a_millisecond_at_least() -> None:
    policy = forward_of(retry_policy={"retry_back_off": {"base_interval": "0.0001s"}}).retry
    assert policy is not None
    assert (policy.base_interval, policy.max_interval) == (0.001, 0.01)
