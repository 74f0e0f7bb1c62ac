"""Token buckets, and who shares them."""

from __future__ import annotations

import gc
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.filter_model import LocalRateLimit
from sidecar.config.model import MILLION, HeaderAdd, HeaderOps
from sidecar.filters import NO_STEPS, Reply
from sidecar.filters.local_ratelimit import LocalRateLimitFilter, TokenBucket
from sidecar.http.response_flags import Flag
from tests.unit.sidecar.filters.support import ROUTE, Bench, Clock, answered, asked, exchange

LIMIT = LocalRateLimit("x", 2, 0.5, MILLION, MILLION)
OFF = LocalRateLimit("off")


def test_a_bucket_fills_with_the_time() -> None:
    clock = Clock()
    bucket = TokenBucket(2, 0.5, clock)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    assert bucket.seconds_to_next() == 2.0
    clock.now += 1.0
    assert not bucket.take()
    clock.now += 1.0
    assert bucket.take()
    clock.now += 1000.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


@given(st.integers(1, 20), st.floats(0.1, 50.0), st.lists(st.floats(0.0, 5.0), max_size=60))
def test_a_bucket_never_gives_more_than_it_got(size: int, rate: float, waits: list[float]) -> None:
    clock = Clock()
    began = clock.now
    bucket = TokenBucket(size, rate, clock)
    taken = 0
    for wait in waits:
        clock.now += wait
        taken += bucket.take()
        assert 0.0 <= bucket.tokens <= size
        assert taken <= size + (clock.now - began) * rate + 1e-6


def test_over_the_limit_requests_are_refused() -> None:
    bench = Bench()
    ops = HeaderOps((HeaderAdd(b"x-limited", "%REQ(:PATH)%"),))
    steps = bench.steps(LocalRateLimitFilter, OFF, replace(LIMIT, response_ops=ops, status=503))
    assert [asked(steps, exchange()) for _ in range(2)] == [None, None]
    reply = Reply(503, b"local_rate_limited", "local_rate_limited", int(Flag.RL), ((b"x-limited", b"/p"),))
    assert asked(steps, exchange(path=b"/p")) == reply
    names = ("enabled", "enforced", "ok", "rate_limited")
    assert [bench.count(f"x.http_local_rate_limit.{name}") for name in names] == [3, 1, 2, 1]


def test_what_is_not_enforced_is_only_marked() -> None:
    ops = HeaderOps((HeaderAdd(b"x-limited", "1"),))
    steps = Bench().steps(LocalRateLimitFilter, replace(LIMIT, max_tokens=1, enforced=0, request_ops=ops))
    first, second = exchange(), exchange()
    assert asked(steps, first) is None
    assert asked(steps, second) is None
    assert (first.headers, second.headers) == ([], [(b"x-limited", b"1")])


def test_a_filter_that_is_off_costs_nothing() -> None:
    assert Bench().steps(LocalRateLimitFilter, OFF) is NO_STEPS


def test_without_a_bucket_nothing_is_limited() -> None:
    steps = Bench().steps(LocalRateLimitFilter, replace(LIMIT, max_tokens=0, tells_limits=True))
    request = exchange()
    assert asked(steps, request) is None
    assert answered(steps, request) == []


def test_the_limit_is_told() -> None:
    bench = Bench()
    steps = bench.steps(LocalRateLimitFilter, replace(LIMIT, max_tokens=1, tells_limits=True))
    request = exchange()
    assert asked(steps, request) is None
    told = [(b"x-ratelimit-limit", b"1"), (b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"2")]
    assert answered(steps, request) == told
    assert answered(steps, exchange()) == []  # never came to this filter


@pytest.mark.parametrize("per_connection", [False, True])
def test_connections_share_a_bucket_unless_they_have_their_own(per_connection: bool) -> None:
    steps = Bench().steps(LocalRateLimitFilter, replace(LIMIT, max_tokens=1, per_connection=per_connection))
    one, other = SimpleNamespace(kept={}), SimpleNamespace(kept={})
    assert asked(steps, exchange(downstream=one)) is None
    assert (asked(steps, exchange(downstream=other)) is None) == per_connection
    assert asked(steps, exchange(downstream=one)) is not None


def test_routes_share_the_bucket_of_one_configuration_and_not_of_an_equal_one() -> None:
    bench = Bench()
    made = LocalRateLimitFilter(OFF, bench.context())
    config, equal = replace(LIMIT, max_tokens=1), replace(LIMIT, max_tokens=1)
    one, same, other = (made.bind([each], ROUTE) for each in (config, config, equal))
    assert asked(one, exchange()) is None
    assert asked(same, exchange()) is not None
    assert asked(other, exchange()) is None
    del one, same, other
    gc.collect()
    assert asked(made.bind([config], ROUTE), exchange()) is None  # routes that are gone leave no bucket behind
