"""Where a route sends a request, rewritten how and retried when."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import (
    Forward,
    HeaderAdd,
    HeaderOps,
    Rewrite,
    StreamDuration,
    WeightedCluster,
)
from tests.unit.sidecar.config.build import (
    ROUTER,
    Data,
    parts,
    problems,
    route_of,
)


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
        ({"append_x_forwarded_host": True}, None),
        ({"host_rewrite_header": "X-Host"}, Rewrite(host_header=b"x-host")),
        (
            {"host_rewrite_path_regex": {"pattern": {"regex": "(a)"}, "substitution": "\\1"}},
            Rewrite(host_regex=("(a)", "\\1")),
        ),
        (
            {"host_rewrite": "%REQ(a)%", "path_rewrite": "/%REQ(b)%"},
            Rewrite(host_format="%REQ(a)%", path_format="/%REQ(b)%"),
        ),
        ({}, None),
    ],
)
def test_rewrites(action: Data, expected: Rewrite | None) -> None:
    assert forward_of(**action).rewrite == expected


@pytest.mark.parametrize(
    ("given", "duration"),
    [
        ({}, StreamDuration()),
        ({"max_stream_duration": "0s"}, StreamDuration(0.0)),
        (
            {"max_stream_duration": "9s", "grpc_timeout_header_max": "5s", "grpc_timeout_header_offset": "1s"},
            StreamDuration(9.0, 5.0, 1.0),
        ),
    ],
)
def test_a_duration_counts_in_the_place_of_the_time_out(given: Data, duration: StreamDuration) -> None:
    forward = forward_of(max_stream_duration=given, timeout="3s")
    assert forward.duration == duration
    assert forward.timeout == 0.0


def test_clusters_that_requests_name() -> None:
    given = parts()
    del given.action["cluster"]
    given.action["cluster_header"] = "To"
    forward = route_of(given).action
    assert isinstance(forward, Forward)
    assert forward.clusters == (WeightedCluster("", 1, cluster_header=b"to"),)


def test_weights_that_requests_draw() -> None:
    clusters = [{"name": "up", "weight": 1}, {"cluster_header": "To", "weight": 2}]
    forward = forward_of(weighted_clusters={"clusters": clusters, "header_name": "At"})
    assert forward.clusters == (WeightedCluster("up", 1), WeightedCluster("", 2, cluster_header=b"to"))
    assert (forward.weight_header, forward.weight_by_hash) == (b"at", False)
    assert forward_of(weighted_clusters={"clusters": clusters, "use_hash_policy": True}).weight_by_hash


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ({"prefix_rewrite": "/a", "path_rewrite": "/b"}, "only one of prefix_rewrite, regex_rewrite and path_rewrite"),
        ({"path_rewrite": "/%NOTHING%"}, "NOTHING"),
        ({"weighted_clusters": {"clusters": [{"weight": 1}]}}, "needs exactly one of name and cluster_header"),
        ({"path_rewrite_policy": {"name": "a", "typed_config": {"@type": ROUTER}}}, "path_rewrite_policy"),
    ],
)
def test_what_cannot_be(action: Data, says: str) -> None:
    given = parts()
    if "weighted_clusters" in action:
        del given.action["cluster"]
    given.action.update(action)
    assert any(says in problem for problem in problems(given))
