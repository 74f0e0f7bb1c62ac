"""(world, node) → snapshot. Equal resources are one object, whoever they are for; what did not change from one world to the
next is not looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary, ref

from control_plane.layers import Layers
from control_plane.resource import ASKED, Versioned, versioned
from control_plane.world import World
from mesh.node import Node
from mesh.xds import ENDPOINT

Build = Callable[[World, Node], Mapping[str, Mapping[str, Any]]]
Interned = WeakValueDictionary[tuple[str, str, str], Versioned]
T = TypeVar("T")

MESSAGES_HELD: Final = 100_000
MOST_STEPS: Final = 16  # that changes are followed back before everything is compared

_MARK_BITS: Final = (1 << 64) - 1
_mark: Final = attrgetter("mark")
_asks: Final = attrgetter("asks")


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Resources:
    """All resources of one type; `version` is the same for the same content. `layers` are what it is put together from, the
    shared before the own; one that is no such sum may know its `parent`, and by `delta` the names in which it differs."""

    version: str = ""
    by_name: Mapping[str, Versioned] = field(default_factory=dict)
    total: int = 0
    layers: tuple[Resources, ...] = ()
    parent: ref[Resources] | None = None
    delta: frozenset[str] = frozenset()


EMPTY: Final = Resources()


def set_version(resources: Iterable[Versioned]) -> str:
    """The version of a set: a sum of hashes, so that neither order nor the number of proxies costs a sort."""
    return _version(sum(map(_mark, resources)))


def _version(total: int) -> str:
    return f"{total & _MARK_BITS:016x}"


def _whole(by_name: Mapping[str, Versioned]) -> Resources:
    total = sum(map(_mark, by_name.values()))
    return Resources(_version(total), by_name, total)


def changed_names(old: Resources, new: Resources) -> Iterable[str]:
    """Every name that one of the two has and the other has not, or not the same. Costs what changed where one has become
    the other."""
    if old is new:
        return ()
    if old.layers and new.layers:
        shared, own = zip(old.layers, new.layers, strict=True)
        if not (names := set(changed_names(*shared)) | set(changed_names(*own))):
            return ()
        return [name for name in names if _differ(old, new, name)]
    found: set[str] = set()
    here: Resources | None = new
    for _ in range(MOST_STEPS):
        if here is None or here is old:
            break
        found |= here.delta
        here = here.parent() if here.parent is not None else None
    if here is old:
        return [name for name in found if _differ(old, new, name)]
    return [name for name in old.by_name.keys() | new.by_name.keys() if _differ(old, new, name)]


def _differ(old: Resources, new: Resources, name: str) -> bool:
    before, after = old.by_name.get(name), new.by_name.get(name)
    return before is not after and (before is None or after is None or before.version != after.version)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one proxy is to have, by type URL."""

    types: Mapping[str, Resources] = field(default_factory=dict)

    def resources(self, type_url: str) -> Resources:
        return self.types.get(type_url, EMPTY)

    def of(self, type_url: str) -> Mapping[str, Versioned]:
        return self.types.get(type_url, EMPTY).by_name

    def version(self, type_url: str) -> str:
        return self.types.get(type_url, EMPTY).version


def differences(old: Snapshot, new: Snapshot) -> list[tuple[str, str]]:
    """(type URL, name) of every resource that one of the two has and the other has not, or not the same."""
    found: list[tuple[str, str]] = []
    for type_url in new.types.keys() | old.types.keys():
        if old.version(type_url) != new.version(type_url):
            found += [(type_url, name) for name in changed_names(old.resources(type_url), new.resources(type_url))]
    return found


class _Recent(Generic[T]):
    """What was asked for in this round or in the one before."""

    def __init__(self) -> None:
        self._now: dict[Any, T] = {}
        self._before: dict[Any, T] = {}

    def __len__(self) -> int:
        return len(self._now) + len(self._before)

    def get(self, key: Any) -> T | None:
        found = self._now.get(key)
        if found is None and (found := self._before.get(key)) is not None:
            self._now[key] = found
        return found

    def put(self, key: Any, value: T) -> T:
        self._now[key] = value
        return value

    def turn(self) -> None:
        self._before, self._now = self._now, {}


class Snapshots:
    """Makes the snapshots of one world after the other (`follow`). What `build` returns are messages, or resources that
    are ready. A message that it returns for several proxies is serialised once, so it must not be changed afterwards, and
    no more than a mapping of them. `interned` may be shared between several of these. About `held` messages are remembered
    at the most."""

    def __init__(self, build: Build, world: World, interned: Interned | None = None, held: int = MESSAGES_HELD) -> None:
        self.world = world
        self._build = build
        self._most = held
        self._interned: Interned = WeakValueDictionary() if interned is None else interned
        # By ids; what they are the ids of is held as well, so that nothing else gets them.
        self._serialised: _Recent[tuple[Any, Versioned]] = _Recent()
        self._sets: _Recent[tuple[Any, Resources]] = _Recent()
        self._sums: _Recent[tuple[Any, Resources]] = _Recent()
        self._missing: _Recent[tuple[Any, frozenset[str]]] = _Recent()

    def follow(self, world: World) -> None:
        """From now on the snapshots are of `world`."""
        self.world = world
        self._turn()

    def of(self, node: Node) -> Snapshot:
        """The snapshot of one proxy."""
        if len(self._serialised) > self._most:
            self._turn()  # in a world that lasts, every proxy that comes back leaves the messages made for it alone
        built = self._build(self.world, node)
        types = {type_url: self._resources(type_url, messages) for type_url, messages in built.items()}
        for asking, asked in ASKED.items():
            if asking in types:
                types[asked] = self._complete(asked, types[asking], types.get(asked, EMPTY))
        return Snapshot(types)

    @property
    def held(self) -> int:
        """How many messages are remembered."""
        return len(self._serialised)

    def _turn(self) -> None:
        for recent in (self._serialised, self._sets, self._sums, self._missing):
            recent.turn()

    # ── what clients will ask for ─────────────────────────────────────────────────────────────────────────────────────

    def _complete(self, asked: str, asking: Resources, there: Resources) -> Resources:
        """Adds what clusters and listeners ask for and nobody made: no answer at all stalls Envoy for 15 s, an empty
        assignment or an empty route configuration does not."""
        missing = self._not_there(asking, there)
        if not missing:
            return there
        key = ("empty", asked, missing)
        if (known := self._sets.get(key)) is None:
            empty = {name: self._intern(asked, name, versioned(asked, name, _empty(asked, name))) for name in missing}
            known = self._sets.put(key, (None, _whole(empty)))
        return self._sum(there, known[1])

    def _not_there(self, asking: Resources, there: Resources) -> frozenset[str]:
        if asking.layers:
            return self._not_there(asking.layers[0], there) | self._not_there(asking.layers[1], there)
        key = (id(asking), id(there))
        if (known := self._missing.get(key)) is None:
            asks = set(chain.from_iterable(map(_asks, asking.by_name.values())))
            missing = frozenset(name for name in asks if name not in there.by_name)
            known = self._missing.put(key, ((asking, there), missing))
        return known[1]

    # ── sets of resources ─────────────────────────────────────────────────────────────────────────────────────────────

    def _resources(self, type_url: str, messages: Mapping[str, Any]) -> Resources:
        if isinstance(messages, Layers):
            return self._sum(self._resources(type_url, messages.shared), self._resources(type_url, messages.own))
        key = (type_url, id(messages))
        if (known := self._sets.get(key)) is not None:
            return known[1]
        return self._sets.put(key, (messages, self._made(type_url, messages)))[1]

    def _sum(self, shared: Resources, own: Resources) -> Resources:
        if not own.by_name:
            return shared
        key = (id(shared), id(own))
        if (known := self._sums.get(key)) is None:
            if any(name in shared.by_name for name in own.by_name):
                resources = _whole({**shared.by_name, **own.by_name})
            else:
                total = shared.total + own.total
                resources = Resources(_version(total), Layers(shared.by_name, own.by_name), total, (shared, own))
            known = self._sums.put(key, ((shared, own), resources))
        return known[1]

    def _made(self, type_url: str, messages: Mapping[str, Any]) -> Resources:
        parent = getattr(messages, "parent", None)
        before = self._sets.get((type_url, id(parent))) if parent is not None else None
        if before is not None and before[0] is parent:
            return self._derived(type_url, messages, before[1])
        # A thousand proxies with a thousand messages each are a million look-ups: they are left to C.
        ids = (type_url, tuple(map(id, messages.values())))
        if (known := self._sets.get(ids)) is not None:
            return known[1]
        by_name = {name: self._serialise(type_url, name, message) for name, message in messages.items()}
        return self._sets.put(ids, (list(messages.values()), _whole(by_name)))[1]

    def _derived(self, type_url: str, messages: Any, before: Resources) -> Resources:
        """The resources of a Table, from those of its parent."""
        by_name, total = dict(before.by_name), before.total
        for name in messages.delta:
            if (old := by_name.pop(name, None)) is not None:
                total -= old.mark
            if (message := messages.get(name)) is not None:
                by_name[name] = fresh = self._serialise(type_url, name, message)
                total += fresh.mark
        if total == before.total:
            return before  # other messages, but of the same content
        return Resources(_version(total), by_name, total, parent=ref(before), delta=messages.delta)

    def _serialise(self, type_url: str, name: str, message: Any) -> Versioned:
        if isinstance(message, Versioned):
            return self._intern(type_url, name, message)
        known = self._serialised.get(id(message))
        if known is None:
            resource = self._intern(type_url, name, versioned(type_url, name, message))
            known = self._serialised.put(id(message), (message, resource))
        return known[1]

    def _intern(self, type_url: str, name: str, fresh: Versioned) -> Versioned:
        """The one object of this content: it may be there already, from the world before or for another proxy."""
        return self._interned.setdefault((type_url, name, fresh.version), fresh)


def _empty(type_url: str, name: str) -> Any:
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
    from envoy.config.route.v3.route_pb2 import RouteConfiguration

    return ClusterLoadAssignment(cluster_name=name) if type_url == ENDPOINT else RouteConfiguration(name=name)
