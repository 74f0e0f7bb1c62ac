"""The indexes of a world and of its scopes: which of them is a proxy's."""

from __future__ import annotations

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
        self._scoped: dict[Scope, tuple[Index, int]] = {}

    def follow(self, world: World) -> None:
        """From now on the look-ups are in `world`. Scopes that nobody asked for since the last time are forgotten."""
        self.whole.follow(world)
        self._scoping = Scoping(world)
        self._scoped = {scope: kept for scope, kept in self._scoped.items() if kept[1] == self._round}
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
        index, at = self._scoped.get(scope, (None, -1))
        if index is None:
            index = Index(scoped(world, scope), self.whole)
        elif at != self._round:
            index.follow(scoped(world, scope))
        self._scoped[scope] = (index, self._round)
        return index


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
