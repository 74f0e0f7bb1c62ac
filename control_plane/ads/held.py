"""What one client has, written down as what is different from what everybody is to have: a thousand clients that have the
same cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Final
from weakref import WeakValueDictionary

from control_plane.resource import Versioned

_NONE: Final[Mapping[str, Versioned]] = {}
_SHARED_NAMES: Final[dict[frozenset[str], frozenset[str]]] = {}
_MOST_SHARED: Final = 256


class _Brought(dict[str, Versioned]):
    """Versions that a client brought along from an earlier stream."""

    __slots__ = ("__weakref__",)


_BROUGHT: Final[WeakValueDictionary[str, _Brought]] = WeakValueDictionary()


class Held(MutableMapping[str, Versioned]):
    """A mapping that begins empty. `base` is shared and never changed; None stands for what is in it and not in here."""

    __slots__ = ("_base", "_changes", "_length")

    def __init__(self) -> None:
        self._base = _NONE
        self._changes: dict[str, Versioned | None] = {}
        self._length = 0

    @property
    def base(self) -> Mapping[str, Versioned]:
        return self._base

    @property
    def different(self) -> int:
        """How many names are written down."""
        return len(self._changes)

    def rebase(self, base: Mapping[str, Versioned], changed: Iterable[str] | None = None) -> None:
        """The same content over another base, of which it is known in which names it differs from the one before. (Without
        that both are compared.) What has the version of the base's is the base's: a client that comes back brings versions
        only."""
        if base is self._base:
            return
        names = {*self._changes, *(base.keys() | self._base.keys() if changed is None else changed)}
        changes: dict[str, Versioned | None] = {}
        for name in names:
            here, there = self._get(name), base.get(name)
            if here is not there and (here is None or there is None or here.version != there.version):
                changes[name] = here
        self._base, self._changes = base, changes

    def adopt(self, content: Mapping[str, Versioned], base: Mapping[str, Versioned]) -> None:
        """From now on it is `content`, over `base`."""
        changes: dict[str, Versioned | None] = {n: r for n, r in content.items() if base.get(n) is not r}
        changes.update((name, None) for name in base if name not in content)
        self._base, self._changes, self._length = base, changes, len(content)

    def unlike(self, current: Mapping[str, Versioned]) -> list[Versioned]:
        """What is in here and not there, or not the same. Costs what is written down where that is over `current`."""
        here = self._changes if current is self._base else self
        return [
            resource
            for name, resource in here.items()
            if resource is not None and ((now := current.get(name)) is None or now.version != resource.version)
        ]

    def _get(self, name: str) -> Versioned | None:
        changes = self._changes
        return changes[name] if name in changes else self._base.get(name)

    def get(self, name: str, default: Versioned | None = None) -> Versioned | None:  # type: ignore[override]
        found = self._get(name)
        return default if found is None else found

    def __getitem__(self, name: str) -> Versioned:
        found = self._get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, resource: Versioned) -> None:
        if self._get(name) is None:
            self._length += 1
        if self._base.get(name) is resource:
            self._changes.pop(name, None)
        else:
            self._changes[name] = resource

    def __delitem__(self, name: str) -> None:
        if self._get(name) is None:
            raise KeyError(name)
        self._length -= 1
        if name in self._base:
            self._changes[name] = None
        else:
            del self._changes[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._get(name) is not None

    def __iter__(self) -> Iterator[str]:
        changes = self._changes
        yield from (name for name in self._base if name not in changes)
        yield from [name for name, resource in changes.items() if resource is not None]

    def __len__(self) -> int:
        return self._length


def brought_along(type_url: str, versions: Mapping[str, str]) -> Mapping[str, Versioned]:
    """What somebody brought along lately, if most of it is what this client brings, else what this one does: a base for a
    client that comes back with others, all of them with much the same, and has to wait for its turn. It is there as long
    as one of them waits."""
    known = _BROUGHT.get(type_url)
    if known is not None:
        alike = sum((here := known.get(n)) is not None and here.version == version for n, version in versions.items())
        if 2 * alike > max(len(known), len(versions)):
            return known
    brought = _BROUGHT[type_url] = _Brought((name, Versioned(name, version)) for name, version in versions.items())
    return brought


def shared_names(names: frozenset[str]) -> frozenset[str]:
    """An equal set that others have as well, if there is one: a thousand clients ask for the same names."""
    if len(names) < 16:
        return names
    known = _SHARED_NAMES.get(names)
    if known is None:
        if len(_SHARED_NAMES) >= _MOST_SHARED:
            _SHARED_NAMES.pop(next(iter(_SHARED_NAMES)))
        known = _SHARED_NAMES[names] = names
    return known
