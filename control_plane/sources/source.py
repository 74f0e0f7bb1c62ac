"""What every config store can do, and the words in which it speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from mesh.errors import MeshError, Problem
from mesh.istio.resource import Key, Resource

Document = Mapping[str, Any]


class Action(StrEnum):
    CREATED = "created"
    CONFIGURED = "configured"
    DELETED = "deleted"


class SourceError(MeshError):
    """The store cannot be used, or cannot do this: why, and what to do."""


class RefusedError(SourceError):
    """A change that this store does not take, with the places that stand in its way; nothing was changed."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class AbandonedError(SourceError):
    """A change that nobody waits for any more, and that was therefore not made."""


@dataclass(frozen=True, slots=True)
class Change:
    """A resource as it should be, or with `document` None its end. `created` is set where a resource is to keep its age
    (a rollback); `resource` is the document's checked form, for those who would otherwise check it again; `file` is the
    file of a folder that it stands in."""

    key: Key
    document: Document | None
    created: float | None = None
    resource: Resource | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it is kept: `created` is a Unix time, `revision` that of its last change."""

    key: Key
    document: Document
    created: float
    revision: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One resource changed. `document` is None when it was deleted; `resource` as in `Change`; `id` grows from one change
    to the next, 0 where it is not known."""

    revision: int
    time: float
    action: Action
    key: Key
    document: Document | None
    created: float
    resource: Resource | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """The outcome of a batch: the revision that it became, or, without events, the revision as it was before."""

    revision: int
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which resources are meant; an empty word means all."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


EVERYTHING = Selection()
Listener = Callable[[Commit], None]


class Source(Protocol):
    """A config store. Revisions are counted from 1, one for each batch that changed something; 0 is the empty store.
    Listeners are called on the event loop, once for each such batch, in order, whoever caused it."""

    @property
    def url(self) -> str: ...

    @property
    def revision(self) -> int: ...

    async def open(self) -> None:
        """SourceError when the store cannot be used."""

    async def close(self) -> None: ...

    def listen(self, listener: Listener) -> None: ...

    async def current(self) -> list[Stored]:
        """Every resource, by kind, namespace and name."""

    async def apply(self, changes: Sequence[Change]) -> Commit:
        """All of them or none, durably; what changes nothing is left out. Raises RefusedError. Whoever stops waiting for
        it (a cancelled task) has changed nothing, unless the commit had begun."""

    async def history(self, selection: Selection, limit: int, since: int = 0) -> list[Event]:
        """The latest changes, newest first, of revisions after `since`."""

    async def changes(self, since: int, limit: int, after: int = 0) -> list[Event]:
        """At most `limit` of the changes of revisions after `since`, oldest first; `after` is the id of the last one that
        is known already."""

    async def at(self, revision: int) -> list[Stored]:
        """Every resource as it was at `revision`."""

    def problems(self) -> Sequence[Problem]:
        """What could not be read, and is therefore not in effect."""

    async def registrations(self) -> dict[str, Document]:
        """The workloads that were known when the process last ended, by their id."""

    async def save_registrations(self, saved: Mapping[str, Document], removed: Iterable[str]) -> None: ...


def plan(current: Mapping[Key, Document], changes: Iterable[Change]) -> list[tuple[Action, Change]]:
    """Those of `changes` that change something, and what each of them is."""
    planned: list[tuple[Action, Change]] = []
    for change in changes:
        before = current.get(change.key)
        if change.document is None:
            if before is not None:
                planned.append((Action.DELETED, change))
        elif before is None:
            planned.append((Action.CREATED, change))
        elif before != change.document:
            planned.append((Action.CONFIGURED, change))
    return planned
