"""Which resources of the API an xDS resource was made of: what its bytes say in Istio's metadata.

A route or a cluster carries `filter_metadata["istio"]["config"]`, the path of the resource that made it. It is read off the
serialised bytes, once for each of them, and once for each set of them, however many proxies share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

from control_plane.resource import Versioned
from control_plane.snapshot.build import Resources
from control_plane.translate.messages import CONFIG_API
from mesh.istio.resource import Key

_MARK: Final = f"{CONFIG_API}/".encode()
_STRING: Final = 0x1A  # google.protobuf.Value.string_value, length-delimited
_KINDS: Final = {"virtual-service": "VirtualService", "destination-rule": "DestinationRule"}

Names = Mapping[Key, tuple[str, ...]]


class Origins:
    """Remembers what it has read as long as that is there."""

    def __init__(self) -> None:
        self._of_resource: WeakKeyDictionary[Versioned, frozenset[Key]] = WeakKeyDictionary()
        self._of_set: WeakKeyDictionary[Resources, Names] = WeakKeyDictionary()

    def names(self, resources: Resources) -> Names:
        """By resource of the API, the names of the xDS resources that it has a part in."""
        known = self._of_set.get(resources)
        if known is None:
            found: dict[Key, list[str]] = {}
            for name, resource in resources.by_name.items():
                for key in self._keys(resource):
                    found.setdefault(key, []).append(name)
            known = self._of_set[resources] = {key: tuple(names) for key, names in found.items()}
        return known

    def _keys(self, resource: Versioned) -> frozenset[Key]:
        known = self._of_resource.get(resource)
        if known is None:
            known = self._of_resource[resource] = frozenset(_keys(resource.packed))
        return known


def layers_of(resources: Resources) -> tuple[Resources, ...]:
    """What a set is put together from."""
    return resources.layers or (resources,)


def _keys(packed: bytes) -> set[Key]:
    found: set[Key] = set()
    at = packed.find(_MARK)
    while at >= 0:
        length = _length_before(packed, at)
        parts = packed[at + len(_MARK) : at + length].decode(errors="replace").split("/")
        if len(parts) == 3 and parts[1] in _KINDS:
            found.add(Key(_KINDS[parts[1]], parts[0], parts[2]))
        at = packed.find(_MARK, at + len(_MARK))
    return found


def _length_before(packed: bytes, at: int) -> int:
    """The length of the string that begins at `at`: a varint of one or two bytes, behind the field's key."""
    if at >= 2 and packed[at - 2] == _STRING and packed[at - 1] < 0x80:
        return packed[at - 1]
    if at >= 3 and packed[at - 3] == _STRING:
        return (packed[at - 2] & 0x7F) | (packed[at - 1] << 7)
    return 0
