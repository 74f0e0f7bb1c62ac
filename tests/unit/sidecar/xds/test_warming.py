"""Warming: what takes effect when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh.clock import ManualClock
from sidecar.config.model import (
    Address,
    Assignment,
    Cluster,
    Discovery,
    Endpoint,
    FilterChain,
    FilterChainMatch,
    Hcm,
    Listener,
    LocalityEndpoints,
    RouteConfig,
)
from sidecar.xds.warming import (
    Action,
    Initialized,
    RemoveCluster,
    RemoveListener,
    RemoveRoutes,
    SetAssignment,
    SetCluster,
    SetListener,
    SetRoutes,
    Warming,
)

CLOCK = ManualClock()
READY = Initialized()


def warming(**more: Any) -> Warming:
    """One that is past its first round, unless told otherwise."""
    made = Warming(now=CLOCK.monotonic, **{"cds": 0.0, "lds": 0.0, **more})
    made.start()
    return made


def running(**more: Any) -> Warming:
    made = warming(**more)
    made.set_clusters([], [])
    made.set_listeners([], [])
    assert made.initialized
    return made


def eds(name: str, eds_name: str = "", **more: Any) -> Cluster:
    return Cluster(name, Discovery.EDS, eds_name=eds_name or name, **more)


def assignment(name: str, port: int = 1) -> Assignment:
    return Assignment(name, (LocalityEndpoints((Endpoint(Address("127.0.0.1", port)),)),))


def listener(name: str, *rds: str, timeout: float = 15.0, **more: Any) -> Listener:
    chains = tuple(FilterChain(each, FilterChainMatch(), Hcm("s", (), rds=each, rds_timeout=timeout)) for each in rds)
    return Listener(name, Address("127.0.0.1", 0), chains, **more)


def test_a_static_cluster_serves_at_once() -> None:
    cluster = Cluster("a", Discovery.STATIC)
    assert running().set_clusters([cluster], []) == [SetCluster(cluster)]


def test_a_cluster_waits_for_its_endpoints() -> None:
    made = running()
    assert made.set_clusters([eds("a")], []) == []
    assert made.eds_names() == {"a"}
    assert made.knows_cluster("a")
    assert made.set_assignments([assignment("a")]) == [SetAssignment(assignment("a")), SetCluster(eds("a"))]


def test_clusters_that_share_endpoints() -> None:
    made = running()
    made.set_clusters([eds("a", "x"), eds("b", "x")], [])
    assert made.set_assignments([assignment("x")]) == [
        SetAssignment(assignment("x")),
        SetCluster(eds("a", "x")),
        SetCluster(eds("b", "x")),
    ]
    assert made.set_clusters([eds("c", "x")], []) == [SetAssignment(assignment("x")), SetCluster(eds("c", "x"))]


def test_a_changed_cluster_does_not_wait_for_what_is_known() -> None:
    made = running()
    made.set_clusters([eds("a")], [])
    made.set_assignments([assignment("a")])
    changed = eds("a", connect_timeout=1.0)
    assert made.set_clusters([changed], []) == [SetCluster(changed)]


def test_the_old_cluster_serves_until_the_new_one_is_warm() -> None:
    made = running()
    made.set_clusters([eds("a")], [])
    made.set_assignments([assignment("a")])
    assert made.set_clusters([eds("a", "other")], []) == []
    assert made.clusters["a"] == eds("a")
    assert made.eds_names() == {"a", "other"}
    assert made.set_assignments([assignment("other")])[-1] == SetCluster(eds("a", "other"))
    assert made.eds_names() == {"other"}


def test_a_change_that_is_taken_back_while_it_waits() -> None:
    made = running()
    made.set_clusters([eds("a")], [])
    made.set_assignments([assignment("a")])
    made.set_clusters([eds("a", "other")], [])
    assert made.set_clusters([eds("a")], []) == []
    assert made.eds_names() == {"a"}
    assert made.set_assignments([assignment("other")]) == []


def test_the_same_cluster_again_is_nothing_new() -> None:
    made = running()
    cluster = Cluster("a", Discovery.STATIC)
    made.set_clusters([cluster], [])
    assert made.set_clusters([cluster], []) == []


def test_endpoints_sent_again_unchanged_still_warm() -> None:
    made = running()
    made.set_clusters([eds("a", "x")], [])
    made.set_assignments([assignment("x")])
    made.set_clusters([eds("b", "y")], [])
    assert made.set_assignments([assignment("x"), assignment("y")]) == [
        SetAssignment(assignment("x")),
        SetAssignment(assignment("y")),
        SetCluster(eds("b", "y")),
    ]


def test_endpoints_that_do_not_exist_end_the_wait() -> None:
    made = running()
    made.set_clusters([eds("a")], [])
    assert made.set_assignments([], ["a"]) == [SetAssignment(Assignment("a")), SetCluster(eds("a"))]


def test_endpoints_that_are_removed_stay() -> None:
    """As for Envoy: a control plane that wants none sends an empty assignment."""
    made = running()
    made.set_clusters([eds("a")], [])
    made.set_assignments([assignment("a")])
    assert made.set_assignments([], ["a"]) == []


def test_endpoints_that_nobody_asked_for() -> None:
    assert running().set_assignments([assignment("a")]) == []


def test_removed_clusters() -> None:
    made = running()
    made.set_clusters([eds("a"), eds("waiting"), Cluster("b", Discovery.STATIC)], [])
    made.set_assignments([assignment("a")])
    assert made.set_clusters([], ["a", "waiting", "nobody"]) == [RemoveCluster("a")]
    assert made.eds_names() == set()
    assert made.assignments == {}


def test_a_removed_cluster_that_comes_back_waits_again() -> None:
    made = running()
    made.set_clusters([eds("a")], [])
    made.set_assignments([assignment("a")])
    made.set_clusters([], ["a"])
    assert made.set_clusters([eds("a")], []) == []


def test_clusters_of_the_bootstrap_are_left_alone() -> None:
    static = Cluster("a", Discovery.STATIC)
    made = running(clusters=[static])
    assert made.clusters == {"a": static}
    assert made.set_clusters([Cluster("a", Discovery.STRICT_DNS)], ["a"]) == []


def test_a_cluster_waits_no_longer_than_it_says() -> None:
    made = running()
    made.set_clusters([eds("a", eds_timeout=5.0), eds("b", eds_timeout=0.0)], [])
    assert made.next_deadline() == CLOCK.monotonic() + 5.0
    assert made.expire() == []
    CLOCK.advance(5.0)
    cluster = eds("a", eds_timeout=5.0)
    assert made.expire() == [SetAssignment(Assignment("a")), SetCluster(cluster)]
    assert made.next_deadline() is None


def test_a_listener_with_inline_routes_serves_at_once() -> None:
    assert running().set_listeners([listener("a")], []) == [SetListener(listener("a"))]


def test_a_listener_waits_for_all_its_routes() -> None:
    made = running()
    assert made.set_listeners([listener("a", "x", "y")], []) == []
    assert made.rds_names() == {"x", "y"}
    assert made.waits_for(["a"])
    assert made.set_routes([RouteConfig("x", ())]) == [SetRoutes(RouteConfig("x", ()))]
    assert made.set_routes([RouteConfig("y", ())]) == [
        SetRoutes(RouteConfig("y", ())),
        SetListener(listener("a", "x", "y")),
    ]
    assert not made.waits_for(["a"])


def test_routes_that_do_not_exist_end_the_wait() -> None:
    made = running()
    made.set_listeners([listener("a", "x", "y")], [])
    assert made.set_routes([], ["x"]) == []
    assert made.set_routes([], ["y"]) == [SetListener(listener("a", "x", "y"))]


def test_the_old_listener_serves_until_the_routes_of_the_new_one_are_there() -> None:
    made = running()
    made.set_listeners([listener("a", "x")], [])
    made.set_routes([RouteConfig("x", ())])
    assert made.set_listeners([listener("a", "y")], []) == []
    assert made.rds_names() == {"x", "y"}
    assert made.set_routes([RouteConfig("y", ())]) == [
        SetRoutes(RouteConfig("y", ())),
        SetListener(listener("a", "y"), listener("a", "x")),
        RemoveRoutes("x"),
    ]


def test_routes_go_with_the_last_listener() -> None:
    made = running()
    made.set_listeners([listener("a", "x"), listener("b", "x")], [])
    made.set_routes([RouteConfig("x", ())])
    assert made.set_listeners([], ["a"]) == [RemoveListener("a")]
    assert made.set_listeners([], ["b"]) == [RemoveListener("b"), RemoveRoutes("x")]


def test_a_refused_listener_leaves_the_one_before() -> None:
    made = running()
    made.set_listeners([listener("a")], [])
    (action,) = made.set_listeners([listener("a", stat_prefix="new")], [])
    assert isinstance(action, SetListener)
    made.refused(action)
    assert made.listeners == {"a": listener("a")}
    (action,) = made.set_listeners([listener("b")], [])
    assert isinstance(action, SetListener)
    made.refused(action)
    assert list(made.all_listeners()) == [listener("a")]
    assert made.set_listeners([listener("b")], []) == [SetListener(listener("b"))]


def test_a_listener_waits_no_longer_than_it_says() -> None:
    made = running()
    made.set_listeners([listener("a", "x", timeout=5.0), listener("b", "y", timeout=0.0)], [])
    CLOCK.advance(5.0)
    assert made.expire() == [SetListener(listener("a", "x", timeout=5.0))]
    assert made.waits_for(["b"])


# ── the first round ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_over_ads_is_ready_at_once() -> None:
    made = Warming([Cluster("a", Discovery.STATIC)], [listener("l")], now=CLOCK.monotonic)
    assert made.start() == [SetCluster(Cluster("a", Discovery.STATIC)), SetListener(listener("l")), READY]


def test_first_clusters_then_listeners_then_ready() -> None:
    made = warming()
    assert not made.wants_listeners
    assert made.set_clusters([eds("a")], []) == []
    assert not made.wants_listeners
    made.set_assignments([assignment("a")])
    assert made.wants_listeners
    assert not made.initialized
    made.set_listeners([listener("l", "x")], [])
    assert not made.initialized
    assert made.set_routes([RouteConfig("x", ())])[-1] == READY
    assert made.set_listeners([], []) == []  # once only


def test_a_static_cluster_over_eds_is_waited_for() -> None:
    made = Warming([eds("a")], [], now=CLOCK.monotonic)
    assert made.start() == []
    assert made.eds_names() == {"a"}
    assert made.set_assignments([assignment("a")])[-1] == READY


def test_the_first_round_waits_no_longer_than_it_says() -> None:
    made = warming(cds=1.0, lds=2.0)
    assert made.next_deadline() == CLOCK.monotonic() + 1.0
    CLOCK.advance(1.0)
    assert made.expire() == []
    assert made.wants_listeners
    CLOCK.advance(2.0)
    assert made.expire() == [READY]


def test_the_wait_for_listeners_begins_when_they_are_asked_for() -> None:
    made = warming(cds=0.0, lds=2.0)
    CLOCK.advance(10.0)
    assert made.next_deadline() is None
    made.set_clusters([], [])
    assert made.next_deadline() == CLOCK.monotonic() + 2.0


# ── any order of events ───────────────────────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from("abc")
CLUSTERS = st.lists(
    st.one_of(
        st.builds(lambda name: Cluster(name, Discovery.STATIC), NAMES),
        st.builds(
            lambda name, other, limit: eds(name, other, eds_timeout=limit), NAMES, NAMES, st.sampled_from((0.0, 3.0))
        ),
    ),
    max_size=3,
    unique_by=lambda cluster: cluster.name,
)
LISTENERS = st.lists(
    st.builds(
        lambda name, rds, limit: listener(name, *sorted(rds), timeout=limit),
        NAMES,
        st.sets(NAMES, max_size=2),
        st.sampled_from((0.0, 3.0)),
    ),
    max_size=3,
    unique_by=lambda each: each.name,
)
SOME = st.lists(NAMES, max_size=2, unique=True)


class AnyOrder(RuleBasedStateMachine):
    """What the target has been told, checked against what was sent: whatever order things come in, nothing serves before
    what it needs is there, and nothing that is needed goes away."""

    @initialize()
    def begin(self) -> None:
        self.clock = ManualClock()
        self.made = Warming(now=self.clock.monotonic, cds=0.0, lds=0.0)
        self.clusters: dict[str, Cluster] = {}
        self.listeners: dict[str, Listener] = {}
        self.assignments: set[str] = set()
        self.routes: set[str] = set()
        self.ended: set[str] = set()  # waits that were ended without what was waited for
        self.ready = 0
        self.act(self.made.start())

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case SetCluster(cluster):
                    if cluster.discovery is Discovery.EDS:
                        assert cluster.eds_name in self.assignments
                    self.clusters[cluster.name] = cluster
                case RemoveCluster(name):
                    del self.clusters[name]
                case SetAssignment(assigned):
                    self.assignments.add(assigned.cluster)
                case SetListener(each, previous):
                    assert previous == self.listeners.get(each.name)
                    self.listeners[each.name] = each
                case RemoveListener(name):
                    del self.listeners[name]
                case SetRoutes(routes):
                    self.routes.add(routes.name)
                case RemoveRoutes(name):
                    self.routes.remove(name)
                case Initialized():
                    self.ready += 1

    @rule(changed=CLUSTERS, removed=SOME)
    def cds(self, changed: list[Cluster], removed: list[str]) -> None:
        gone = [name for name in removed if name not in {cluster.name for cluster in changed}]
        self.act(self.made.set_clusters(changed, gone))

    @rule(names=SOME, missing=SOME)
    def eds(self, names: list[str], missing: list[str]) -> None:
        self.act(self.made.set_assignments([assignment(name) for name in names], set(missing) - set(names)))

    @rule(changed=LISTENERS, removed=SOME)
    def lds(self, changed: list[Listener], removed: list[str]) -> None:
        gone = [name for name in removed if name not in {each.name for each in changed}]
        self.act(self.made.set_listeners(changed, gone))

    @rule(names=SOME)
    def rds(self, names: list[str]) -> None:
        self.act(self.made.set_routes([RouteConfig(name, ()) for name in names]))

    @rule(seconds=st.sampled_from((1.0, 3.0)))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.act(self.made.expire())
        deadline = self.made.next_deadline()
        assert deadline is None or deadline > self.clock.monotonic()

    @invariant()
    def the_target_is_what_is_believed(self) -> None:
        assert self.clusters == self.made.clusters
        assert self.listeners == self.made.listeners
        assert self.routes == self.made.routes.keys()
        assert self.ready == self.made.initialized

    @invariant()
    def what_serves_is_asked_for(self) -> None:
        assert {c.eds_name for c in self.clusters.values() if c.discovery is Discovery.EDS} <= self.made.eds_names()
        assert self.routes <= self.made.rds_names()
        assert self.made.assignments.keys() <= self.made.eds_names()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=25)
