"""The indexes of a world and of its scopes: which of them is a proxy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

from control_plane.translate.index import Index
from control_plane.translate.scope import UNSCOPED, Scope, Scoping, scoped
from control_plane.world import World
from mesh.node import Node


class Indexes:
    """The index of one world after the other, and those of its scopes, each made when it is first asked for."""

    def __init__(self, world: World) -> None:
        self.whole = Index(world)
        self._scoping = Scoping(world)
        self._round = 0
        self._scoped: dict[Scope, _Scoped] = {}

    def follow(self, world: World) -> None:
        """From now on the look-ups are in `world`. Scopes that nobody asked for since the last time are forgotten."""
        self.whole.follow(world)
        self._scoping = Scoping(world)
        self._scoped = {scope: kept for scope, kept in self._scoped.items() if kept.round == self._round}
        self._round += 1

    def of(self, world: World, node: Node) -> Index:
        """What a proxy is told of. `world` is the one that is followed."""
        scope = self._scoping.of(node)
        if scope == UNSCOPED:
            return self.whole
        index = self._at(world, scope)
        index.egress = tuple((each, self._at(world, own)) for each, own in self._scoping.listeners(scope))
        return index

    def _at(self, world: World, scope: Scope) -> Index:
        kept = self._scoped.get(scope)
        if kept is None:
            part = scoped(world, scope)
            kept = self._scoped[scope] = _Scoped(Index(part, self.whole), world, part, self._round)
        elif kept.round != self._round:
            kept.follow(world, scope, self._round)
        return kept.index


class _Scoped:
    """The index of a scope, the `part` of the world that it is of, and the round in which somebody asked for it last."""

    def __init__(self, index: Index, world: World, part: World, at: int) -> None:
        self.index = index
        self.round = at
        self._world = world
        self._part = part

    def follow(self, world: World, scope: Scope, at: int) -> None:
        """Which services and rules there are for a scope does not depend on endpoints, which change most often."""
        before, part = self._world, self._part
        if world.services is before.services and world.mesh == before.mesh and _same(world.resources, before.resources):
            part = replace(world, services=part.services, mesh=part.mesh, resources=part.resources)
        else:
            part = scoped(world, scope)
        self.index.follow(part)
        self.round, self._world, self._part = at, world, part


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return one is other or (one.keys() == other.keys() and all(one[kind] is other[kind] for kind in one))


_INDEXES: WeakKeyDictionary[World, Indexes] = WeakKeyDictionary()


def indexes_of(world: World) -> Indexes:
    """The indexes of a world, made when it is first asked for."""
    found = _INDEXES.get(world)
    if found is None:
        found = _INDEXES[world] = Indexes(world)
    return found


def index_of(world: World) -> Index:
    """The index of a whole world."""
    return indexes_of(world).whole
