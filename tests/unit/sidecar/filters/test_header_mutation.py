"""Header mutations; that they do as Envoy's is the oracle's to say."""

from __future__ import annotations

from dataclasses import replace

from sidecar.config.filter_model import HeaderMutations
from sidecar.config.model import AppendAction, HeaderAdd, RemoveMatching, StringMatch, StringMatcher
from sidecar.filters import NO_STEPS
from sidecar.filters.header_mutation import HeaderMutationFilter
from tests.unit.sidecar.filters.support import Bench, answered, asked, exchange


def add(name: bytes, value: str) -> HeaderAdd:
    return HeaderAdd(name, value, AppendAction.APPEND)


def test_nothing_to_change_costs_nothing() -> None:
    assert Bench().steps(HeaderMutationFilter, HeaderMutations()) == NO_STEPS


def test_changes_come_in_order_and_level_by_level() -> None:
    chain = HeaderMutations((b"x-a", add(b"x-a", "chain")), (add(b"x-r", "chain"),))
    levels = [HeaderMutations((add(b"x-a", name),)) for name in ("route", "host")]
    for config, order in ((chain, [b"route", b"host"]), (replace(chain, specific_last=True), [b"host", b"route"])):
        steps = Bench().steps(HeaderMutationFilter, config, *levels)
        request = exchange([(b"x-a", b"client")])
        assert asked(steps, request) is None
        assert [value for _, value in request.headers] == [b"chain", *order]
        assert answered(steps, request) == [(b"x-r", b"chain")]


def test_names_are_removed_by_pattern() -> None:
    config = HeaderMutations((RemoveMatching(StringMatcher(StringMatch.PREFIX, "x-int-")),))
    request = exchange([(b"x-int-a", b"1"), (b"x-b", b"2"), (b"x-int-c", b"3")])
    asked(Bench().steps(HeaderMutationFilter, config), request)
    assert request.headers == [(b"x-b", b"2")]


def test_other_stations_see_what_was_changed() -> None:
    config = HeaderMutations(
        (
            add(b"x-envoy-retry-on", "5xx"),
            b"traceparent",
            add(b"b3", "1"),
            RemoveMatching(StringMatcher(StringMatch.PREFIX, "x-b3")),
        )
    )
    request = exchange([(b"traceparent", b"t"), (b"x-b3-sampled", b"1")])
    request.indexed_headers = {b"traceparent": b"t", b"x-b3-sampled": b"1", b"x-envoy-max-retries": b"3"}
    asked(Bench().steps(HeaderMutationFilter, config), request)
    assert request.indexed_headers == {b"x-envoy-retry-on": b"5xx", b"b3": b"1", b"x-envoy-max-retries": b"3"}
    assert request.headers == [(b"b3", b"1")]  # a wish goes no further than the router
