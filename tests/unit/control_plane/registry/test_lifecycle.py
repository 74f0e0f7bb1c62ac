"""Workloads through lost streams and restarts, with a clock that tests move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control_plane.registry.lifecycle import Grace, Lifecycle
from control_plane.registry.workload import Workload, accepts
from mesh.clock import ManualClock
from mesh.node import INTERCEPT_REDIRECT, Node, ServicePort

GRACE = Grace(lost=2, removal=60, restart=30)
HTTP = (ServicePort(9080),)


def node(name: str = "reviews-1", address: str = "127.0.1.2", ports: tuple[ServicePort, ...] = HTTP) -> Node:
    return Node("sidecar", address, name, service="reviews", ports=ports)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lifecycle(clock: ManualClock) -> Lifecycle:
    return Lifecycle(GRACE, clock)


def seen(lifecycle: Lifecycle) -> dict[str, tuple[bool, bool]]:
    """Name → (connected, healthy)."""
    return {w.node.name: (w.connected, w.healthy) for w in lifecycle.workloads()}


def test_a_connected_workload_is_healthy_for_ever(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(node())
    clock.advance(1_000_000)
    assert lifecycle.tick() is None
    assert seen(lifecycle) == {"reviews-1": (True, True)}


def test_a_lost_workload_is_unhealthy_after_two_seconds_and_gone_after_the_grace_period(
    lifecycle: Lifecycle, clock: ManualClock
) -> None:
    lifecycle.connected(node())
    lifecycle.disconnected(node())
    lost = clock.monotonic()
    assert lifecycle.tick() == lost + 2
    clock.advance(1.99)
    lifecycle.tick()
    assert seen(lifecycle) == {"reviews-1": (False, True)}
    clock.advance(0.01)
    assert lifecycle.tick() == lost + 62
    assert seen(lifecycle) == {"reviews-1": (False, False)}
    clock.advance(60)
    assert lifecycle.tick() is None
    assert seen(lifecycle) == {}


def test_a_reconnect_in_time_is_no_news_for_anybody(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(node())
    lifecycle.take()
    lifecycle.disconnected(node())
    clock.advance(1.9)
    lifecycle.connected(node())
    clock.advance(100)
    assert lifecycle.tick() is None
    assert not lifecycle.take()


def test_a_workload_that_comes_back_is_healthy_at_once(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(node())
    lifecycle.disconnected(node())
    clock.advance(30)
    lifecycle.tick()
    assert lifecycle.take().endpoints
    lifecycle.connected(node())
    assert seen(lifecycle) == {"reviews-1": (True, True)}
    news = lifecycle.take()
    assert news.endpoints
    assert list(news.saved) == [node().id]
    assert lifecycle.tick() is None


def test_after_our_restart_all_stay_healthy_much_longer(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.restore([Workload(node())])
    assert seen(lifecycle) == {"reviews-1": (False, True)}
    assert not lifecycle.take()
    clock.advance(29.9)
    lifecycle.tick()
    assert seen(lifecycle) == {"reviews-1": (False, True)}
    clock.advance(0.1)
    lifecycle.tick()
    assert seen(lifecycle) == {"reviews-1": (False, False)}
    clock.advance(60)
    lifecycle.tick()
    assert seen(lifecycle) == {}


def test_what_was_unhealthy_before_our_restart_stays_so(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.restore([Workload(node(), healthy=False)])
    assert seen(lifecycle) == {"reviews-1": (False, False)}
    lifecycle.connected(node())
    assert seen(lifecycle) == {"reviews-1": (True, True)}
    clock.advance(100)
    assert lifecycle.tick() is None


def test_a_late_tick_takes_no_shortcut_to_removal(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(node())
    lifecycle.disconnected(node())
    clock.advance(1000)
    lifecycle.tick()
    assert seen(lifecycle) == {"reviews-1": (False, False)}


def test_the_same_node_with_other_ports_or_labels_is_what_it_says_now(lifecycle: Lifecycle) -> None:
    lifecycle.connected(node())
    lifecycle.take()
    changed = replace(node(), ports=(ServicePort(9081),), labels={"version": "v2"})
    lifecycle.connected(changed)
    assert [w.node for w in lifecycle.workloads()] == [changed]
    assert lifecycle.take().endpoints


def test_a_successor_on_the_same_socket_replaces_the_stale_one_at_once(lifecycle: Lifecycle) -> None:
    lifecycle.connected(node("reviews-1"))
    lifecycle.disconnected(node("reviews-1"))
    lifecycle.connected(node("reviews-2"))
    assert seen(lifecycle) == {"reviews-2": (True, True)}
    news = lifecycle.take()
    assert news.removed == {node("reviews-1").id}
    assert list(news.saved) == [node("reviews-2").id]
    # The old stream, if it was only slow to end, says nothing any more.
    lifecycle.disconnected(node("reviews-1"))
    assert seen(lifecycle) == {"reviews-2": (True, True)}


def test_neighbours_on_one_address_do_not_disturb_each_other(lifecycle: Lifecycle) -> None:
    one = replace(node("a", "10.0.0.1", (ServicePort(80),)), interception=INTERCEPT_REDIRECT)
    other = replace(node("b", "10.0.0.1", (ServicePort(81),)), interception=INTERCEPT_REDIRECT)
    lifecycle.connected(one)
    lifecycle.connected(other)
    lifecycle.connected(Node("sidecar", "10.0.0.1", "client"))
    assert seen(lifecycle) == dict.fromkeys(("a", "b", "client"), (True, True))


def test_a_client_that_is_no_workload_is_not_registered(lifecycle: Lifecycle) -> None:
    stranger = Node.from_xds("some-envoy", {})
    lifecycle.connected(stranger)
    lifecycle.disconnected(stranger)
    assert lifecycle.workloads() == []


NODES = [
    node("a", "127.0.1.1"),
    node("b", "127.0.1.2"),
    replace(node("b", "127.0.1.2"), labels={"version": "v2"}),
    node("c", "127.0.1.2"),  # on b's socket
    Node("sidecar", "127.0.1.3", "client"),
]


class Lifetimes(RuleBasedStateMachine):
    """Any order of connects, losses, restarts and time against what must always hold."""

    @initialize(restored=st.lists(st.sampled_from(NODES), unique_by=lambda n: n.id), healthy=st.booleans())
    def begin(self, restored: list[Node], healthy: bool) -> None:
        self.clock = ManualClock()
        self.machine = Lifecycle(GRACE, self.clock)
        self.machine.restore([Workload(n, healthy=healthy, connected=False) for n in restored])
        self.disk = {w.node.id: w for w in self.machine.workloads()}
        self.live: set[str] = set()
        self.lost_at: dict[str, float] = {}
        self.began = self.clock.monotonic()
        self.known_before = {w.node.id for w in self.machine.workloads() if w.healthy}

    @rule(n=st.sampled_from(NODES))
    def connect(self, n: Node) -> None:
        self.machine.connected(n)
        self.live.add(n.id)
        for other in NODES:
            if other.id != n.id and set(accepts(other).values()) and other.address == n.address and n.ports:
                self.live.discard(other.id)
                self.known_before.discard(other.id)
        self.known_before.discard(n.id)

    @rule(n=st.sampled_from(NODES))
    def lose(self, n: Node) -> None:
        if n.id in self.live:
            self.live.discard(n.id)
            self.lost_at[n.id] = self.clock.monotonic()
        self.machine.disconnected(n)

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 5.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def holds(self) -> None:
        now = self.clock.monotonic()
        due = self.machine.tick()
        assert due is None or due > now
        workloads = {w.node.id: w for w in self.machine.workloads()}
        assert {w.node.id for w in workloads.values() if w.connected} == self.live
        assert all(workloads[node_id].healthy for node_id in self.live)
        for node_id, at in self.lost_at.items():
            if node_id in workloads:
                assert workloads[node_id].healthy or now - at >= GRACE.lost
        if now - self.began < GRACE.restart:
            assert all(workloads[node_id].healthy for node_id in self.known_before)
        assert (due is None) == (set(workloads) == self.live)
        self.follow(workloads)

    def follow(self, workloads: dict[str, Workload]) -> None:
        """Whoever keeps exactly what the news says has, after each of them, what there is."""
        news = self.machine.take()
        self.disk |= news.saved
        for node_id in news.removed:
            self.disk.pop(node_id, None)
        assert {k: (w.node, w.healthy) for k, w in self.disk.items()} == {
            k: (w.node, w.healthy) for k, w in workloads.items()
        }


Lifetimes.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLifetimes = Lifetimes.TestCase
