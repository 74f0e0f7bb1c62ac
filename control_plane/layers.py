"""A mapping in two layers: what many share, and what is one's own. It costs nothing to put the two together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Layers(Mapping[str, T]):
    """Neither layer is changed. A name that both have is one's own."""

    __slots__ = ("own", "shared")

    def __init__(self, shared: Mapping[str, T], own: Mapping[str, T]) -> None:
        self.shared = shared
        self.own = own

    def __getitem__(self, name: str) -> T:
        own = self.own
        return own[name] if name in own else self.shared[name]

    def get(self, name: str, default: Any = None) -> Any:
        own = self.own
        return own[name] if name in own else self.shared.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.shared

    def __iter__(self) -> Iterator[str]:
        own = self.own
        yield from self.shared if not own else (name for name in self.shared if name not in own)
        yield from own

    def __len__(self) -> int:
        return len(self.shared) + sum(name not in self.shared for name in self.own)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # as a dict's
