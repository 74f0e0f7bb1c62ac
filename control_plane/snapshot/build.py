"""(world, node) → snapshot. Pure; equal resources are one object, whoever they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, Final
from weakref import WeakValueDictionary

from control_plane.snapshot.resource import ASKED, Versioned, versioned
from control_plane.world import World
from mesh.node import Node
from mesh.xds import ENDPOINT

Build = Callable[[World, Node], Mapping[str, Mapping[str, Any]]]
Interned = WeakValueDictionary[tuple[str, str, str], Versioned]

MESSAGES_HELD: Final = 100_000

_MARK_BITS: Final = (1 << 64) - 1
_mark: Final = attrgetter("mark")
_asks: Final = attrgetter("asks")


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources of one type; `version` is the same for the same content."""

    version: str = ""
    by_name: Mapping[str, Versioned] = field(default_factory=dict)


EMPTY: Final = Resources()


def set_version(resources: Iterable[Versioned]) -> str:
    """The version of a set: a sum of hashes, so that neither order nor the number of proxies costs a sort."""
    return f"{sum(map(_mark, resources)) & _MARK_BITS:016x}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one proxy is to have, by type URL."""

    types: Mapping[str, Resources] = field(default_factory=dict)

    def of(self, type_url: str) -> Mapping[str, Versioned]:
        return self.types.get(type_url, EMPTY).by_name

    def version(self, type_url: str) -> str:
        return self.types.get(type_url, EMPTY).version


def differences(old: Snapshot, new: Snapshot) -> list[tuple[str, str]]:
    """(type URL, name) of every resource that one of the two has and the other has not, or not the same."""
    found: list[tuple[str, str]] = []
    for type_url in new.types.keys() | old.types.keys():
        if old.version(type_url) == new.version(type_url):
            continue
        before, after = old.of(type_url), new.of(type_url)
        found += [(type_url, n) for n, r in after.items() if n not in before or before[n].version != r.version]
        found += [(type_url, name) for name in before if name not in after]
    return found


class Snapshots:
    """Makes the snapshots of one world. A message that `build` returns for several proxies is serialised once, so it
    must not be changed afterwards; `interned` may be shared between worlds, so that what did not change stays one
    object. About `held` messages are remembered at the most."""

    def __init__(self, build: Build, world: World, interned: Interned | None = None, held: int = MESSAGES_HELD) -> None:
        self.world = world
        self._build = build
        self._most = held
        self._interned: Interned = WeakValueDictionary() if interned is None else interned
        # By the message's id; holding the message keeps its id from being used again.
        self._serialised: dict[int, Versioned] = {}
        self._messages: list[Any] = []
        self._sets: dict[tuple[str, tuple[int, ...]], Resources] = {}

    def of(self, node: Node) -> Snapshot:
        """The snapshot of one proxy."""
        if len(self._messages) > self._most:
            self._forget()
        built = self._build(self.world, node)
        types = {type_url: self._resources(type_url, messages) for type_url, messages in built.items()}
        for asking, asked in ASKED.items():
            if asking in types:
                types[asked] = self._complete(asked, types[asking], types.get(asked, Resources()))
        return Snapshot(types)

    @property
    def held(self) -> int:
        """How many messages are remembered."""
        return len(self._messages)

    def _forget(self) -> None:
        """In a world that lasts, every proxy that comes back leaves the messages made for it alone."""
        self._serialised.clear()
        self._messages.clear()
        self._sets.clear()

    def _complete(self, asked: str, asking: Resources, there: Resources) -> Resources:
        """Adds what clusters and listeners ask for and nobody made: no answer at all stalls Envoy for 15 s, an empty
        assignment or an empty route configuration does not."""
        missing = set(chain.from_iterable(map(_asks, asking.by_name.values()))) - there.by_name.keys()
        if not missing:
            return there
        empty = {name: self._intern(asked, name, versioned(asked, name, _empty(asked, name))) for name in missing}
        by_name = {**there.by_name, **empty}
        return Resources(set_version(by_name.values()), by_name)

    def _resources(self, type_url: str, messages: Mapping[str, Any]) -> Resources:
        # A thousand proxies with a thousand clusters each are a million look-ups: they are left to C.
        ids = tuple(map(id, messages.values()))
        if (known := self._sets.get((type_url, ids))) is not None:
            return known
        found: list[Any] = list(map(self._serialised.get, ids))
        fresh = None in found
        if fresh:
            found = [
                self._serialise(type_url, name, message) if resource is None else resource
                for (name, message), resource in zip(messages.items(), found, strict=True)
            ]
        resources = Resources(set_version(found), dict(zip(messages, found, strict=True)))
        if not fresh:  # one proxy's own set is not worth remembering
            self._sets[(type_url, ids)] = resources
        return resources

    def _serialise(self, type_url: str, name: str, message: Any) -> Versioned:
        resource = self._intern(type_url, name, versioned(type_url, name, message))
        self._serialised[id(message)] = resource
        self._messages.append(message)
        return resource

    def _intern(self, type_url: str, name: str, fresh: Versioned) -> Versioned:
        """The one object of this content: it may be there already, from the world before or for another proxy."""
        return self._interned.setdefault((type_url, name, fresh.version), fresh)


def _empty(type_url: str, name: str) -> Any:
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
    from envoy.config.route.v3.route_pb2 import RouteConfiguration

    return ClusterLoadAssignment(cluster_name=name) if type_url == ENDPOINT else RouteConfiguration(name=name)
