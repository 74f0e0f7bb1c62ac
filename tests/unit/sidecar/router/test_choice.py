"""Clusters that requests decide by their headers."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from xxhash import xxh64_intdigest

from sidecar.config.model import (
    Forward,
    HashPolicy,
    HashSource,
    HeaderAdd,
    HeaderOps,
    PathMatch,
    Route,
    RouteConfig,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
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


class Drawn(random.Random):
    """Draws always the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(("drawn", "cluster"), [(0.0, "a"), (0.29, "a"), (0.3, "b"), (0.99, "b")])
@pytest.mark.parametrize("at", [None, b"x", b"18446744073709551616"])
def test_chance_goes_by_the_weights(drawn: float, cluster: str, at: bytes | None) -> None:
    action = Forward(HALVES, weight_header=b"at")
    config = RouteConfig("r", (VirtualHost("v", ("*",), (Route(ANY, action),)),))
    headers = {} if at is None else {"at": at}
    route = RouteTable(config, rng=Drawn(drawn)).find(exchange())
    assert route is not None
    assert route.draw(exchange(**headers)).cluster == cluster


def test_a_number_of_64_bits_counts() -> None:
    assert drawn(Forward(HALVES, weight_header=b"at"), exchange(at=b"18446744073709551615")) == "a"  # … % 100 = 15


@pytest.mark.parametrize(("value", "cluster"), [(0.2, "a"), (0.4, "b")])
def test_chance_with_a_name_goes_by_the_weights(value: float, cluster: str) -> None:
    clusters = (WeightedCluster("a", 30), WeightedCluster("", 70, cluster_header=b"to"))
    config = RouteConfig("r", (VirtualHost("v", ("*",), (Route(ANY, Forward(clusters)),)),))
    route = RouteTable(config, rng=Drawn(value)).find(exchange())
    assert route is not None
    assert route.draw(exchange(to=b"b")).cluster == cluster


@pytest.mark.parametrize("key", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_a_key_stands_at_its_hash_among_the_weights(key: bytes) -> None:
    policies = (HashPolicy(HashSource.HEADER, "key"),)
    action = Forward(HALVES, weight_by_hash=True, hash_policies=policies)
    assert drawn(action, exchange(key=key)) == ("a" if xxh64_intdigest(key) % 100 < 30 else "b")


@pytest.mark.parametrize(("value", "cluster"), [(0.2, "a"), (0.4, "b")])
def test_chance_decides_where_there_is_no_key(value: float, cluster: str) -> None:
    policies = (HashPolicy(HashSource.HEADER, "key"),)
    action = Forward(HALVES, weight_by_hash=True, hash_policies=policies)
    config = RouteConfig("r", (VirtualHost("v", ("*",), (Route(ANY, action),)),))
    route = RouteTable(config, rng=Drawn(value)).find(exchange())
    assert route is not None
    assert route.draw(exchange()).cluster == cluster


def test_a_name_of_one_request_is_that_requests_alone() -> None:
    policies = HeaderOps((HeaderAdd(b"h", "1"),))
    clusters = (WeightedCluster("", 1, cluster_header=b"to", request_ops=policies, response_ops=policies),)
    route = table_of(Forward(clusters)).find(exchange())
    assert route is not None
    one, other = route.draw(exchange(to=b"x")), route.draw(exchange(to=b"y"))
    assert (one.cluster, one.config.name, other.cluster) == ("x", "x", "y")
    assert one.request_ops == other.request_ops != ()
    assert one.response_ops == one.reply_ops == other.response_ops != ()
