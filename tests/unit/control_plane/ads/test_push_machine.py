"""Whatever happens in whatever order: no route ever leads nowhere, and in the end the client has what it is to have."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control_plane.ads.push import Progress, PushCore, Variant
from control_plane.ads.subscription import Subscription
from control_plane.snapshot.build import Snapshot
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT, VIRTUAL_HOST, routes_of
from tests.unit.control_plane.ads.simulated import (
    BAD,
    Client,
    by_vhds,
    cluster,
    endpoints,
    host,
    is_bad,
    listener,
    route,
    snapshot,
)

FOREVER = 1e9  # no wait ever ends: what makes progress are the client's answers
ALL = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
DOMAINS = ("d0", "d1", "d2", "d3")


@st.composite
def snapshots(draw: st.DrawFn, bad: bool) -> Snapshot:
    """Consistent ones: routes lead to clusters that are there."""
    names = ["c0", "c1", "c2", "c3"]
    version = st.sampled_from([1, 2, BAD] if bad else [1, 2])
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    tables = draw(st.lists(st.sampled_from(["r0", "r1"]), max_size=2, unique=True))
    listeners = []
    for table in tables:
        name, bind = draw(st.sampled_from([(f"l-{table}", "a"), (f"m-{table}", "a"), (f"l-{table}", "b")]))
        to = draw(st.sampled_from(["", *chosen]))
        listeners.append(listener(name, table, draw(version), f"{bind}-{table}", to))
    return snapshot(
        cds=[cluster(name, draw(version)) for name in chosen],
        eds=[endpoints(name, draw(version)) for name in chosen if draw(st.booleans())],
        lds=listeners,
        rds=[route(name, draw(st.sampled_from(chosen)), draw(version)) for name in tables],
    )


@st.composite
def with_virtual_hosts(draw: st.DrawFn, bad: bool) -> Snapshot:
    """The same with virtual hosts as resources; of those of one route configuration no two have a domain in common."""
    whole = draw(snapshots(bad))
    version = st.sampled_from([1, 2, BAD] if bad else [1, 2])
    found = []
    for name in whole.of(ROUTE):
        free = list(draw(st.permutations(DOMAINS)))
        for number in draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)):
            to = draw(st.sampled_from(sorted(whole.of(CLUSTER))))
            # One domain, and one more as long as every host can have one. Where some are refused nothing may move.
            own = (
                [f"h{number}"] if bad else [free.pop() for _ in range(draw(st.integers(1, 2)) if len(free) > 3 else 1)]
            )
            found.append(host(f"{name}/h{number}", to, *sorted(own), version=draw(version)))
    return snapshot(
        cds=whole.of(CLUSTER).values(),
        eds=whole.of(ENDPOINT).values(),
        lds=whole.of(LISTENER).values(),
        rds=[by_vhds(name, draw(st.sampled_from([1, 2]))) for name in whole.of(ROUTE)],
        vhds=found,
    )


class PushMachine(RuleBasedStateMachine):
    variant = Variant.DELTA
    bad = False
    names_culprits = True
    targets = staticmethod(snapshots)

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(self.variant, names_culprits=self.names_culprits)
        self.target = Snapshot()
        self.reconnected = False
        self.stream()

    def stream(self) -> None:
        self.core = PushCore(self.variant, ack_wait=FOREVER, ask_wait=FOREVER)
        self.core.retarget(self.target)
        self.client.connect()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.publish(data)

    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        self.target = data.draw(self.targets(self.bad))
        self.core.retarget(self.target)

    @rule()
    def step(self) -> None:
        self.client.inbox.extend(self.core.step(1.0))

    @precondition(lambda self: self.client.inbox)
    @rule()
    def client_reads(self) -> None:
        self.client.read()

    @precondition(lambda self: self.client.outbox)
    @rule()
    def server_reads(self) -> None:
        self.core.receive(self.client.outbox.popleft(), 1.0)

    @rule()
    def settle(self) -> None:
        """Everything under way arrives."""
        for _ in range(200):
            self.step()
            if not self.client.inbox and not self.client.outbox:
                if not self.reconnected or not self.client.warming:
                    break
                # A changed cluster whose endpoints were lost with the stream, and that is gone by now.
                self.client.lose_patience()
            while self.client.inbox:
                self.client.read()
            while self.client.outbox:
                self.server_reads()
        else:
            raise AssertionError("it never comes to rest")
        self.at_rest()
        self.reconnected = False

    def at_rest(self) -> None:
        assert not self.client.warming
        targets = {url: self.target.of(url) for url in ALL}
        if any(is_bad(r) for url in (*ALL, VIRTUAL_HOST) for r in self.target.of(url).values()):
            return
        for url in ALL:
            wanted = (
                targets[url]
                if url in (CLUSTER, LISTENER)
                else {n: targets[url][n] for n in self.client.asked.get(url, ())}
            )
            has = {name: r.version for name, r in self.client.has[url].items()}
            assert has == {name: r.version for name, r in wanted.items()}, SHORT[url]
            assert all(self.core.progress(url, name)[0] is not Progress.WAITING for name in targets[url])
            assert url not in self.core.subscriptions or self.core.synced(url)

    @invariant()
    def nothing_leads_nowhere(self) -> None:
        assert not self.client.violations

    @invariant()
    def what_is_found_by_changes_is_what_is_found_by_comparing_everything(self) -> None:
        def found(subscription: Subscription) -> tuple[dict[str, str], set[str], set[str]]:
            self.core._compare(subscription)
            due = {name: resource.version for name, resource in subscription.due.items()}
            return due, set(subscription.absent), set(subscription.gone)

        for subscription in self.core.subscriptions.values():
            by_changes = found(subscription)
            subscription.unsure = None
            everything = found(subscription)
            assert by_changes == everything, (subscription.type_url, by_changes, everything)

    @invariant()
    def at_most_one_push_of_a_kind_is_under_way(self) -> None:
        for url in (CLUSTER, LISTENER):
            subscription = self.core.subscriptions.get(url)
            assert subscription is None or len(subscription.flights) <= 1


class DeltaMachine(PushMachine):
    """Here a client may come back, with what it had."""

    @rule()
    def reconnect(self) -> None:
        self.reconnected = True
        self.stream()


class SotwMachine(PushMachine):
    variant = Variant.SOTW


class VirtualHostMachine(DeltaMachine):
    targets = staticmethod(with_virtual_hosts)

    def at_rest(self) -> None:
        super().at_rest()
        wanted = self.target.of(VIRTUAL_HOST)
        if not any(is_bad(r) for url in (*ALL, VIRTUAL_HOST) for r in self.target.of(url).values()):
            used = {name: each.version for name, each in self.client.hosts.items()}
            there = self.client.has[ROUTE]
            assert used == {name: each.version for name, each in wanted.items() if routes_of(name) in there}
            assert VIRTUAL_HOST not in self.core.subscriptions or self.core.synced(VIRTUAL_HOST)


class VirtualHostsWithRejections(VirtualHostMachine):
    bad = True


class DeltaWithRejections(DeltaMachine):
    bad = True


class SotwWithRejections(SotwMachine):
    bad = True


class DeltaWithNamelessRejections(DeltaMachine):
    bad = True
    names_culprits = False


class SotwWithNamelessRejections(SotwMachine):
    bad = True
    names_culprits = False


@pytest.mark.parametrize(
    "machine",
    [
        DeltaMachine,
        SotwMachine,
        VirtualHostMachine,
        VirtualHostsWithRejections,
        DeltaWithRejections,
        SotwWithRejections,
        DeltaWithNamelessRejections,
        SotwWithNamelessRejections,
    ],
)
def test_push(machine: type[PushMachine]) -> None:
    case = machine.TestCase
    case.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
    case("runTest").runTest()
