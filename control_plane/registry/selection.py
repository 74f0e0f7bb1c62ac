"""Label selectors over many workloads, without asking each workload about each selector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

Labels = Mapping[str, str]


class Labelled(Generic[T]):
    """Things with a namespace and labels, in an order that is kept."""

    def __init__(self, things: Iterable[tuple[str, Labels, T]]) -> None:
        self._by_label: dict[tuple[str, str, str], list[tuple[Labels, T]]] = {}
        for namespace, labels, thing in things:
            for name, value in labels.items():
                self._by_label.setdefault((namespace, name, value), []).append((labels, thing))

    def matching(self, namespace: str, selector: Labels) -> list[T]:
        """Those of a namespace that have all labels of a selector, which has one at least."""
        wanted = selector.items()
        rarest = min((self._by_label.get((namespace, name, value), []) for name, value in wanted), key=len)
        return [thing for labels, thing in rarest if wanted <= labels.items()]


class Selecting(Generic[T]):
    """Things with a namespace and a selector, to be found by the labels that satisfy it; in an order that is kept."""

    def __init__(self, things: Iterable[tuple[str, Labels, T]]) -> None:
        self._by_label: dict[tuple[str, str, str], list[tuple[int, Labels, T]]] = {}
        for position, (namespace, selector, thing) in enumerate(things):
            if selector:
                self._by_label.setdefault((namespace, *min(selector.items())), []).append((position, selector, thing))

    def of(self, namespace: str, labels: Labels) -> list[T]:
        """Those of a namespace whose selector these labels satisfy; not those without one."""
        found = [
            (position, thing)
            for name, value in labels.items()
            for position, selector, thing in self._by_label.get((namespace, name, value), ())
            if selector.items() <= labels.items()
        ]
        return [thing for _, thing in sorted(found, key=lambda each: each[0])]
