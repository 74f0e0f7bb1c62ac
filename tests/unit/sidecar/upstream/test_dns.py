"""DNS clusters: what look-ups do to hosts, counters and waits, and what a changed configuration keeps."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from mesh.tasks import TaskOwner
from sidecar.config.model import (
    Address,
    Assignment,
    Cluster,
    Discovery,
    DnsDiscovery,
    DnsFamily,
    DnsResolver,
    Endpoint,
    LocalityEndpoints,
)
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import Stats
from sidecar.upstream.cluster import UpstreamContext
from sidecar.upstream.manager import ClusterManager
from sidecar.upstream.resolver import Done, Resolution
from tests.harness.stage import ManualLoop, assignment

DB = Address("db.test", 3306)
DNS = Cluster("up", Discovery.STRICT_DNS, assignment=assignment(DB))
FAILED = Resolution(error="no answer in time")
GONE = Resolution()


def found(*addresses: str, ttl: int = 0) -> Resolution:
    return Resolution(addresses, ttl)


class Asked:
    """A resolver whose answers come when a test says so."""

    def __init__(self, config: DnsResolver) -> None:
        self.config = config
        self.pending: list[tuple[str, DnsFamily, Done]] = []
        self.closed = False

    def resolve(self, name: str, family: DnsFamily, done: Done) -> None:
        self.pending.append((name, family, done))

    def close(self) -> None:
        self.closed = True

    def answer(self, resolution: Resolution, name: str = "") -> None:
        """To the oldest question, or the oldest about that name."""
        at = next(at for at, (asked, _, _) in enumerate(self.pending) if not name or asked == name)
        self.pending.pop(at)[2](resolution)


class Bench:
    """A cluster manager with such resolvers."""

    def __init__(self, config: Cluster, process: DnsResolver | None = None) -> None:
        self.loop = ManualLoop()
        self.resolvers: list[Asked] = []
        self.stats = Stats()
        loop: Any = self.loop
        context = UpstreamContext(loop, self.stats, TaskOwner("test"), Deadlines(loop, 1.0), rng=random.Random(1))
        self.manager = ClusterManager(context, dns=process, make_resolver=self._made)
        self.manager.set_cluster(config)

    def _made(self, config: DnsResolver) -> Any:
        self.resolvers.append(Asked(config))
        return self.resolvers[-1]

    @property
    def resolver(self) -> Asked:
        return self.resolvers[-1]

    @property
    def hosts(self) -> list[str]:
        return [host.address.host for host in self.manager.clusters["up"].hosts]

    def counted(self) -> dict[str, int]:
        stats: Any = self.manager.clusters["up"].stats
        names = ("attempt", "success", "failure", "empty", "no_rebuild")
        return {name: value for name in names if (value := getattr(stats, f"update_{name}").value)}

    def waits(self, *rounds: Resolution) -> list[float]:
        """How long is waited after each of these answers."""
        waited = []
        for each in rounds:
            self.resolver.answer(each)
            before = self.loop.now
            while not self.resolver.pending:
                self.loop.advance(0.25)
            waited.append(self.loop.now - before)
        return waited


def test_a_name_becomes_its_addresses() -> None:
    bench = Bench(DNS)
    assert bench.hosts == []
    bench.resolver.answer(found("10.0.0.2", "10.0.0.1"))
    hosts = bench.manager.clusters["up"].hosts
    assert [(host.address, host.endpoint.hostname) for host in hosts] == [
        (Address("10.0.0.2", 3306), "db.test"),
        (Address("10.0.0.1", 3306), "db.test"),
    ]


def test_hosts_that_stay_keep_their_place() -> None:
    bench = Bench(DNS)
    bench.resolver.answer(found("10.0.0.2", "10.0.0.1"))
    before = bench.manager.clusters["up"].hosts
    bench.loop.advance(5.0)
    bench.resolver.answer(found("10.0.0.1", "10.0.0.3", "10.0.0.2"))
    assert bench.hosts == ["10.0.0.2", "10.0.0.1", "10.0.0.3"]
    assert bench.manager.clusters["up"].hosts[:2] == before


def test_the_same_in_another_order_changes_nothing() -> None:
    bench = Bench(DNS)
    bench.resolver.answer(found("10.0.0.2", "10.0.0.1"))
    bench.loop.advance(5.0)
    bench.resolver.answer(found("10.0.0.1", "10.0.0.2"))
    assert bench.hosts == ["10.0.0.2", "10.0.0.1"]
    assert bench.counted() == {"attempt": 2, "success": 2, "no_rebuild": 1}


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("discovery", "answer", "kept", "counted"),
    [
        (Discovery.STRICT_DNS, GONE, False, {"attempt": 2, "success": 2}),
        (Discovery.STRICT_DNS, FAILED, True, {"attempt": 2, "success": 1, "failure": 1}),
        (Discovery.LOGICAL_DNS, GONE, True, {"attempt": 2, "success": 1, "failure": 1}),
        (Discovery.LOGICAL_DNS, FAILED, True, {"attempt": 2, "success": 1, "failure": 1}),
    ],
)
def test_what_is_no_address(discovery: Discovery, answer: Resolution, kept: bool, counted: dict[str, int]) -> None:
    bench = Bench(replace(DNS, discovery=discovery))
    bench.resolver.answer(found("10.0.0.1"))
    bench.loop.advance(5.0)
    bench.resolver.answer(answer)
    assert bench.hosts == (["10.0.0.1"] if kept else [])
    assert bench.counted() == counted


def test_a_logical_name_has_one_address() -> None:
    bench = Bench(replace(DNS, discovery=Discovery.LOGICAL_DNS))
    bench.resolver.answer(found("10.0.0.2", "10.0.0.1"))
    assert bench.hosts == ["10.0.0.2"]
    bench.loop.advance(5.0)
    bench.resolver.answer(found("10.0.0.1", "10.0.0.2"))
    assert bench.hosts == ["10.0.0.1"]


@pytest.mark.fault(26)
def test_no_name_waits_for_another() -> None:
    names = assignment(Address("dead.test", 80), Address("app.test", 80))
    bench = Bench(replace(DNS, assignment=names))
    assert [name for name, _, _ in bench.resolver.pending] == ["dead.test", "app.test"]
    bench.resolver.answer(found("10.0.0.1"), "app.test")
    assert bench.hosts == ["10.0.0.1"]
    bench.loop.advance(5.0)
    bench.resolver.answer(found("10.0.0.2"), "app.test")
    assert bench.hosts == ["10.0.0.2"]
    bench.resolver.answer(FAILED, "dead.test")
    assert bench.hosts == ["10.0.0.2"]


def test_a_name_is_asked_for_by_each_endpoint_that_has_it() -> None:
    endpoints = (Endpoint(Address("a.test", 1)), Endpoint(Address("a.test", 2)))
    bench = Bench(replace(DNS, assignment=Assignment("up", (LocalityEndpoints(endpoints),))))
    bench.resolver.answer(found("10.0.0.1"))
    bench.resolver.answer(found("10.0.0.1"))
    assert [host.address for host in bench.manager.clusters["up"].hosts] == [
        Address("10.0.0.1", 1),
        Address("10.0.0.1", 2),
    ]


# ── waits ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("config", "rounds", "waits"),
    [
        (DnsDiscovery(), [found("10.0.0.1"), GONE, FAILED, FAILED], [5.0] * 4),
        (DnsDiscovery(refresh_rate=9.0), [found("10.0.0.1", ttl=60)], [9.0]),
        (DnsDiscovery(respect_ttl=True), [found("10.0.0.1", ttl=60), found("10.0.0.1"), GONE], [60.0, 5.0, 5.0]),
    ],
)
def test_waits(config: DnsDiscovery, rounds: list[Resolution], waits: list[float]) -> None:
    assert Bench(replace(DNS, dns=config)).waits(*rounds) == waits


def test_failures_back_off_until_there_is_an_answer() -> None:
    bench = Bench(replace(DNS, dns=DnsDiscovery(failure_refresh=(8.0, 24.0))))
    random_ = random.Random(1)
    ceilings = [8.0, 16.0, 24.0, None, 8.0]
    expected = [5.0 if ceiling is None else random_.random() * ceiling for ceiling in ceilings]
    waited = bench.waits(FAILED, FAILED, FAILED, found("10.0.0.1"), FAILED)
    assert waited == pytest.approx(expected, abs=0.25)


def test_jitter_comes_on_top_of_an_answer_only() -> None:
    bench = Bench(replace(DNS, dns=DnsDiscovery(jitter=20.0)))
    [answered] = bench.waits(found("10.0.0.1"))
    assert answered == pytest.approx(5.0 + random.Random(1).random() * 20.0, abs=0.25)
    assert bench.waits(FAILED) == [5.0]


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_cluster_keeps_what_was_found() -> None:
    bench = Bench(DNS)
    bench.resolver.answer(found("10.0.0.1"))
    moved = assignment(Address("db.test", 3307), Address("other.test", 80))
    bench.manager.set_cluster(replace(DNS, assignment=moved))
    assert [host.address for host in bench.manager.clusters["up"].hosts] == [Address("10.0.0.1", 3307)]
    bench.resolver.answer(FAILED, "db.test")
    bench.resolver.answer(found("10.0.0.9"), "other.test")
    assert bench.hosts == ["10.0.0.1", "10.0.0.9"]


def test_another_family_is_found_anew() -> None:
    bench = Bench(DNS)
    bench.resolver.answer(found("::1"))
    bench.manager.set_cluster(replace(DNS, dns=DnsDiscovery(family=DnsFamily.V4_ONLY)))
    assert bench.hosts == ["::1"]  # until there is an answer
    assert [family for _, family, _ in bench.resolver.pending] == [DnsFamily.V4_ONLY]
    bench.resolver.answer(found("10.0.0.1"))
    assert bench.hosts == ["10.0.0.1"]


def test_who_is_asked() -> None:
    own, process = DnsResolver(servers=("127.0.0.1:5353",)), DnsResolver(tries=1)
    bench = Bench(DNS, process)
    assert bench.resolver.config == process
    bench.manager.set_cluster(replace(DNS, name="second"))
    assert len(bench.resolvers) == 1
    bench.manager.set_cluster(replace(DNS, dns=DnsDiscovery(resolver=own)))
    assert bench.resolver.config == own
    assert not bench.resolvers[0].closed
    bench.manager.remove_cluster("second")
    assert bench.resolvers[0].closed
    assert not bench.resolver.closed


def test_a_removed_cluster_asks_no_more() -> None:
    bench = Bench(DNS)
    [(_, _, done)] = bench.resolver.pending
    bench.manager.remove_cluster("up")
    assert bench.resolver.closed
    done(found("10.0.0.1"))
    assert bench.loop.timers == []


def test_what_goes_wrong_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    Bench(DNS).waits(FAILED, FAILED, found("10.0.0.1"), FAILED, Resolution(error="refused"))
    assert [record.getMessage() for record in caplog.records] == [
        "cannot resolve db.test for cluster up: no answer in time",
        "cannot resolve db.test for cluster up: no answer in time",
        "cannot resolve db.test for cluster up: refused",
    ]
