"""Filters bound to routes: levels, disabling, order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.config.filter_model import CorsFilterConfig, CorsPolicy
from sidecar.config.model import MILLION, FaultConfig, HttpFilter, RouteConfig, StringMatch, StringMatcher, VirtualHost
from sidecar.filters import Encode
from sidecar.filters.chain import FilterChain
from tests.unit.sidecar.filters.support import ROUTE, Bench, answered, asked, exchange

ABORT = FaultConfig(abort_status=503, abort_chance=MILLION)
POLICY = CorsPolicy((StringMatcher(StringMatch.EXACT, "*"),))


def bound(chain: FilterChain, route: Any = (), vhost: Any = (), routes: Any = ()) -> tuple[int, int]:
    """How many steps there are for a request and a response, by what the levels say."""
    host = VirtualHost("h", ("*",), (), filters=dict(vhost))
    steps = chain.bind(RouteConfig("r", (), filters=dict(routes)), host, replace(ROUTE, filters=dict(route)))
    return len(steps.request), len(steps.response)


def test_the_most_specific_level_decides() -> None:
    chain = FilterChain([HttpFilter("f", FaultConfig())], Bench().context())
    assert bound(chain) == (0, 0)
    assert bound(chain, vhost={"f": ABORT}) == (1, 0)
    assert bound(chain, route={"f": FaultConfig()}, vhost={"f": ABORT}) == (0, 0)
    assert bound(chain, route={"f": ABORT}, vhost={"f": None}) == (1, 0)


def test_a_filter_is_disabled_by_the_chain_or_by_a_level() -> None:
    chain = FilterChain([HttpFilter("f", ABORT, disabled=True)], Bench().context())
    assert bound(chain) == (0, 0)
    assert bound(chain, routes={"f": ABORT}) == (1, 0)
    assert bound(chain, route={"f": None}, routes={"f": ABORT}) == (0, 0)
    assert chain.unrouted == ((), ())


@pytest.mark.fault(38)
def test_a_configuration_that_no_filter_has_made_is_no_filter_left_out() -> None:
    with pytest.raises(LookupError, match="configured by a RouteConfig"):
        FilterChain([HttpFilter("f", RouteConfig("r", ()))], Bench().context())


def test_responses_go_the_other_way() -> None:
    filters = [HttpFilter("a", CorsFilterConfig()), HttpFilter("b", CorsFilterConfig())]
    chain = FilterChain(filters, Bench().context())
    levels = {"a": replace(POLICY, expose=b"a"), "b": replace(POLICY, expose=b"b")}
    steps = chain.bind(RouteConfig("r", ()), VirtualHost("h", ("*",), ()), replace(ROUTE, filters=levels))
    request = exchange([(b"origin", b"http://x")])
    assert asked(steps, request) is None
    assert (
        dict(answered(steps, request))[b"access-control-expose-headers"] == b"a"
    )  # the first of the chain has the last word


def test_requests_without_a_route_meet_the_chain_as_it_is() -> None:
    chain = FilterChain([HttpFilter("f", ABORT)], Bench().context())
    assert len(chain.unrouted.request) == 1


def test_body_steps_make_another_stream_and_have_their_turn_among_the_responses() -> None:
    slow = FaultConfig(rate_kbps=1, rate_chance=MILLION)
    filters = [HttpFilter("cors", CorsFilterConfig()), HttpFilter("f", FaultConfig())]
    chain = FilterChain(filters, Bench().context())
    assert bound(chain, route={"cors": POLICY}) == (1, 1)
    assert bound(chain, route={"cors": POLICY, "f": slow}) == (3, 2)
    steps = chain.bind(RouteConfig("r", ()), VirtualHost("h", ("*",), ()), replace(ROUTE, filters={"f": slow}))
    assert isinstance(steps.request[0](exchange()), Encode)
