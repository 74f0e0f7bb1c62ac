"""What becomes of workloads as their streams come and go: a state machine that only a clock moves.

    connected ──stream lost──▶ lost ──2 s──▶ unhealthy ──grace──▶ gone
        ▲──────────────────────┴──────────────────┘  a new stream

After a restart of ours every workload that was known is lost, but stays healthy for much longer: that it is not
connected is our doing. One that was unhealthy before stays so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from control_plane.registry.workload import Workload, accepts
from mesh.clock import Clock
from mesh.node import Node

LOST_SECONDS: Final = 2.0
REMOVAL_SECONDS: Final = 60.0
RESTART_SECONDS: Final = 30.0

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
    workload: Workload
    state: State
    deadline: float | None = None  # of the clock's monotonic time


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
        self._owners: dict[Socket, str] = {}
        self._news = News({}, set(), False)

    def workloads(self) -> list[Workload]:
        return [entry.workload for entry in self._entries.values()]

    def restore(self, workloads: Iterable[Workload]) -> None:
        """Begins with the workloads of the process before."""
        now = self._clock.monotonic()
        for workload in workloads:
            healthy = workload.healthy
            state = State.LOST if healthy else State.UNHEALTHY
            deadline = now + (self._grace.restart if healthy else self._grace.removal)
            self._take_sockets(workload.node)
            self._entries[workload.node.id] = _Entry(replace(workload, connected=False), state, deadline)

    def connected(self, node: Node) -> None:
        """A stream of `node` has begun. It is what it says now, whatever it said before; who else claims to answer on
        its sockets is gone."""
        if not node.address:
            return  # some xDS client that is no workload
        self._take_sockets(node)
        workload = Workload(node, healthy=True, connected=True, since=self._clock.wall())
        before = self._entries.get(node.id)
        if before is None:
            self._entries[node.id] = _Entry(workload, State.CONNECTED)
            self._changed(workload)
            return
        if before.workload.node != node or before.state is State.UNHEALTHY:
            self._changed(workload)
        if before.state is State.CONNECTED:
            workload = replace(workload, since=before.workload.since)
        before.workload, before.state, before.deadline = workload, State.CONNECTED, None

    def disconnected(self, node: Node) -> None:
        """The last stream of `node` has ended."""
        entry = self._entries.get(node.id)
        if entry is None or entry.state is not State.CONNECTED:
            return
        entry.state, entry.deadline = State.LOST, self._clock.monotonic() + self._grace.lost
        entry.workload = replace(entry.workload, connected=False, since=self._clock.wall())

    def tick(self) -> float | None:
        """Does what is due. Returns the monotonic time of what is next, None when nothing is."""
        now = self._clock.monotonic()
        for entry in list(self._entries.values()):
            # A late tick takes no shortcut: unhealthy is the warning, and gets its time.
            if entry.deadline is not None and entry.deadline <= now:
                self._advance(entry, now)
        return min((entry.deadline for entry in self._entries.values() if entry.deadline is not None), default=None)

    def take(self) -> News:
        """What happened since the last time."""
        news, self._news = self._news, News({}, set(), False)
        return news

    def _advance(self, entry: _Entry, now: float) -> None:
        if entry.state is State.LOST:
            entry.state, entry.deadline = State.UNHEALTHY, now + self._grace.removal
            entry.workload = replace(entry.workload, healthy=False)
            self._changed(entry.workload)
        else:
            self._remove(entry.workload.node.id)

    def _take_sockets(self, node: Node) -> None:
        """Nobody else answers on the sockets of `node` any more, and `node` no longer on those it had."""
        sockets = _sockets(node)
        for other in {self._owners[socket] for socket in sockets if socket in self._owners} - {node.id}:
            self._remove(other)
        self._release_sockets(node.id)
        self._owners.update(dict.fromkeys(sockets, node.id))

    def _release_sockets(self, node_id: str) -> None:
        entry = self._entries.get(node_id)
        if entry is not None:
            for socket in _sockets(entry.workload.node):
                self._owners.pop(socket, None)

    def _remove(self, node_id: str) -> None:
        self._release_sockets(node_id)
        del self._entries[node_id]
        self._news.saved.pop(node_id, None)
        self._news.removed.add(node_id)
        self._news.endpoints = True

    def _changed(self, workload: Workload) -> None:
        self._news.saved[workload.node.id] = workload
        self._news.removed.discard(workload.node.id)
        self._news.endpoints = True


def _sockets(node: Node) -> set[Socket]:
    return {(node.address, port) for port in accepts(node).values()}
