from __future__ import annotations

import pytest

from control_plane.ads.subscription import (
    DeltaRequest,
    Flight,
    Interest,
    SotwRequest,
    Subscription,
    interest_after,
)
from control_plane.resource import Versioned
from mesh.xds import CLUSTER, ENDPOINT

ONE, ONE_NEW, TWO = Versioned("one", "v1"), Versioned("one", "v2"), Versioned("two", "v1")


def subscription(*flights: tuple[str, str]) -> Subscription:
    """One that has sent these (nonce, version) responses, none answered yet."""
    state = Subscription(CLUSTER, Interest(wildcard=True, legacy=True))
    for nonce, version in flights:
        state.sent(nonce, Flight(version, 0.0, {"one": ONE}))
    return state


def sotw(nonce: str = "", version: str = "", error: str | None = None, names: tuple[str, ...] = ()) -> SotwRequest:
    return SotwRequest(CLUSTER, names, version, nonce, error)


def delta(nonce: str = "", error: str | None = None) -> DeltaRequest:
    return DeltaRequest(CLUSTER, nonce=nonce, error=error)


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def after_sotw(*requests: tuple[str, ...], type_url: str = CLUSTER) -> Interest:
    state: Subscription | None = None
    for names in requests:
        interest = interest_after(state, SotwRequest(type_url, names))
        state = state or Subscription(type_url)
        state.interest = interest
    assert state is not None
    return state.interest


def test_an_empty_first_request_is_the_wildcard() -> None:
    assert after_sotw(()).wants("anything")
    assert after_sotw((), ()).wants("anything")
    assert interest_after(None, DeltaRequest(CLUSTER)).wants("anything")


def test_an_empty_first_request_of_a_type_that_is_named_wants_nothing() -> None:
    assert not after_sotw((), type_url=ENDPOINT).wants("anything")
    assert not interest_after(None, DeltaRequest(ENDPOINT)).wants("anything")


def test_the_star_is_the_wildcard_beside_names() -> None:
    both = after_sotw(("*", "one"))
    assert both.wildcard
    assert both.names == {"one"}
    assert not after_sotw(("*", "one"), ("one",)).wants("two")


def test_who_has_named_something_wants_nothing_with_an_empty_list() -> None:
    assert not after_sotw((), ("one",)).wants("two")
    assert not after_sotw((), ("one",), ()).wants("one")
    assert not after_sotw(("*",), ()).wants("one")


def test_names_of_a_stale_request_are_not_read() -> None:
    state = subscription(("n1", "v1"), ("n2", "v2"))
    assert interest_after(state, sotw("n1", "v1", names=("one",))) is state.interest
    assert interest_after(state, sotw("n2", "v2", names=("one",))) == Interest(names=frozenset({"one"}))
    assert interest_after(state, sotw("", "", names=("one",))) == Interest(names=frozenset({"one"}))


def test_an_answer_that_changes_no_names_leaves_the_interest() -> None:
    state = subscription(("n1", "v1"))
    assert interest_after(state, sotw("n1", "v1")) is state.interest
    assert interest_after(state, delta("n1")) is state.interest


def after_delta(*requests: tuple[tuple[str, ...], tuple[str, ...]]) -> Interest:
    state: Subscription | None = None
    for subscribe, unsubscribe in requests:
        interest = interest_after(state, DeltaRequest(CLUSTER, subscribe, unsubscribe))
        state = state or Subscription(CLUSTER)
        state.interest = interest
    assert state is not None
    return state.interest


def test_delta_adds_and_takes_away() -> None:
    interest = after_delta((("one", "two"), ()), (("three",), ("one",)))
    assert interest.names == {"two", "three"}
    assert interest.asked == {"three"}
    assert not interest.wildcard


def test_delta_keeps_the_wildcard_until_it_is_taken_away() -> None:
    assert after_delta(((), ()), (("one",), ())).wants("two")
    assert after_delta((("*",), ()), (("one",), ())).wants("two")
    assert not after_delta(((), ()), ((), ("*",))).wants("two")
    assert not after_delta((("*", "one"), ()), ((), ("*",))).wants("two")
    assert after_delta((("*", "one"), ()), ((), ("*",))).wants("one")


def test_a_name_dropped_under_the_wildcard_is_asked_about() -> None:
    assert after_delta((("*", "one"), ()), ((), ("one",))).asked == {"one"}
    assert after_delta((("one",), ()), ((), ("one",))).asked == frozenset()


def test_a_name_taken_away_and_added_in_one_request_is_asked_for() -> None:
    interest = after_delta((("one",), ()), (("one",), ("one",)))
    assert (interest.names, interest.asked) == ({"one"}, {"one"})


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_acknowledged_response_is_accepted_with_those_before_it() -> None:
    state = Subscription(CLUSTER, Interest(wildcard=True))
    state.sent("n1", Flight("v1", 0.0, {"one": ONE}))
    state.sent("n2", Flight("v2", 0.0, {"two": TWO}))
    state.accept("n2", 3.0)
    assert state.accepted == {"one": ONE, "two": TWO}
    assert (state.acked_version, state.acked_at, state.flights) == ("v2", 3.0, {})


def test_a_rejected_response_keeps_what_was_accepted_last() -> None:
    state = subscription(("n1", "v1"))
    state.accept("n1", 1.0)
    state.sent("n2", Flight("v2", 0.0, {"one": ONE_NEW, "two": TWO}))
    state.reject("n2", "cluster one: no", divisible=True)
    assert state.accepted == {"one": ONE, "two": TWO}  # two was not to blame
    assert {name: r.version for name, r in state.rejected.items()} == {"one": "v2"}
    assert (state.acked_version, state.error) == ("v1", "cluster one: no")


def test_without_a_name_all_that_is_new_is_to_blame_or_suspect() -> None:
    for divisible in (True, False):
        state = subscription(("n1", "v1"))
        state.accept("n1", 1.0)
        state.sent("n2", Flight("v2", 0.0, {"one": ONE_NEW, "two": TWO}))
        state.reject("n2", "no", divisible)
        assert set(state.rejected) == (set() if divisible else {"one", "two"})
        assert state.suspects == ({"one", "two"} if divisible else set())
        assert state.accepted == {"one": ONE}


def test_one_alone_is_to_blame_even_without_a_name() -> None:
    state = subscription(("n1", "v1"))
    state.reject("n1", "no", divisible=True)
    assert set(state.rejected) == {"one"}


def test_a_later_good_version_clears_the_rejection() -> None:
    state = subscription(("n1", "v1"))
    state.reject("n1", "one: no", divisible=True)
    state.sent("n2", Flight("v2", 0.0, {"one": ONE_NEW}))
    assert set(state.rejected) == {"one"}
    state.accept("n2", 1.0)
    assert not state.rejected


def test_an_accepted_removal_is_forgotten() -> None:
    state = subscription(("n1", "v1"))
    state.accept("n1", 1.0)
    state.sent("n2", Flight("v2", 0.0, {"one": None}))
    assert not state.told
    state.accept("n2", 1.0)
    assert not state.accepted


def test_what_is_unsubscribed_while_under_way_is_not_accepted() -> None:
    state = subscription(("n1", "v1"))
    state.forget("one")
    state.accept("n1", 1.0)
    assert not state.accepted


@pytest.mark.fault("F:control_plane/ads/subscription.py:161")
def test_a_rejected_response_accepts_those_before_it_and_not_itself() -> None:
    state = Subscription(CLUSTER, Interest(wildcard=True))
    state.sent("n1", Flight("v1", 0.0, {"one": ONE}))
    state.sent("n2", Flight("v2", 0.0, {"two": TWO}))
    state.sent("n3", Flight("v3", 0.0, {"one": ONE_NEW}))
    state.reject("n2", "cluster two: no", divisible=True)
    assert state.accepted == {"one": ONE}
    assert set(state.rejected) == {"two"}
    assert list(state.flights) == ["n3"]
