"""The index of a scope, from world to world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.translate import indexes
from control_plane.translate.indexes import Indexes
from control_plane.translate.scope import Scope, scoped
from control_plane.world import World
from tests.bench.push_world import node, one_endpoint, one_route, one_service_less, one_service_more, sidecar, world

HOST = "service-0.default.svc.cluster.local"


def test_a_change_of_endpoints_asks_no_service_whether_it_is_in_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(of: World, scope: Scope) -> World:
        asked.append(of.revision)
        return scoped(of, scope)

    monkeypatch.setattr(indexes, "scoped", counted)
    worlds = [world(1, 4, 2, scope=2)]
    for change in (one_endpoint, one_endpoint, one_route, one_endpoint):
        worlds.append(replace(change(worlds[-1]), revision=worlds[-1].revision + 1))
    followed = Indexes(worlds[0])
    for each in worlds:
        followed.follow(each)
        index = followed.of(each, node(3, 4))
        assert index.instances(HOST) == each.instances[HOST]
        assert len(index.virtual_services) == len(each.resources.get("VirtualService", ()))
    assert asked == [1, 4]


def test_services_that_come_and_go_are_followed() -> None:
    first = replace(world(1, 4, 2), resources={"Sidecar": (sidecar(["service-0", "more"]),)})
    more = replace(one_service_more(first), revision=2)
    less = replace(one_service_less(more), revision=3)
    followed = Indexes(first)
    found = []
    for each in (first, more, less):
        followed.follow(each)
        found.append([service.name for service in followed.of(each, node(3, 4)).services])
    assert found == [["service-0"], ["more", "service-0"], ["service-0"]]
