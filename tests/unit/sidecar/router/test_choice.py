"""Clusters that requests decide by their headers."""

from __future__ import annotations

from collections import Counter

import pytest

from sidecar.config.model import Forward, HashPolicy, HashSource, PathMatch, Route, RouteMatch, WeightedCluster
from sidecar.http.exchange import Exchange
from sidecar.router.table import RouteTable
from tests.unit.sidecar.router.test_table import exchange, table

ANY = RouteMatch(PathMatch.PREFIX, "/")
HALVES = (WeightedCluster("a", 30), WeightedCluster("b", 70))


def drawn(action: Forward, request: Exchange) -> str:
    route = table_of(action).find(request)
    assert route is not None
    return route.draw(request).cluster


def table_of(action: Forward) -> RouteTable:
    return table(Route(ANY, action))


@pytest.mark.parametrize(("header", "cluster"), [({"to": b"x"}, "x"), ({"to": b""}, ""), ({}, "")])
def test_a_cluster_by_name(header: dict[str, bytes], cluster: str) -> None:
    assert drawn(Forward((WeightedCluster("", 1, cluster_header=b"to"),)), exchange(**header)) == cluster


@pytest.mark.parametrize(("at", "cluster"), [(b"0", "a"), (b"29", "a"), (b"30", "b"), (b"99", "b"), (b"100", "a")])
def test_a_cluster_by_where_the_request_stands(at: bytes, cluster: str) -> None:
    assert drawn(Forward(HALVES, weight_header=b"at"), exchange(at=at)) == cluster


@pytest.mark.parametrize("header", [{}, {"at": b"x"}, {"at": b"-1"}, {"at": b"99999999999999999999999"}])
def test_chance_decides_where_the_header_says_nothing(header: dict[str, bytes]) -> None:
    route = table_of(Forward(HALVES, weight_header=b"at")).find(exchange())
    assert route is not None
    counts = Counter(route.draw(exchange(**header)).cluster for _ in range(2000))
    assert 450 < counts["a"] < 750


def test_chance_may_draw_a_name() -> None:
    clusters = (WeightedCluster("a", 1), WeightedCluster("", 1, cluster_header=b"to"))
    route = table_of(Forward(clusters)).find(exchange())
    assert route is not None
    assert {route.draw(exchange(to=b"b")).cluster for _ in range(100)} == {"a", "b"}


def test_equal_keys_go_to_equal_clusters() -> None:
    policies = (HashPolicy(HashSource.HEADER, "key"),)
    route = table_of(Forward(HALVES, weight_by_hash=True, hash_policies=policies)).find(exchange())
    assert route is not None
    found = {key: {route.draw(exchange(key=key)).cluster for _ in range(20)} for key in (b"1", b"2", b"3", b"4", b"5")}
    assert all(len(clusters) == 1 for clusters in found.values())
    assert {route.draw(exchange()).cluster for _ in range(100)} == {"a", "b"}
