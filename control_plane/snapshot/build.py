"""(world, node) → snapshot. Pure; equal resources are one object, whoever they are for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakValueDictionary

from control_plane.snapshot.resource import ASKED, Versioned, versioned
from control_plane.world import World
from mesh.node import Node
from mesh.xds import ENDPOINT

Build = Callable[[World, Node], Mapping[str, Mapping[str, Any]]]
Interned = WeakValueDictionary[tuple[str, str, str], Versioned]

_MARK_BITS: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources of one type; `version` is the same for the same content."""

    version: str = ""
    by_name: Mapping[str, Versioned] = field(default_factory=dict)


EMPTY: Final = Resources()


def set_version(resources: Iterable[Versioned]) -> str:
    """The version of a set: a sum of hashes, so that neither order nor the number of proxies costs a sort."""
    return f"{sum(resource.mark for resource in resources) & _MARK_BITS:016x}"


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
    object."""

    def __init__(self, build: Build, world: World, interned: Interned | None = None) -> None:
        self.world = world
        self._build = build
        self._interned: Interned = WeakValueDictionary() if interned is None else interned
        # By identity; holding the message keeps its id from being used again.
        self._serialised: dict[tuple[str, int], tuple[Any, Versioned]] = {}
        self._sets: dict[tuple[str, str], Resources] = {}

    def of(self, node: Node) -> Snapshot:
        """The snapshot of one proxy."""
        built = self._build(self.world, node)
        types = {
            type_url: {name: self._versioned(type_url, name, message) for name, message in messages.items()}
            for type_url, messages in built.items()
        }
        self._complete(types)
        return Snapshot({type_url: self._resources(type_url, by_name) for type_url, by_name in types.items()})

    def _complete(self, types: dict[str, dict[str, Versioned]]) -> None:
        """Adds what clusters and listeners ask for and nobody made: no answer at all stalls Envoy for 15 s, an empty
        assignment or an empty route configuration does not."""
        for asking, asked in ASKED.items():
            there = types.setdefault(asked, {}) if asking in types else {}
            for resource in types.get(asking, {}).values():
                for name in resource.asks:
                    if name not in there:
                        there[name] = self._intern(asked, name, versioned(asked, name, _empty(asked, name)))

    def _resources(self, type_url: str, by_name: Mapping[str, Versioned]) -> Resources:
        version = set_version(by_name.values())
        return self._sets.setdefault((type_url, version), Resources(version, by_name))

    def _versioned(self, type_url: str, name: str, message: Any) -> Versioned:
        key = (type_url, id(message))
        if (found := self._serialised.get(key)) is not None:
            return found[1]
        resource = self._intern(type_url, name, versioned(type_url, name, message))
        self._serialised[key] = (message, resource)
        return resource

    def _intern(self, type_url: str, name: str, fresh: Versioned) -> Versioned:
        """The one object of this content: it may be there already, from the world before or for another proxy."""
        return self._interned.setdefault((type_url, name, fresh.version), fresh)


def _empty(type_url: str, name: str) -> Any:
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
    from envoy.config.route.v3.route_pb2 import RouteConfiguration

    return ClusterLoadAssignment(cluster_name=name) if type_url == ENDPOINT else RouteConfiguration(name=name)
