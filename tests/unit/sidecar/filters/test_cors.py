"""The CORS filter; that it does as Envoy is the oracle's to say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.config.filter_model import CorsFilterConfig, CorsPolicy
from sidecar.config.model import DirectResponse, StringMatch, StringMatcher
from sidecar.filters import NO_STEPS, Reply
from sidecar.filters.cors import CorsFilter
from tests.unit.sidecar.filters.support import ROUTE, Bench, answered, asked, exchange

GOOD = (b"origin", b"http://good.com")
BAD = (b"origin", b"http://bad.com")
PREFLIGHT = (b"access-control-request-method", b"PUT")
POLICY = CorsPolicy((StringMatcher(StringMatch.EXACT, "http://good.com"),), b"GET,PUT", expose=b"x-a", credentials=True)


def test_without_a_policy_or_a_cluster_there_is_nothing_to_do() -> None:
    bench = Bench()
    assert bench.steps(CorsFilter, CorsFilterConfig()) is NO_STEPS
    assert bench.steps(CorsFilter, CorsFilterConfig(), POLICY, route=None) is NO_STEPS
    answering = replace(ROUTE, action=DirectResponse(200))
    assert bench.steps(CorsFilter, CorsFilterConfig(), POLICY, route=answering) is NO_STEPS
    assert bench.steps(CorsFilter, CorsFilterConfig(), replace(POLICY, enabled=0)) is NO_STEPS


def test_a_preflight_is_answered() -> None:
    bench = Bench()
    steps = bench.steps(CorsFilter, CorsFilterConfig(), POLICY)
    request = exchange([GOOD, PREFLIGHT], b"OPTIONS")
    reply = asked(steps, request)
    assert isinstance(reply, Reply)
    headers = dict(answered(steps, request, reply.headers))
    assert headers[b"access-control-allow-origin"] == b"http://good.com"
    assert headers[b"access-control-allow-methods"] == b"GET,PUT"
    assert bench.count("http.test.cors.origin_valid") == 1


@pytest.mark.parametrize(
    ("headers", "method"),
    [([BAD, PREFLIGHT], b"OPTIONS"), ([GOOD], b"OPTIONS"), ([GOOD, PREFLIGHT], b"PUT"), ([], b"GET")],
)
def test_everything_else_goes_on(headers: list[tuple[bytes, bytes]], method: bytes) -> None:
    steps = Bench().steps(CorsFilter, CorsFilterConfig(), POLICY)
    assert asked(steps, exchange(headers, method)) is None


def test_a_response_names_an_allowed_origin_only() -> None:
    steps = Bench().steps(CorsFilter, CorsFilterConfig(), POLICY)
    good, bad, unseen = exchange([GOOD]), exchange([BAD]), exchange([GOOD])
    asked(steps, good)
    asked(steps, bad)
    upstream = [(b"access-control-allow-origin", b"*"), (b"x-up", b"1")]
    assert answered(steps, good, upstream) == [
        (b"access-control-allow-origin", b"http://good.com"),
        (b"x-up", b"1"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"x-a"),
    ]
    assert answered(steps, bad, upstream) == upstream
    assert answered(steps, unseen, upstream) == upstream  # the request ended before it came to this filter


def test_a_policy_in_shadow_only_counts() -> None:
    bench = Bench()
    steps = bench.steps(CorsFilter, CorsFilterConfig(), replace(POLICY, enabled=0, shadow=1_000_000))
    request = exchange([BAD, PREFLIGHT], b"OPTIONS")
    assert asked(steps, request) is None
    assert answered(steps, request) == []
    assert bench.count("http.test.cors.origin_invalid") == 1


def test_levels_are_merged_text_by_text() -> None:
    route = CorsPolicy(methods=b"DELETE", credentials=False)
    steps = Bench().steps(CorsFilter, CorsFilterConfig(), route, POLICY)
    request = exchange([GOOD, PREFLIGHT], b"OPTIONS")
    reply = asked(steps, request)
    assert isinstance(reply, Reply)
    assert reply.headers == ((b"access-control-allow-methods", b"DELETE"),)
