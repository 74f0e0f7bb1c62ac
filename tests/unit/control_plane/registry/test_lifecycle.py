"""Workloads through lost streams and restarts, with a clock that tests move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control_plane.registry.lifecycle import NOT_PROBED, Grace, Lifecycle
from control_plane.registry.workload import Heartbeat, Workload, accepts, heartbeat
from mesh.clock import ManualClock
from mesh.node import INTERCEPT_REDIRECT, Node, ServicePort
from mesh.probe import Probe, TcpSocket
from mesh.xds import DRAINING

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


PROBED = replace(node(), probe=Probe(TcpSocket(9080)))


def test_a_probed_workload_is_used_once_its_probe_has_passed(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(PROBED)
    (workload,) = lifecycle.workloads()
    assert not workload.healthy and workload.problem == NOT_PROBED
    lifecycle.take()
    lifecycle.reported(PROBED, "")
    assert seen(lifecycle) == {"reviews-1": (True, True)}
    assert lifecycle.take().endpoints
    clock.advance(10)
    lifecycle.reported(PROBED, "")
    assert not lifecycle.take(), "a sign of life changes nothing for others"
    (workload,) = lifecycle.workloads()
    assert workload.beat == clock.wall()
    lifecycle.reported(PROBED, "tcp :9080: Connection refused")
    (workload,) = lifecycle.workloads()
    assert (workload.healthy, workload.problem) == (False, "tcp :9080: Connection refused")
    assert heartbeat(workload) is Heartbeat.UNHEALTHY
    assert lifecycle.take().endpoints


def test_a_stream_that_comes_back_keeps_what_its_probe_said(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(PROBED)
    joined = clock.wall()
    lifecycle.reported(PROBED, "")
    lifecycle.disconnected(PROBED)
    clock.advance(1)
    lifecycle.tick()
    lifecycle.connected(PROBED)
    (workload,) = lifecycle.workloads()
    assert workload.healthy and workload.joined == joined and workload.since == clock.wall()
    lifecycle.reported(PROBED, "status 503")
    lifecycle.disconnected(PROBED)
    lifecycle.connected(PROBED)
    assert seen(lifecycle) == {"reviews-1": (True, False)}


def test_who_says_that_it_drains_is_used_no_more_and_not_waited_for(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(node())
    lifecycle.take()
    lifecycle.reported(node(), DRAINING)
    (workload,) = lifecycle.workloads()
    assert not workload.healthy and heartbeat(workload) is Heartbeat.DRAINING
    assert lifecycle.take().endpoints
    lifecycle.reported(node(), "")  # what its probe still finds on the way out
    lifecycle.disconnected(node())
    assert lifecycle.tick() == clock.monotonic() + 60
    (workload,) = lifecycle.workloads()
    assert heartbeat(workload) is Heartbeat.DRAINING
    lifecycle.connected(node())
    assert seen(lifecycle) == {"reviews-1": (True, True)}
    assert lifecycle.take().endpoints


def test_only_the_newest_stream_speaks_for_a_workload(lifecycle: Lifecycle) -> None:
    newer = replace(node(), labels={"version": "v2"})
    lifecycle.connected(node())
    lifecycle.connected(newer)
    lifecycle.reported(node(), DRAINING)
    assert seen(lifecycle) == {"reviews-1": (True, True)}
    lifecycle.reported(replace(node("who-is-this")), "bad")
    assert seen(lifecycle) == {"reviews-1": (True, True)}


def test_lost_is_who_said_nothing(lifecycle: Lifecycle) -> None:
    lifecycle.connected(node())
    lifecycle.disconnected(node())
    (workload,) = lifecycle.workloads()
    assert heartbeat(workload) is Heartbeat.LOST


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


@pytest.mark.fault(4)
def test_who_claims_a_live_ones_socket_has_it_as_long_as_its_stream_lasts(
    lifecycle: Lifecycle, clock: ManualClock
) -> None:
    lifecycle.connected(node("a"))
    lifecycle.connected(node("b"))
    assert seen(lifecycle) == {"b": (True, True)}
    lifecycle.take()
    lifecycle.disconnected(node("b"))
    assert seen(lifecycle) == {"a": (True, True)}
    news = lifecycle.take()
    assert (list(news.saved), news.removed) == ([node("a").id], {node("b").id})
    clock.advance(1000)
    assert lifecycle.tick() is None


@pytest.mark.fault(4)
def test_claims_fall_back_one_by_one(lifecycle: Lifecycle) -> None:
    for name in "abc":
        lifecycle.connected(node(name))
    for name, left in (("b", "c"), ("c", "a")):
        lifecycle.disconnected(node(name))
        assert seen(lifecycle) == {left: (True, True)}


@pytest.mark.fault(4)
def test_one_id_twice_is_what_its_newest_live_stream_says(lifecycle: Lifecycle) -> None:
    other = replace(node("a"), ports=(ServicePort(7000),), inbound_port=7006)
    lifecycle.connected(node("a"))
    lifecycle.connected(other)
    assert [w.node for w in lifecycle.workloads()] == [other]
    lifecycle.disconnected(other)
    assert [(w.node, w.connected) for w in lifecycle.workloads()] == [(node("a"), True)]
    assert list(lifecycle.take().saved) == [node("a").id]
    lifecycle.disconnected(node("a"))
    assert seen(lifecycle) == {"a": (False, True)}


def many(count: int) -> list[Node]:
    return [node(f"w{n}", f"127.0.{n // 200}.{n % 200 + 1}") for n in range(count)]


@pytest.mark.fault(16)
def test_many_lost_at_once_stay_as_long_as_after_a_restart(lifecycle: Lifecycle, clock: ManualClock) -> None:
    nodes = many(200)
    for each in nodes:
        lifecycle.connected(each)
    lifecycle.take()
    for each in nodes:
        lifecycle.disconnected(each)
        clock.advance(0.01)
    for each in nodes[:195]:
        clock.advance(0.1)  # a busy machine: they come back within 20 s
        lifecycle.tick()
        lifecycle.connected(each)
    assert all(workload.healthy for workload in lifecycle.workloads())
    assert not lifecycle.take()
    clock.advance(GRACE.restart)
    lifecycle.tick()
    assert [w.node.name for w in lifecycle.workloads() if not w.healthy] == [f"w{n}" for n in range(195, 200)]


def test_a_few_lost_of_many_are_lost_soon(lifecycle: Lifecycle, clock: ManualClock) -> None:
    nodes = many(200)
    for each in nodes:
        lifecycle.connected(each)
    for each in nodes[:10]:
        lifecycle.disconnected(each)
    clock.advance(GRACE.lost)
    lifecycle.tick()
    assert sum(not workload.healthy for workload in lifecycle.workloads()) == 10


def test_the_time_in_which_we_did_not_listen_is_forgiven(lifecycle: Lifecycle, clock: ManualClock) -> None:
    lifecycle.connected(node())
    lifecycle.disconnected(node())
    clock.advance(7)
    lifecycle.forgive(5)
    lifecycle.tick()
    assert seen(lifecycle) == {"reviews-1": (False, False)}
    lifecycle.connected(node())
    lifecycle.disconnected(node())
    clock.advance(7)
    lifecycle.forgive(5.5)
    lifecycle.tick()
    assert seen(lifecycle) == {"reviews-1": (False, True)}


@pytest.mark.fault(16)
def test_what_a_storm_costs_grows_with_the_number_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in deadlines that are set, and entries that are looked at, not in time."""
    counts: dict[int, int] = {}
    real = Lifecycle._set_deadline
    for number in (100, 400):
        counted = [0]

        def set_deadline(self: Lifecycle, *arguments: Any, counted: list[int] = counted) -> None:
            counted[0] += 1
            real(self, *arguments)

        monkeypatch.setattr(Lifecycle, "_set_deadline", set_deadline)
        machine = Lifecycle(GRACE, ManualClock())
        for each in many(number):
            machine.connected(each)
        for each in many(number):
            machine.disconnected(each)
            machine.tick()
        counts[number] = counted[0]
    assert counts[400] <= 5 * counts[100]


NODES = [
    node("a", "127.0.1.1"),
    node("b", "127.0.1.2"),
    replace(node("b", "127.0.1.2"), labels={"version": "v2"}),
    node("c", "127.0.1.2"),  # on b's socket
    Node("sidecar", "127.0.1.3", "client"),
]


def on_one_socket(one: Node, other: Node) -> bool:
    return one.address == other.address and bool(set(accepts(one).values()) & set(accepts(other).values()))


class Lifetimes(RuleBasedStateMachine):
    """Any order of connects, losses, restarts and time against what must always hold."""

    @initialize(restored=st.lists(st.sampled_from(NODES), unique_by=lambda n: n.id), healthy=st.booleans())
    def begin(self, restored: list[Node], healthy: bool) -> None:
        self.clock = ManualClock()
        self.machine = Lifecycle(GRACE, self.clock)
        self.machine.restore([Workload(n, healthy=healthy, connected=False) for n in restored])
        self.disk = {w.node.id: w for w in self.machine.workloads()}
        self.streams: list[Node] = []
        self.lost_at: dict[str, float] = {}
        self.began = self.clock.monotonic()
        self.known_before = {w.node.id for w in self.machine.workloads() if w.healthy}

    @rule(n=st.sampled_from(NODES))
    def connect(self, n: Node) -> None:
        self.machine.connected(n)
        self.streams.append(n)
        for other in NODES:
            if other.id != n.id and on_one_socket(other, n):
                self.known_before.discard(other.id)
        self.known_before.discard(n.id)

    @rule(n=st.sampled_from(NODES))
    def lose(self, n: Node) -> None:
        for index in range(len(self.streams) - 1, -1, -1):
            if self.streams[index] == n:
                del self.streams[index]
                if all(stream.id != n.id for stream in self.streams):
                    self.lost_at[n.id] = self.clock.monotonic()
                break
        self.machine.disconnected(n)

    def live(self) -> dict[str, Node]:
        """What every id is by its newest stream, without those on whose socket is somebody newer."""
        newest = {stream.id: (index, stream) for index, stream in enumerate(self.streams)}
        return {
            node_id: stream
            for node_id, (index, stream) in newest.items()
            if not any(i > index and n.id != node_id and on_one_socket(n, stream) for i, n in newest.values())
        }

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 5.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def holds(self) -> None:
        now = self.clock.monotonic()
        due = self.machine.tick()
        assert due is None or due > now
        workloads = {w.node.id: w for w in self.machine.workloads()}
        live = self.live()
        assert {w.node.id: w.node for w in workloads.values() if w.connected} == live
        assert all(workloads[node_id].healthy for node_id in live)
        for node_id, at in self.lost_at.items():
            if node_id in workloads:
                assert workloads[node_id].healthy or now - at >= GRACE.lost
        if now - self.began < GRACE.restart:
            assert all(workloads[node_id].healthy for node_id in self.known_before)
        assert (due is None) == (workloads.keys() == live.keys())
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
