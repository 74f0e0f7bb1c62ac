"""Subscriptions: what is asked, acknowledged, refused and remembered, in both protocols."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.xds import CLUSTER, ENDPOINT
from sidecar.xds.subscriptions import (
    Change,
    DeltaRequest,
    DeltaSubscription,
    Response,
    SotwRequest,
    SotwSubscription,
)


def wildcard_delta() -> DeltaSubscription:
    return DeltaSubscription(CLUSTER, wildcard=True)


def named_delta(*names: str) -> DeltaSubscription:
    subscription = DeltaSubscription(ENDPOINT, wildcard=False)
    subscription.want(names)
    return subscription


def wildcard_sotw() -> SotwSubscription:
    return SotwSubscription(CLUSTER, wildcard=True)


def named_sotw(*names: str) -> SotwSubscription:
    subscription = SotwSubscription(ENDPOINT, wildcard=False)
    subscription.want(names)
    return subscription


# ── delta ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_delta_wildcard_asks_for_nothing_by_name() -> None:
    assert wildcard_delta().opened() == DeltaRequest(CLUSTER)


def test_delta_asks_for_no_names_not_at_all() -> None:
    assert named_delta().opened() is None
    assert named_delta().changed() is None


def test_delta_says_what_is_new_and_what_is_gone() -> None:
    subscription = named_delta("a", "b")
    assert subscription.opened() == DeltaRequest(ENDPOINT, subscribe=("a", "b"))
    assert subscription.changed() is None
    subscription.want(["b", "c"])
    assert subscription.changed() == DeltaRequest(ENDPOINT, subscribe=("c",), unsubscribe=("a",))
    assert subscription.changed() is None


def test_delta_begins_with_the_first_name() -> None:
    subscription = named_delta()
    assert subscription.opened() is None
    subscription.want(["a"])
    assert subscription.changed() == DeltaRequest(ENDPOINT, subscribe=("a",))


def test_delta_acknowledges_and_tells_versions_on_the_next_stream() -> None:
    subscription = wildcard_delta()
    subscription.opened()
    response = Response(CLUSTER, "n1", resources=(("a", "1"), ("b", "2")))
    assert subscription.received(response) == Change(("a", "b"), ())
    assert subscription.answer(response, ["a", "b"]) == DeltaRequest(CLUSTER, nonce="n1")
    response = Response(CLUSTER, "n2", resources=(("a", "3"),), removed=("b",))
    assert subscription.received(response) == Change(("a",), ("b",))
    subscription.answer(response, ["a"])
    assert subscription.opened() == DeltaRequest(CLUSTER, versions={"a": "3"})


def test_delta_keeps_the_version_of_what_it_refuses() -> None:
    subscription = wildcard_delta()
    subscription.opened()
    subscription.answer(Response(CLUSTER, "n1", resources=(("a", "1"), ("b", "1"))), ["a", "b"])
    refused = Response(CLUSTER, "n2", resources=(("a", "2"), ("b", "2")))
    assert subscription.answer(refused, ["b"], "bad") == DeltaRequest(CLUSTER, nonce="n2", error="bad")
    assert subscription.versions == {"a": "1", "b": "2"}


def test_delta_looks_away_from_what_it_does_not_want_any_more() -> None:
    subscription = named_delta("a")
    subscription.opened()
    subscription.want(["b"])
    assert subscription.received(Response(ENDPOINT, "n", resources=(("a", "1"), ("b", "1")), removed=("a",))) == Change(
        ("b",), ()
    )


def test_a_name_that_is_dropped_is_forgotten() -> None:
    subscription = named_delta("a")
    subscription.answer(Response(ENDPOINT, "n", resources=(("a", "1"),)), ["a"])
    subscription.want([])
    subscription.want(["a"])
    assert subscription.opened() == DeltaRequest(ENDPOINT, subscribe=("a",))


def test_delta_restores() -> None:
    subscription = wildcard_delta()
    subscription.restore({"a": "1"})
    assert subscription.opened() == DeltaRequest(CLUSTER, versions={"a": "1"})


# ── state of the world ────────────────────────────────────────────────────────────────────────────────────────────────


def test_sotw_repeats_all_names() -> None:
    subscription = named_sotw("b", "a")
    assert subscription.opened() == SotwRequest(ENDPOINT, ("a", "b"))
    assert subscription.changed() is None
    subscription.want(["c"])
    assert subscription.changed() == SotwRequest(ENDPOINT, ("c",))


def test_sotw_acknowledges_with_version_and_nonce() -> None:
    subscription = wildcard_sotw()
    subscription.opened()
    response = Response(CLUSTER, "n1", "v1", (("a", "v1"),))
    assert subscription.answer(response, ["a"]) == SotwRequest(CLUSTER, (), "v1", "n1")


def test_sotw_refuses_with_the_version_that_it_has() -> None:
    subscription = wildcard_sotw()
    subscription.opened()
    subscription.answer(Response(CLUSTER, "n1", "v1", (("a", "v1"),)), ["a"])
    refused = Response(CLUSTER, "n2", "v2", (("a", "v2"),))
    assert subscription.answer(refused, [], "bad") == SotwRequest(CLUSTER, (), "v1", "n2", "bad")


def test_sotw_wildcard_misses_what_is_gone() -> None:
    subscription = wildcard_sotw()
    subscription.answer(Response(CLUSTER, "n1", "v1", (("a", "v1"), ("b", "v1"))), ["a", "b"])
    response = Response(CLUSTER, "n2", "v2", (("b", "v2"),))
    assert subscription.received(response) == Change(("b",), ("a",))
    subscription.answer(response, ["b"])
    assert subscription.received(Response(CLUSTER, "n3", "v3")) == Change((), ("b",))


def test_sotw_with_names_misses_nothing() -> None:
    subscription = named_sotw("a", "b")
    subscription.answer(Response(ENDPOINT, "n1", "v1", (("a", "v1"), ("b", "v1"))), ["a", "b"])
    assert subscription.received(Response(ENDPOINT, "n2", "v2", (("b", "v2"),))) == Change(("b",), ())


def test_sotw_keeps_the_version_and_drops_the_nonce_with_the_stream() -> None:
    subscription = named_sotw("a")
    subscription.opened()
    subscription.answer(Response(ENDPOINT, "n1", "v1", (("a", "v1"),)), ["a"])
    assert subscription.opened() == SotwRequest(ENDPOINT, ("a",), "v1", "")


def test_sotw_restores_the_version_if_there_was_one() -> None:
    one, two = wildcard_sotw(), wildcard_sotw()
    one.restore({"a": "v1", "b": "v1"})
    two.restore({"a": "v1", "b": "v2"})
    assert one.opened() == SotwRequest(CLUSTER, (), "v1")
    assert two.opened() == SotwRequest(CLUSTER, (), "")


# ── any order of events: what the server believes is what the client wants, and has ──────────────────────────────────

NAMES = st.sets(st.sampled_from("abcd"))


class DeltaAgainstServer(RuleBasedStateMachine):
    """A delta subscription and a server that keeps the protocol's books."""

    @initialize()
    def begin(self) -> None:
        self.client = DeltaSubscription(ENDPOINT, wildcard=False)
        self.wanted: set[str] = set()
        self.connected = False
        self.subscribed: set[str] = set()
        self.has: dict[str, str] = {}  # what the server believes that the client has
        self.version = 0

    def send(self, request: DeltaRequest | None) -> None:
        if request is None:
            return
        assert not set(request.subscribe) & set(request.unsubscribe)
        self.subscribed = (self.subscribed | set(request.subscribe)) - set(request.unsubscribe)
        self.has = {name: version for name, version in self.has.items() if name in self.subscribed}
        self.has.update(request.versions)

    @rule(names=NAMES)
    def want(self, names: set[str]) -> None:
        self.wanted = names
        self.client.want(names)
        if self.connected:
            self.send(self.client.changed())

    @rule()
    def connect(self) -> None:
        self.connected, self.subscribed, self.has = True, set(), {}
        self.send(self.client.opened())

    @precondition(lambda self: self.connected and self.subscribed)
    @rule(data=st.data())
    def push(self, data: st.DataObject) -> None:
        names = data.draw(st.sets(st.sampled_from(sorted(self.subscribed)), min_size=1))
        removed = data.draw(st.sets(st.sampled_from(sorted(self.subscribed)))) - names
        bad = data.draw(st.sets(st.sampled_from(sorted(names))))
        self.version += 1
        response = Response(
            ENDPOINT,
            f"n{self.version}",
            "",
            tuple((n, str(self.version)) for n in sorted(names)),
            tuple(sorted(removed)),
        )
        change = self.client.received(response)
        assert set(change.changed) == names
        request = self.client.answer(response, names - bad, "bad" if bad else "")
        assert (request.nonce, bool(request.error)) == (response.nonce, bool(bad))
        self.has.update({name: str(self.version) for name in names - bad})
        for name in removed:
            self.has.pop(name, None)

    @invariant()
    def agree(self) -> None:
        if self.connected:
            assert self.subscribed == self.wanted
            assert self.client.versions == self.has


class SotwAgainstServer(RuleBasedStateMachine):
    """A wildcard SotW subscription: after every ACK both know the same complete set."""

    @initialize()
    def begin(self) -> None:
        self.client = SotwSubscription(CLUSTER, wildcard=True)
        self.client.opened()
        self.version = 0
        self.acked = ""
        self.held: set[str] = set()

    @rule()
    def reconnect(self) -> None:
        request = self.client.opened()
        assert request == SotwRequest(CLUSTER, (), self.acked, "")

    @rule(names=NAMES, bad=NAMES)
    def push(self, names: set[str], bad: set[str]) -> None:
        self.version += 1
        bad &= names
        response = Response(
            CLUSTER, str(self.version), str(self.version), tuple((n, str(self.version)) for n in sorted(names))
        )
        change = self.client.received(response)
        assert set(change.changed) == names
        assert set(change.removed) == self.held - names
        self.held = (self.held & names) | (names - bad)
        request = self.client.answer(response, names - bad, "bad" if bad else "")
        if not bad:
            self.acked = response.version
        assert (request.version, request.nonce) == (self.acked, response.nonce)
        if not bad:
            assert self.client.versions.keys() == self.held
        self.held = set(self.client.versions)


TestDeltaAgainstServer = DeltaAgainstServer.TestCase
TestDeltaAgainstServer.settings = settings(max_examples=60, stateful_step_count=25)
TestSotwAgainstServer = SotwAgainstServer.TestCase
TestSotwAgainstServer.settings = settings(max_examples=60, stateful_step_count=25)
