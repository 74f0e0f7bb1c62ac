"""metadata_match: of a route, of a weighted cluster over it, of a TCP proxy."""

from __future__ import annotations

from typing import Any

from sidecar.config.metadata_match import compiled
from sidecar.config.model import MetadataMatch
from tests.unit.sidecar.config.build import TCP, parts, route_of
from tests.unit.sidecar.config.build import compiled as load


def match(**fields: Any) -> dict[str, Any]:
    return {"filter_metadata": {"envoy.lb": fields, "other": {"x": 1}}}


def test_of_a_route() -> None:
    given = parts()
    given.action.update(metadata_match=match(b=1, a="x"))
    action = route_of(given).action
    assert [each.metadata_match for each in action.clusters] == [MetadataMatch((("a", '"x"'), ("b", "1")))]


def test_of_weighted_clusters() -> None:
    given = parts()
    del given.action["cluster"]
    given.action.update(
        metadata_match=match(a=1, b=1),
        weighted_clusters={
            "clusters": [{"name": "up", "weight": 1, "metadata_match": match(b=2, c=3)}, {"name": "up", "weight": 1}]
        },
    )
    assert [each.metadata_match for each in route_of(given).action.clusters] == [
        MetadataMatch((("a", "1"), ("b", "2"), ("c", "3"))),
        MetadataMatch((("a", "1"), ("b", "1"))),
    ]


def test_of_a_tcp_proxy() -> None:
    given = parts()
    proxy: dict[str, Any] = {"@type": TCP, "stat_prefix": "t", "cluster": "up", "metadata_match": match(a=1)}
    given.chain["filters"] = [{"name": "tcp", "typed_config": proxy}]
    [cluster] = load(given).listeners[0].chains[0].network.clusters
    assert cluster.metadata_match == MetadataMatch((("a", "1"),))


def test_nothing_is_asked_for() -> None:
    assert compiled({}) is None


def test_alternatives() -> None:
    labels = (("a", "1"), ("fallback_list", '[{"a": 2}, {"b": 3}, 4]'))
    assert compiled({"a": 1, "fallback_list": [{"a": 2}, {"b": 3}, 4]}) == MetadataMatch(
        labels, ((("a", "2"),), (("a", "1"), ("b", "3")), (("a", "1"),))
    )
    assert compiled({"a": 1, "fallback_list": []}) == MetadataMatch(
        (("a", "1"), ("fallback_list", "[]")), ((("a", "1"),),)
    )
    assert compiled({"fallback_list": "x"}) == MetadataMatch((("fallback_list", '"x"'),))
