"""What becomes of workloads as their streams come and go: a state machine that only a clock moves.

    connected ──stream lost──▶ lost ──2 s──▶ unhealthy ──grace──▶ gone
        ▲──────────────────────┴──────────────────┘  a new stream

After a restart of ours every workload that was known is lost, but stays healthy for much longer: that it is not
connected is our doing. One that was unhealthy before stays so. Many that are lost at once are treated the same.

Who has a probe is used once that has passed, and as long as it does; who says that it drains is used no more, and is not
waited for when its stream ends.

Several streams may claim one place: one id twice, or two ids on one socket. Every live claim is kept; the newest counts,
and when it ends, the one before.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final

from control_plane.registry.workload import Workload, accepts
from mesh.clock import Clock
from mesh.node import Node
from mesh.xds import DRAINING

NOT_PROBED: Final = "its probe has not passed yet"
LOST_SECONDS: Final = 2.0
REMOVAL_SECONDS: Final = 60.0
RESTART_SECONDS: Final = 30.0
# So many that are lost at the same time, and such a share of all, are a storm.
STORM_LEAST: Final = 5
STORM_SHARE: Final = 0.2

Socket = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Grace:
    """`lost`: from the end of the stream until unhealthy. `restart`: the same, for all, after a restart of ours.
    `removal`: from unhealthy until gone."""

    lost: float = LOST_SECONDS
    removal: float = REMOVAL_SECONDS
    restart: float = RESTART_SECONDS


class State(Enum):
    CONNECTED = auto()
    LOST = auto()
    UNHEALTHY = auto()


@dataclass(slots=True)
class _Entry:
    """A node id. `claims` are what its live streams say that it is, the newest last: the newest counts, and when its
    stream ends, the one before. Their numbers grow with every connect of anybody."""

    workload: Workload
    state: State
    claims: list[tuple[int, Node]] = field(default_factory=list)
    deadline: float | None = None  # of the clock's monotonic time
    shadowed: bool = False  # somebody who connected later, and is there, answers on one of its sockets

    @property
    def order(self) -> int:
        return self.claims[-1][0] if self.claims else 0


@dataclass(slots=True)
class News:
    """What happened since the last `take`: what is to be kept and forgotten on disk, and whether endpoints changed."""

    saved: dict[str, Workload]
    removed: set[str]
    endpoints: bool

    def __bool__(self) -> bool:
        return bool(self.saved or self.removed or self.endpoints)

    def merge(self, later: News) -> None:
        """What happened first this, then `later`, comes to."""
        self.saved = {key: w for key, w in self.saved.items() if key not in later.removed} | later.saved
        self.removed = (self.removed - later.saved.keys()) | later.removed
        self.endpoints = self.endpoints or later.endpoints


class Lifecycle:
    """Workloads by node id, in the order in which they first came. Never waits; `tick` says when it is to be called."""

    def __init__(self, grace: Grace, clock: Clock) -> None:
        self._grace = grace
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._claimants: dict[Socket, set[str]] = {}  # who says that it answers there
        self._deadlines: list[tuple[float, str]] = []  # a heap; one that is no entry's any more is passed over
        self._connects = 0
        self._lost = 0
        self._lost_alone: dict[str, _Entry] = {}  # of the lost, those that were not many at once so far
        self._news = News({}, set(), False)

    def workloads(self) -> list[Workload]:
        """Those that count: not the ones whose place somebody newer has taken."""
        return [entry.workload for entry in self._entries.values() if not entry.shadowed]

    def restore(self, workloads: Iterable[Workload]) -> None:
        """Begins with the workloads of the process before."""
        now = self._clock.monotonic()
        for workload in workloads:
            healthy = workload.healthy
            entry = _Entry(replace(workload, connected=False), State.CONNECTED)
            self._clear_stale(workload.node)
            self._entries[workload.node.id] = entry
            self._claim_sockets(workload.node)
            self._become(
                entry,
                State.LOST if healthy else State.UNHEALTHY,
                now + (self._grace.restart if healthy else self._grace.removal),
            )

    def connected(self, node: Node) -> None:
        """A stream of `node` has begun, its first or a further one. It is what its newest stream says. Who claims to answer
        on its sockets and is not there any more is gone; who is there stands back as long as this stream lasts."""
        if not node.address:
            return  # some xDS client that is no workload
        self._clear_stale(node)
        entry = self._entries.get(node.id)
        now = self._clock.wall()
        workload = Workload(node, healthy=True, connected=True, since=now, joined=now)
        if node.probe is not None:
            before = entry.workload if entry is not None else replace(workload, healthy=False, problem=NOT_PROBED)
            problem = before.problem or ("" if before.healthy else NOT_PROBED)
            workload = replace(workload, healthy=not problem, problem=problem, beat=now)
        if entry is None:
            entry = self._entries[node.id] = _Entry(workload, State.CONNECTED)
            self._claim_sockets(node)
            self._changed(workload)
        else:
            workload = replace(workload, joined=entry.workload.joined or now)
            if entry.state is State.CONNECTED:
                workload = replace(workload, since=entry.workload.since)
            changed = entry.workload.healthy != workload.healthy
            self._become(entry, State.CONNECTED, None)
            self._say(entry, workload, news=changed)
        self._connects += 1
        entry.claims.append((self._connects, node))
        self._review(self._rivals(node) | {node.id})

    def disconnected(self, node: Node) -> None:
        """A stream of `node`, one that said just this, has ended."""
        entry = self._entries.get(node.id)
        if entry is None or not _forget(entry.claims, node):
            return
        now = self._clock.wall()
        if entry.claims:
            self._say(entry, replace(entry.workload, node=entry.claims[-1][1]))
        elif entry.workload.draining:
            entry.workload = replace(entry.workload, connected=False, since=now, beat=now)
            self._become(entry, State.UNHEALTHY, self._clock.monotonic() + self._grace.removal)
        else:
            entry.workload = replace(entry.workload, connected=False, since=now, beat=now)
            self._become(entry, State.LOST, self._clock.monotonic() + self._grace.lost)
            self._endure_storm()
        rivals = self._rivals(node) | self._rivals(entry.workload.node)
        if entry.state is State.LOST and any(self._entries[rival].claims for rival in rivals):
            self._remove(node.id)  # its place belongs to one that is there
        self._review(rivals | {node.id})

    def reported(self, node: Node, problem: str) -> None:
        """The newest stream of `node` says what is wrong with its app, "" for nothing, or that it drains."""
        entry = self._entries.get(node.id)
        if entry is None or not entry.claims or entry.claims[-1][1] != node:
            return
        before = entry.workload
        if before.draining:
            return  # what else is found on the way out changes nothing
        draining = problem == DRAINING
        entry.workload = replace(
            before, healthy=not problem, problem="" if draining else problem, draining=draining, beat=self._clock.wall()
        )
        if before.healthy != entry.workload.healthy and not entry.shadowed:
            self._changed(entry.workload)

    def tick(self) -> float | None:
        """Does what is due. Returns the monotonic time of what is next, None when nothing is."""
        now = self._clock.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, node_id = heapq.heappop(self._deadlines)
            entry = self._entries.get(node_id)
            # A late tick takes no shortcut: unhealthy is the warning, and gets its time.
            if entry is not None and entry.deadline == deadline:
                self._advance(entry, now)
        while self._deadlines and not self._stands(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def take(self) -> News:
        """What happened since the last time."""
        news, self._news = self._news, News({}, set(), False)
        return news

    def forgive(self, seconds: float) -> None:
        """We did not listen for so long: a stream that came back meanwhile could not be seen."""
        for entry in self._entries.values():
            if entry.state is State.LOST and entry.deadline is not None:
                self._set_deadline(entry, entry.deadline + seconds)

    # ── states ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _endure_storm(self) -> None:
        """Many that are lost at once are lost to us, and hardly to each other: they stay as long as after a restart."""
        if self._lost < STORM_LEAST or self._lost < STORM_SHARE * len(self._entries):
            return
        until = self._clock.monotonic() + self._grace.restart
        for entry in self._lost_alone.values():
            if entry.deadline is not None:
                self._set_deadline(entry, max(entry.deadline, until))
        self._lost_alone.clear()

    def _become(self, entry: _Entry, state: State, deadline: float | None) -> None:
        self._lost += (state is State.LOST) - (entry.state is State.LOST)
        entry.state = state
        if state is State.LOST:
            self._lost_alone[entry.workload.node.id] = entry
        else:
            self._lost_alone.pop(entry.workload.node.id, None)
        self._set_deadline(entry, deadline)

    def _set_deadline(self, entry: _Entry, deadline: float | None) -> None:
        entry.deadline = deadline
        if deadline is not None:
            heapq.heappush(self._deadlines, (deadline, entry.workload.node.id))

    def _stands(self, deadline: float, node_id: str) -> bool:
        entry = self._entries.get(node_id)
        return entry is not None and entry.deadline == deadline

    def _advance(self, entry: _Entry, now: float) -> None:
        if entry.state is State.LOST:
            self._become(entry, State.UNHEALTHY, now + self._grace.removal)
            entry.workload = replace(entry.workload, healthy=False)
            self._changed(entry.workload)
        else:
            node = entry.workload.node
            self._remove(node.id)
            self._review(self._rivals(node))

    def _say(self, entry: _Entry, workload: Workload, news: bool = False) -> None:
        """The entry is `workload` from now on."""
        before, entry.workload = entry.workload, workload
        if before.node != workload.node:
            self._release_sockets(before.node)
            self._claim_sockets(workload.node)
            self._review(self._rivals(before.node))
            news = True
        if news and not entry.shadowed:
            self._changed(workload)

    # ── who answers where ─────────────────────────────────────────────────────────────────────────────────────────────

    def _claim_sockets(self, node: Node) -> None:
        for socket in _sockets(node):
            self._claimants.setdefault(socket, set()).add(node.id)

    def _release_sockets(self, node: Node) -> None:
        for socket in _sockets(node):
            claimants = self._claimants.get(socket, set())
            claimants.discard(node.id)
            if not claimants:
                self._claimants.pop(socket, None)

    def _rivals(self, node: Node) -> set[str]:
        """The others that claim a socket of `node`."""
        found = set().union(*(self._claimants.get(socket, ()) for socket in _sockets(node)))
        return found - {node.id}

    def _clear_stale(self, node: Node) -> None:
        """Who claims a socket of `node` and is not there any more is gone."""
        for rival in self._rivals(node):
            if not self._entries[rival].claims:
                self._remove(rival)

    def _review(self, node_ids: Iterable[str]) -> None:
        """Finds out anew which of these stand back for somebody who connected later."""
        for node_id in node_ids:
            entry = self._entries.get(node_id)
            if entry is None:
                continue
            rivals = (self._entries[rival] for rival in self._rivals(entry.workload.node))
            shadowed = any(rival.claims and rival.order > entry.order for rival in rivals)
            if shadowed == entry.shadowed:
                continue
            entry.shadowed = shadowed
            if shadowed:
                self._gone(node_id)
            else:
                self._changed(entry.workload)

    # ── news ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _remove(self, node_id: str) -> None:
        entry = self._entries.pop(node_id)
        self._lost -= entry.state is State.LOST
        self._lost_alone.pop(node_id, None)
        self._release_sockets(entry.workload.node)
        self._gone(node_id)

    def _gone(self, node_id: str) -> None:
        self._news.saved.pop(node_id, None)
        self._news.removed.add(node_id)
        self._news.endpoints = True

    def _changed(self, workload: Workload) -> None:
        self._news.saved[workload.node.id] = workload
        self._news.removed.discard(workload.node.id)
        self._news.endpoints = True


def _forget(claims: list[tuple[int, Node]], node: Node) -> bool:
    """Takes the newest claim that says just this out; False when there is none."""
    for index in range(len(claims) - 1, -1, -1):
        if claims[index][1] == node:
            del claims[index]
            return True
    return False


def _sockets(node: Node) -> set[Socket]:
    return {(node.address, port) for port in accepts(node).values()}
