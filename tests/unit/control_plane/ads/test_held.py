"""A mapping like any other, and how little of it is its own."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control_plane.ads.held import Held, brought_along, shared_names
from control_plane.ads.push import PushCore, Variant
from control_plane.ads.subscription import DeltaRequest
from control_plane.resource import Versioned
from control_plane.snapshot.build import Resources, Snapshot
from mesh.xds import CLUSTER
from tests.unit.control_plane.ads.simulated import resource

NAMES = "abcd"
RESOURCES = {name: [Versioned(name, f"{n}") for n in range(3)] for name in NAMES}
names = st.sampled_from(NAMES)
bases = st.dictionaries(names, st.integers(0, 2)).map(lambda found: {n: RESOURCES[n][v] for n, v in found.items()})


class Mappings(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.held, self.plain = Held(), dict[str, Versioned]()

    @rule(name=names, version=st.integers(0, 2))
    def put(self, name: str, version: int) -> None:
        self.held[name] = self.plain[name] = RESOURCES[name][version]

    @rule(name=names)
    def take(self, name: str) -> None:
        assert self.held.pop(name, None) is self.plain.pop(name, None)

    @rule(base=bases, told=st.booleans())
    def rebase(self, base: dict[str, Versioned], told: bool) -> None:
        before = self.held.base
        changed = [name for name in before.keys() | base.keys() if before.get(name) is not base.get(name)]
        self.held.rebase(base, changed if told else None)

    @rule(current=bases, same=st.booleans())
    def compare(self, current: dict[str, Versioned], same: bool) -> None:
        other = self.held.base if same else current
        found = [r for n, r in self.plain.items() if (now := other.get(n)) is None or now.version != r.version]
        assert sorted(self.held.unlike(other), key=lambda r: r.name) == sorted(found, key=lambda r: r.name)

    @invariant()
    def alike(self) -> None:
        assert dict(self.held) == self.plain
        assert len(self.held) == len(self.plain)
        for name in NAMES:
            assert self.held.get(name) is self.plain.get(name)
            assert (name in self.held) == (name in self.plain)
        base = self.held.base
        assert self.held.different == sum(base.get(name) is not self.plain.get(name) for name in NAMES)


Mappings.TestCase.settings = settings(max_examples=50, deadline=None)
TestMappings = Mappings.TestCase


def test_names_that_many_ask_for_are_one_set() -> None:
    one, other = (frozenset(f"name-{n}" for n in range(20)) for _ in range(2))
    assert one is not other
    assert shared_names(one) is shared_names(other)


def test_clients_that_come_back_with_much_the_same_share_it() -> None:
    """Until the last of them has gone, or has what it is to have."""
    versions = dict.fromkeys(NAMES, "1")
    first = brought_along("test", versions)
    assert {name: (each.version, each.known) for name, each in first.items()} == dict.fromkeys(NAMES, ("1", False))
    assert brought_along("test", {**versions, "a": "2"}) is first
    assert brought_along("test", {**versions, "more": "2"}) is first
    assert brought_along("other", versions) is not first
    another = brought_along("test", dict.fromkeys("cdef", "1"))
    assert another.keys() == set("cdef")
    assert brought_along("test", dict.fromkeys("cdef", "1")) is another


def test_who_waits_for_a_turn_with_what_others_have_costs_what_is_different() -> None:
    """And is sent what is not current, whatever the others had."""
    names = [f"c{n}" for n in range(20)]
    resources = {name: resource(CLUSTER, name, "1") for name in names}
    cores = []
    for own in ("x", "y"):
        core = PushCore(Variant.DELTA)
        has = {**dict.fromkeys(names, "1"), "c0": "0", own: "1"}
        core.receive(DeltaRequest(CLUSTER, subscribe=("*",), initial=has), 0.0)
        told = core.subscriptions[CLUSTER].told
        assert {name: each.version for name, each in told.items()} == has
        cores.append(core)
    assert [core.subscriptions[CLUSTER].told.different for core in cores] == [0, 2]
    target = Snapshot({CLUSTER: Resources("v", resources)})
    for core in cores:
        core.retarget(target)
        assert core.subscriptions[CLUSTER].told.base is resources
        assert core.subscriptions[CLUSTER].told.different == 2
        [push] = core.step(0.0)
        assert [each.name for each in push.resources] == ["c0"]
