"""The config store of the process: changes in, one at a time; answers and Worlds out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from control_plane.analysis.analyse import analyse, gravest_first
from control_plane.analysis.codes import Level
from control_plane.analysis.finding import Finding, schema_error
from control_plane.analysis.suppress import Suppression
from control_plane.analysis.texts import Text, analyse_kinds, read
from control_plane.mesh_config import mesh_of
from control_plane.registry.discovery import Discovery
from control_plane.registry.services import discover
from control_plane.registry.workload import Workload
from control_plane.sources.source import Action, Change, Commit, Document, Selection, Source, Stored, plan
from control_plane.store.accepted import Accepted
from control_plane.store.debounce import Debounce
from control_plane.store.texts import File, changes_to, differences, load_files
from control_plane.store.workers import Workers
from control_plane.world import MeshConfig, World
from mesh.clock import Clock
from mesh.errors import ConfigError, MeshError, Problem
from mesh.gc_tuning import uncollected
from mesh.istio.load import Loaded
from mesh.istio.resource import Key, Resource

log = logging.getLogger(__name__)

CHECKS_AT_ONCE = 2  # each in a thread
UNCHANGED = "unchanged"
NOT_FOUND = "not found"


class UnknownRevisionError(MeshError):
    """A revision that there never was."""


class Metrics(Protocol):
    """What the store reports about itself."""

    def changed(self, commit: Commit) -> None: ...
    def endpoints_changed(self) -> None: ...
    def debounced(self, seconds: float) -> None: ...
    def published(self, world: World, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one resource: created, configured, deleted, unchanged or not found."""

    key: Key
    action: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """`findings` are about what was applied; `skipped` are the documents that were passed over."""

    revision: int
    results: tuple[Result, ...]
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Problem, ...] = ()


class ConfigStore:
    """`publish` gets every new World with the monotonic time of the first change in it; `workloads` tells who is there;
    `mesh` holds for everybody. All on one event loop."""

    def __init__(
        self,
        source: Source,
        workloads: Callable[[], Sequence[Workload]],
        publish: Callable[[World, float], None],
        metrics: Metrics,
        mesh: MeshConfig,
        clock: Clock,
        debounce: Debounce | None = None,
    ) -> None:
        self.source = source
        self.accepted = Accepted()
        self.world = World()
        self._published: World | None = None
        self._workloads = workloads
        self._publish = publish
        self._metrics = metrics
        self._mesh = mesh
        self._clock = clock
        self._debounce = debounce or Debounce()
        self._discovery = Discovery()
        self._timer: asyncio.TimerHandle | None = None
        self._one_at_a_time = asyncio.Lock()
        self._workers = Workers(CHECKS_AT_ONCE)
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Takes in what the source has, and publishes the first World."""
        self.source.listen(self._committed)
        self.accepted.restore(await self.source.current(), self.source.revision)
        self._build(self._clock.monotonic())

    def stop(self) -> None:
        """Nothing more is published."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ── changes in ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def apply(
        self, files: Sequence[File], dry_run: bool = False, strict: bool = False, skip_unknown: bool = False
    ) -> Outcome:
        """ConfigError with every problem, and nothing is changed; `strict` makes a problem of everything that the analysis
        warns of. `skip_unknown` passes over kinds of others."""
        with uncollected():  # what knows the lines of a text are many objects, and gone at the end
            loaded = await self._load(files, skip_unknown, strict)
            async with self._one_at_a_time:
                findings = await self._workers.run(self._analyse, loaded.resources, list(self._workloads()))
                if strict and (grave := [each for each in findings if each.code.level > Level.INFO]):
                    raise ConfigError(*map(_problem, grave))
                outcome = await self._change(changes_to(loaded.resources), dry_run)
            return replace(outcome, findings=tuple(findings), skipped=loaded.skipped)

    def _analyse(self, resources: Sequence[Resource], workloads: Sequence[Workload]) -> list[Finding]:
        """What is to be said about resources if they are applied now."""
        kinds = self.accepted.with_changes(resources, self._clock.wall())
        services, instances = discover(kinds, workloads)
        world = World(self.accepted.revision, kinds, services, instances, mesh_of(self._mesh, kinds))
        return analyse(world, {resource.key for resource in resources})

    async def analyse(
        self, files: Sequence[File], calls: Mapping[str, Collection[str]], suppressions: Sequence[Suppression]
    ) -> tuple[list[Finding], tuple[Problem, ...]]:
        """What is to be said of everything that is in effect, if the files were applied, and the notes of reading them.
        Files that an apply would refuse are findings, too."""
        return await self._workers.run(self._analysed, files, list(self._workloads()), calls, suppressions)

    def _analysed(
        self,
        files: Sequence[File],
        workloads: Sequence[Workload],
        calls: Mapping[str, Collection[str]],
        suppressions: Sequence[Suppression],
    ) -> tuple[list[Finding], tuple[Problem, ...]]:
        found = read(Text(file.name, file.text) for file in files)
        kinds = self.accepted.with_changes(found.resources, self._clock.wall())
        findings = analyse_kinds(kinds, workloads, calls, suppressions, self._mesh)
        return gravest_first([*map(schema_error, found.problems), *findings]), found.skipped

    async def delete(self, keys: Sequence[Key]) -> Outcome:
        """Ends those of the resources that there are."""
        async with self._one_at_a_time:
            return await self._change([Change(key, None) for key in keys])

    async def change(self, changes: Sequence[Change], expected: Mapping[Key, Document | None]) -> Outcome | None:
        """All of them in one revision; None, and nothing is changed, where a resource is not what was expected."""
        async with self._one_at_a_time:
            current = self.accepted.current()
            if any(current.get(key) != document for key, document in expected.items()):
                return None
            return await self._change(changes)

    async def delete_files(self, files: Sequence[File]) -> Outcome:
        """ConfigError when the files cannot be understood."""
        return await self.delete([resource.key for resource in (await self._load(files)).resources])

    async def rollback(self, revision: int) -> Outcome:
        """Makes everything as it was at `revision`. Raises UnknownRevisionError, and ConfigError where something of then
        is not accepted any more."""
        async with self._one_at_a_time:
            if not 0 <= revision <= self.source.revision:
                raise UnknownRevisionError(f"there is no revision {revision}; the latest is {self.source.revision}")
            then = {stored.key: stored for stored in await self.source.at(revision)}
            changes = await self._workers.run(_restored, list(then.values()))
            changes += [Change(key, None) for key in self.accepted.documents if key not in then]
            outcome = await self._change(changes)
        return Outcome(outcome.revision, tuple(result for result in outcome.results if result.action != UNCHANGED))

    async def diff(self, files: Sequence[File]) -> list[tuple[Key, str]]:
        """What an apply of `files` would change, as unified texts; ConfigError if it would be refused."""
        return await self._workers.run(differences, (await self._load(files)).resources, self.accepted.current())

    async def _load(self, files: Sequence[File], skip_unknown: bool = False, strict: bool = False) -> Loaded:
        """A file of ten thousand routes takes seconds to check: the proxies' streams must not wait for that."""
        return await self._workers.run(load_files, files, skip_unknown, strict)

    async def _change(self, changes: Sequence[Change], dry_run: bool = False) -> Outcome:
        if dry_run:
            revision = self.source.revision
            actions = {change.key: action for action, change in plan(self.accepted.current(), changes)}
        else:
            commit = await self.source.apply(changes)
            revision = commit.revision
            actions = {event.key: event.action for event in commit.events}
        return Outcome(revision, tuple(Result(c.key, _action(c, actions.get(c.key))) for c in changes))

    # ── answers out ───────────────────────────────────────────────────────────────────────────────────────────────────

    def select(self, selection: Selection) -> list[Stored]:
        """The resources that are meant, by kind, namespace and name."""
        found = [stored for key, stored in self.accepted.documents.items() if _meant(key, selection)]
        return sorted(found, key=lambda stored: stored.key)

    def problems(self) -> list[Problem]:
        """What is wrong with what is stored: files that cannot be read, resources that are not understood."""
        skipped = [
            Problem(f"{key} is stored but not in effect: {problem.message}", problem.field)
            for key, problems in self.accepted.skipped.items()
            for problem in problems
        ]
        return [*self.source.problems(), *skipped]

    @property
    def news(self) -> asyncio.Event:
        """Is set by the next commit. (Take it before you look, so that nothing is missed in between.)"""
        return self._news

    # ── worlds out ────────────────────────────────────────────────────────────────────────────────────────────────────

    def workloads_changed(self) -> None:
        """The registry has news."""
        self._metrics.endpoints_changed()
        self._schedule()

    def _committed(self, commit: Commit) -> None:
        self.accepted.apply(commit)
        self._metrics.changed(commit)
        log.info("revision %d: %s", commit.revision, ", ".join(f"{e.key} {e.action}" for e in commit.events[:20]))
        self._news.set()
        self._news = asyncio.Event()
        self._schedule()

    def _schedule(self) -> None:
        self._debounce.changed(self._clock.monotonic())
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        due = self._debounce.due
        if due is not None:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        first = self._debounce.take(now)
        if first is None:
            self._wait()
            return
        self._metrics.debounced(now - first)
        self._build(first)

    def _build(self, changed_at: float) -> None:
        began, revision = self._clock.monotonic(), self.accepted.revision
        resources = self.accepted.by_kind()
        services, instances = self._discovery.discover(resources, self._workloads())
        before = self._published
        if before and (before.revision, before.services, before.instances) == (revision, services, instances):
            return  # a workload came that serves nobody: a client, or one that is known
        world = World(revision, resources, services, instances, mesh_of(self._mesh, resources))
        self._published = self.world = world
        self._metrics.published(world, self._clock.monotonic() - began)
        self._publish(world, changed_at)


def _problem(finding: Finding) -> Problem:
    return Problem(f"{finding.code.number}: {finding.message}", finding.field, finding.file, finding.line)


def _restored(then: Sequence[Stored]) -> list[Change]:
    """The changes that bring these back. ConfigError."""
    from mesh.istio.load import load_documents

    return [
        Change(stored.key, stored.document, created=stored.created, resource=load_documents([stored.document])[0])
        for stored in then
    ]


def _action(change: Change, action: Action | None) -> str:
    if action is not None:
        return action
    return NOT_FOUND if change.document is None else UNCHANGED


def _meant(key: Key, selection: Selection) -> bool:
    wanted = (selection.kind, selection.namespace, selection.name)
    return all(word in ("", part) for part, word in zip(key, wanted, strict=True))
