"""What the source holds, checked: the resources that are in effect, and those that are not because this version does not
understand them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from control_plane.sources.source import Commit, Document, Stored
from mesh.errors import ConfigError, Problem
from mesh.istio.load import load_documents
from mesh.istio.resource import Key, Resource

log = logging.getLogger(__name__)


class Accepted:
    """A mirror of the source in memory. Nothing in it is edited: a changed resource is another object."""

    def __init__(self) -> None:
        self.revision = 0
        self.documents: dict[Key, Stored] = {}
        self.resources: dict[Key, Resource] = {}
        self.skipped: dict[Key, tuple[Problem, ...]] = {}
        self._kinds: dict[str, tuple[Resource, ...]] = {}
        self._stale: set[str] = set()  # kinds that have changed since `_kinds` was made

    def restore(self, stored: Iterable[Stored], revision: int) -> None:
        """Begins with what the source has."""
        self.revision = revision
        for each in stored:
            self._put(each, None)

    def apply(self, commit: Commit) -> None:
        """Follows a commit of the source."""
        self.revision = commit.revision
        for event in commit.events:
            self._stale.add(event.key.kind)
            if event.document is None:
                for by_key in (self.documents, self.resources, self.skipped):
                    by_key.pop(event.key, None)
            else:
                self._put(Stored(event.key, event.document, event.created, event.revision), event.resource)

    def current(self) -> Mapping[Key, Document]:
        return {key: stored.document for key, stored in self.documents.items()}

    def by_kind(self) -> dict[str, tuple[Resource, ...]]:
        """The resources in effect, the oldest of each kind first; the same object as before for a kind without changes."""
        if self._stale:
            fresh = by_kind(resource for key, resource in self.resources.items() if key.kind in self._stale)
            kept = {kind: found for kind, found in self._kinds.items() if kind not in self._stale}
            self._kinds = {**kept, **fresh}
            self._stale = set()
        return self._kinds

    def with_changes(self, resources: Iterable[Resource], now: float) -> dict[str, tuple[Resource, ...]]:
        """What `by_kind` would be if these were applied now."""
        changed = dict(self.resources)
        for resource in resources:
            before = self.documents.get(resource.key)
            changed[resource.key] = replace(resource, created=before.created if before is not None else now)
        return by_kind(changed.values())

    def _put(self, stored: Stored, checked: Resource | None) -> None:
        self.documents[stored.key] = stored
        self._stale.add(stored.key.kind)
        self.skipped.pop(stored.key, None)
        try:
            resource = checked or load_documents([stored.document])[0]
        except ConfigError as error:
            # It was accepted by another version of us. It cannot be in effect, and must not keep us from starting.
            self.resources.pop(stored.key, None)
            self.skipped[stored.key] = error.problems
            for problem in error.problems:
                log.error("%s is stored but not in effect: %s", stored.key, problem)
            return
        self.resources[stored.key] = replace(resource, created=stored.created, revision=stored.revision, lines=None)


def by_kind(resources: Iterable[Resource]) -> dict[str, tuple[Resource, ...]]:
    """The oldest of each kind first; equal age goes by name, as in Istio."""
    kinds: dict[str, list[Resource]] = {}
    for resource in resources:
        kinds.setdefault(resource.key.kind, []).append(resource)
    return {
        kind: tuple(sorted(found, key=lambda r: (r.created, r.key.name, r.key.namespace)))
        for kind, found in kinds.items()
    }
