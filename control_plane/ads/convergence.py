"""When has a change arrived everywhere? A ledger of what each publication changed for whom, and what is still open."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from control_plane.ads.push import Progress
from control_plane.ads.status import Convergence, Nack, RevisionState, short
from control_plane.resource import ASKED
from mesh.xds import PUSH_ORDER, ROUTE, VIRTUAL_HOST

KEPT: Final = 256  # publications; a question about an older one is answered by the oldest that is kept
_ASKERS: Final = {**{asked: asking for asking, asked in ASKED.items()}, VIRTUAL_HOST: ROUTE}
_ORDER: Final = {type_url: index for index, type_url in enumerate(PUSH_ORDER)}

Item = tuple[str, str]  # type URL, name


class Proxy(Protocol):
    """A connected proxy, as far as its progress is concerned. `generation` is that of the last publication that its
    snapshot contains."""

    generation: int

    @property
    def id(self) -> str: ...
    def progress(self, type_url: str, name: str) -> tuple[Progress, str]: ...


@dataclass(slots=True, eq=False)
class Publication:
    """One published world. It is done when it was translated for everybody (`untranslated` is empty) and nothing is
    `open` any more."""

    revision: int
    generation: int
    changed_at: float
    untranslated: set[Proxy]
    open: dict[Proxy, set[Item]] = field(default_factory=dict)
    nacks: dict[Proxy, tuple[Nack, ...]] = field(default_factory=dict)
    affected: int = 0
    acked: int = 0
    done_at: float | None = None
    acked_at: array[float] = field(default_factory=lambda: array("d"))

    @property
    def state(self) -> RevisionState:
        if self.nacks:
            return RevisionState.REJECTED
        return RevisionState.PENDING if self.done_at is None else RevisionState.CONVERGED


class Ledger:
    """Synchronous; the hub tells it what happens. Methods return the publications whose state changed by it."""

    def __init__(self) -> None:
        self._publications: list[Publication] = []
        self._pending: list[Publication] = []
        self.generation = 0

    def publish(self, revision: int, changed_at: float, proxies: Iterable[Proxy], now: float) -> list[Publication]:
        self.generation += 1
        publication = Publication(revision, self.generation, changed_at, set(proxies))
        self._publications.append(publication)
        del self._publications[:-KEPT]
        self._pending = [p for p in self._pending[1 - KEPT :] if p.done_at is None]
        self._pending.append(publication)
        self._close(publication, now)
        return [publication]

    def awaits(self, proxy: Proxy) -> bool:
        """Whether any publication waits for what it changes for `proxy`."""
        return any(proxy in publication.untranslated for publication in self._pending)

    def translated(self, proxy: Proxy, changes: Iterable[Item], now: float) -> list[Publication]:
        """The snapshot of `proxy` now contains every publication; `changes` is what that changed."""
        items = set(changes)
        touched = []
        for publication in self._pending:
            if proxy in publication.untranslated:
                publication.untranslated.discard(proxy)
                touched.append(publication)
                if any(proxy.progress(*item)[0] in (Progress.WAITING, Progress.REJECTED) for item in items):
                    publication.open[proxy] = set(items)
                    publication.affected += 1
        proxy.generation = self.generation
        return self._refresh(proxy, touched, now)

    def failed(self, proxy: Proxy, message: str, now: float) -> list[Publication]:
        """Nothing could be made for `proxy`: it keeps what it has."""
        touched = [publication for publication in self._pending if proxy in publication.untranslated]
        for publication in touched:
            publication.untranslated.discard(proxy)
            publication.affected += 1
            publication.nacks[proxy] = (Nack(proxy.id, "", "", message),)
            self._close(publication, now)
        return touched

    def progressed(self, proxy: Proxy, now: float) -> list[Publication]:
        """`proxy` has answered something."""
        return self._refresh(proxy, [p for p in self._pending if proxy in p.open], now)

    def left(self, proxy: Proxy, now: float) -> list[Publication]:
        """A proxy that is gone is not waited for, and what it had not acknowledged does not count."""
        changed = []
        for publication in self._pending:
            before = publication.state
            publication.untranslated.discard(proxy)
            if proxy in publication.open or proxy in publication.nacks:
                publication.open.pop(proxy, None)
                publication.nacks.pop(proxy, None)
                publication.affected -= 1
            self._close(publication, now)
            if publication.state != before:
                changed.append(publication)
        return changed

    @property
    def settled(self) -> bool:
        """Whether the last publication has arrived everywhere."""
        return bool(self._publications) and self._publications[-1].done_at is not None

    def find(self, revision: int) -> Publication | None:
        """The first publication that contains `revision`."""
        return next((p for p in self._publications if p.revision >= revision), None)

    def _refresh(self, proxy: Proxy, publications: list[Publication], now: float) -> list[Publication]:
        changed = []
        for publication in publications:
            before = publication.state
            if proxy in publication.open:
                self._review(publication, proxy, now)
            self._close(publication, now)
            if publication.state != before:
                changed.append(publication)
        return changed

    def _review(self, publication: Publication, proxy: Proxy, now: float) -> None:
        """Strikes off what `proxy` has by now."""
        left: set[Item] = set()
        nacks: list[Nack] = []
        # In push order: what nobody has asked for may still be, as long as what refers to it is under way.
        for type_url, name in sorted(publication.open[proxy], key=lambda item: _ORDER.get(item[0], len(_ORDER))):
            progress, message = proxy.progress(type_url, name)
            if progress is Progress.UNWANTED:
                asker = _ASKERS.get(type_url)
                if asker is not None and any(item[0] == asker for item in left):
                    left.add((type_url, name))
            elif progress is not Progress.DONE:
                left.add((type_url, name))
            if progress is Progress.REJECTED:
                nacks.append(Nack(proxy.id, short(type_url), name, message))
        if nacks:
            publication.nacks[proxy] = tuple(nacks)
        else:
            publication.nacks.pop(proxy, None)
        if left:
            publication.open[proxy] = left
        else:
            del publication.open[proxy]
            publication.acked += 1
            publication.acked_at.append(now)

    def _close(self, publication: Publication, now: float) -> None:
        if publication.done_at is None and not publication.untranslated and not publication.open:
            publication.done_at = now


def report(revision: int, publication: Publication | None, now: float) -> Convergence:
    """What is known about `revision`; `publication` is the first that contains it, None before there is one."""
    if publication is None:
        return Convergence(revision, RevisionState.PENDING)
    end = now if publication.done_at is None else publication.done_at
    delays = sorted(max(0.0, at - publication.changed_at) for at in publication.acked_at)
    return Convergence(
        revision=revision,
        state=publication.state,
        affected=publication.affected,
        acked=publication.acked,
        seconds=max(0.0, end - publication.changed_at),
        nacks=tuple(nack for nacks in publication.nacks.values() for nack in nacks),
        p50=_quantile(delays, 0.5),
        p99=_quantile(delays, 0.99),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values that so many of all are not above; 0 of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
