"""When accepted configuration takes effect: a cluster once its endpoints are there, a listener once its routes are.

Pure: every method takes what arrived and returns what to do now, in order. A changed cluster or listener leaves the old
one serving until the new one is warm; what is already known (an assignment, a route configuration) is not waited for. A
wait ends after the resource's own `initial_fetch_timeout`, as Envoy's does: without endpoints, or without routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from sidecar.config.model import Assignment, Cluster, Discovery, Listener, RouteConfig
from sidecar.config.references import rds_names as names_of


@dataclass(frozen=True, slots=True)
class SetCluster:
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class SetAssignment:
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class SetListener:
    """`previous` is what serves under this name so far."""

    listener: Listener
    previous: Listener | None = None


@dataclass(frozen=True, slots=True)
class SetRoutes:
    routes: RouteConfig


@dataclass(frozen=True, slots=True)
class _Remove:
    name: str


class RemoveCluster(_Remove):
    __slots__ = ()


class RemoveListener(_Remove):
    __slots__ = ()


class RemoveRoutes(_Remove):
    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Initialized:
    """Everything of the first round is in effect."""


Action = (
    SetCluster | RemoveCluster | SetAssignment | SetListener | RemoveListener | SetRoutes | RemoveRoutes | Initialized
)


def subject(action: Action) -> tuple[str, str]:
    """What an action is about: type and name."""
    match action:
        case SetCluster(cluster):
            return CLUSTER, cluster.name
        case SetAssignment(assignment):
            return ENDPOINT, assignment.cluster
        case SetListener(listener, _):
            return LISTENER, listener.name
        case SetRoutes(routes):
            return ROUTE, routes.name
        case RemoveCluster(name):
            return CLUSTER, name
        case RemoveListener(name):
            return LISTENER, name
        case RemoveRoutes(name):
            return ROUTE, name
    return "", ""


class _Wait(Enum):
    """What a deadline is for."""

    CDS = "clusters"
    LDS = "listeners"
    CLUSTER = "a cluster's endpoints"
    LISTENER = "a listener's routes"


class Warming:
    """The state of one proxy. `cds` and `lds` are the time-outs of the two root types, None for one that does not come
    over ADS. Clusters and listeners of the bootstrap are there from the start and never replaced or removed. `now` is a
    monotonic clock."""

    def __init__(
        self,
        clusters: Iterable[Cluster] = (),
        listeners: Iterable[Listener] = (),
        *,
        now: Callable[[], float],
        cds: float | None = None,
        lds: float | None = None,
    ) -> None:
        self.clusters: dict[str, Cluster] = {}
        self.listeners: dict[str, Listener] = {}
        self.assignments: dict[str, Assignment] = {}
        self.routes: dict[str, RouteConfig] = {}
        self._static_clusters = {each.name: each for each in clusters}
        self._static_listeners = {each.name: each for each in listeners}
        self._new_clusters: dict[str, Cluster] = {}
        self._new_listeners: dict[str, Listener] = {}
        self._absent: set[str] = set()  # route configurations that the control plane says do not exist
        self._deadlines: dict[tuple[_Wait, str], float] = {}
        self._now = now
        self._cds = cds
        self._lds = lds
        self._clusters_ready = False
        self._initialized = False

    # ── what is wanted ────────────────────────────────────────────────────────────────────────────────────────────────

    def eds_names(self) -> set[str]:
        """The assignments to ask for."""
        return {
            each.eds_name
            for group in (self.clusters, self._new_clusters)
            for each in group.values()
            if each.discovery is Discovery.EDS
        }

    def rds_names(self) -> set[str]:
        """The route configurations to ask for."""
        return {
            name
            for group in (self.listeners, self._new_listeners)
            for each in group.values()
            for name in names_of(each)
        }

    def awaited_routes(self) -> set[str]:
        """The route configurations that some listener still waits for."""
        return {name for each in self._new_listeners.values() for name in names_of(each)}

    @property
    def wants_listeners(self) -> bool:
        """Whether it is time to ask for listeners: the first clusters are warm."""
        return self._clusters_ready

    @property
    def initialized(self) -> bool:
        return self._initialized

    def knows_cluster(self, name: str) -> bool:
        return name in self.clusters or name in self._new_clusters

    def all_listeners(self) -> Iterator[Listener]:
        """Those that serve and those that wait for their routes."""
        yield from self.listeners.values()
        yield from self._new_listeners.values()

    def waits_for(self, listeners: Iterable[str]) -> bool:
        """Whether one of these listeners still waits for its routes."""
        return any(name in self._new_listeners for name in listeners)

    def next_deadline(self) -> float | None:
        """When `expire` has something to do, if nothing arrives before."""
        return min(self._deadlines.values(), default=None)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> list[Action]:
        """The bootstrap's own resources, and the wait for the first ones over ADS."""
        if self._cds:
            self._deadlines[_Wait.CDS, ""] = self._now() + self._cds
        actions = list(self._add_clusters(self._static_clusters.values()))
        actions += self._add_listeners(self._static_listeners.values())
        return actions + self._settle()

    def set_clusters(self, changed: Iterable[Cluster], removed: Iterable[str]) -> list[Action]:
        """A CDS response; names that the bootstrap defines are left alone, as Envoy does."""
        self._arrived(_Wait.CDS)
        static = self._static_clusters
        actions = list(self._add_clusters(each for each in changed if each.name not in static))
        for name in removed:
            if name in static:
                continue
            self._drop_waiting_cluster(name)
            if self.clusters.pop(name, None) is not None:
                actions.append(RemoveCluster(name))
        self._drop_assignments()
        return actions + self._settle()

    def set_assignments(self, changed: Iterable[Assignment], missing: Iterable[str] = ()) -> list[Action]:
        """An EDS response; `missing` are assignments that the control plane says do not exist."""
        wanted = self.eds_names()
        assigned = [each for each in changed if each.cluster in wanted]
        assigned += [Assignment(name) for name in missing if name in wanted and name not in self.assignments]
        actions = self._assign(assigned)
        self._drop_assignments()
        return actions + self._settle()

    def set_listeners(self, changed: Iterable[Listener], removed: Iterable[str]) -> list[Action]:
        """An LDS response."""
        self._arrived(_Wait.LDS)
        static = self._static_listeners
        actions = list(self._add_listeners(each for each in changed if each.name not in static))
        for name in removed:
            if name in static:
                continue
            self._drop_waiting_listener(name)
            if self.listeners.pop(name, None) is not None:
                actions.append(RemoveListener(name))
        actions += self._drop_routes()
        return actions + self._settle()

    def set_routes(self, changed: Iterable[RouteConfig], missing: Iterable[str] = ()) -> list[Action]:
        """An RDS response; `missing` are route configurations that the control plane says do not exist."""
        actions: list[Action] = []
        wanted = self.rds_names()
        for routes in changed:
            if routes.name in wanted:
                self.routes[routes.name] = routes
                actions.append(SetRoutes(routes))
        self._absent = (self._absent | set(missing)) & wanted - self.routes.keys()
        for listener in list(self._new_listeners.values()):
            if names_of(listener).keys() <= self.routes.keys() | self._absent:
                actions += self._serve(listener)
        return actions + self._drop_routes() + self._settle()

    def expire(self) -> list[Action]:
        """Ends the waits whose time is up."""
        actions: list[Action] = []
        now = self._now()
        for wait, name in [key for key, deadline in self._deadlines.items() if deadline <= now]:
            self._deadlines.pop((wait, name), None)
            if wait is _Wait.CLUSTER and name in self._new_clusters:
                actions += self._assign([Assignment(self._new_clusters[name].eds_name)])
            elif wait is _Wait.LISTENER and name in self._new_listeners:
                actions += self._serve(self._new_listeners[name])
            elif wait is _Wait.CDS:
                self._cds = None
            elif wait is _Wait.LDS:
                self._lds = None
        self._drop_assignments()
        return actions + self._drop_routes() + self._settle()

    def refused(self, action: SetListener) -> None:
        """The target did not take a listener: what served before still does."""
        name = action.listener.name
        if action.previous is None:
            self.listeners.pop(name, None)
        else:
            self.listeners[name] = action.previous

    # ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_clusters(self, clusters: Iterable[Cluster]) -> Iterator[Action]:
        for cluster in clusters:
            self._drop_waiting_cluster(cluster.name)
            if self.clusters.get(cluster.name) == cluster:
                continue
            if cluster.discovery is Discovery.EDS and cluster.eds_name not in self.assignments:
                self._new_clusters[cluster.name] = cluster
                if cluster.eds_timeout:
                    self._deadlines[_Wait.CLUSTER, cluster.name] = self._now() + cluster.eds_timeout
                continue
            before = self.clusters.get(cluster.name)
            known = self.assignments.get(cluster.eds_name)
            if known is not None and (before is None or before.eds_name != cluster.eds_name):
                yield SetAssignment(known)
            self.clusters[cluster.name] = cluster
            yield SetCluster(cluster)

    def _assign(self, assignments: Iterable[Assignment]) -> list[Action]:
        """New endpoints, each followed by the clusters that waited for them."""
        waiting: dict[str, list[Cluster]] = {}
        for cluster in self._new_clusters.values():
            waiting.setdefault(cluster.eds_name, []).append(cluster)
        actions: list[Action] = []
        for assignment in assignments:
            self.assignments[assignment.cluster] = assignment
            actions.append(SetAssignment(assignment))
            for cluster in waiting.pop(assignment.cluster, ()):
                self._drop_waiting_cluster(cluster.name)
                self.clusters[cluster.name] = cluster
                actions.append(SetCluster(cluster))
        return actions

    def _drop_assignments(self) -> None:
        """Assignments that no cluster asks for any more: they would be out of date when one does again."""
        wanted = self.eds_names()
        for name in [name for name in self.assignments if name not in wanted]:
            del self.assignments[name]

    def _drop_waiting_cluster(self, name: str) -> None:
        self._new_clusters.pop(name, None)
        self._deadlines.pop((_Wait.CLUSTER, name), None)

    # ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_listeners(self, listeners: Iterable[Listener]) -> Iterator[Action]:
        for listener in listeners:
            self._drop_waiting_listener(listener.name)
            if self.listeners.get(listener.name) == listener:
                continue
            missing = names_of(listener).keys() - self.routes.keys()
            if not missing:
                yield from self._serve(listener)
                continue
            self._new_listeners[listener.name] = listener
            timeouts = names_of(listener)
            if all(timeouts[name] for name in missing):
                deadline = self._now() + max(timeouts[name] for name in missing)
                self._deadlines[_Wait.LISTENER, listener.name] = deadline

    def _serve(self, listener: Listener) -> list[Action]:
        self._drop_waiting_listener(listener.name)
        previous = self.listeners.get(listener.name)
        self.listeners[listener.name] = listener
        return [SetListener(listener, previous)]

    def _drop_waiting_listener(self, name: str) -> None:
        self._new_listeners.pop(name, None)
        self._deadlines.pop((_Wait.LISTENER, name), None)

    def _drop_routes(self) -> list[Action]:
        """Route configurations that no listener asks for any more."""
        if not self.routes:
            return []
        wanted = self.rds_names()
        gone = sorted(name for name in self.routes if name not in wanted)
        for name in gone:
            del self.routes[name]
        return [RemoveRoutes(name) for name in gone]

    # ── the first round ───────────────────────────────────────────────────────────────────────────────────────────────

    def _arrived(self, wait: _Wait) -> None:
        self._deadlines.pop((wait, ""), None)
        if wait is _Wait.CDS:
            self._cds = None
        else:
            self._lds = None

    def _settle(self) -> list[Action]:
        """Clusters first, then listeners: once both are there and warm, the proxy is ready, for good."""
        if not self._clusters_ready and self._cds is None and not self._new_clusters:
            self._clusters_ready = True
            if self._lds:
                self._deadlines[_Wait.LDS, ""] = self._now() + self._lds
        if self._initialized or not self._clusters_ready or self._lds is not None or self._new_listeners:
            return []
        self._initialized = True
        return [Initialized()]
