"""Conditions in words; and that they say no exactly where the matchers do."""

from __future__ import annotations

import random

import pytest

from sidecar.config.model import (
    DirectResponse,
    HeaderMatcher,
    PathMatch,
    QueryMatcher,
    Route,
    RouteConfig,
    RouteMatch,
    StringMatch,
    StringMatcher,
    VirtualHost,
)
from sidecar.explain.given import ANYONE, Call, exchange_of
from sidecar.explain.words import match_words, why_not
from sidecar.router.table import CompiledRoute, RouteTable

IS_JASON = HeaderMatcher(b"end-user", StringMatcher(StringMatch.EXACT, "jason"))


def compiled(match: RouteMatch) -> CompiledRoute:
    host = VirtualHost("h", ("*",), (Route(match, DirectResponse(200)),))
    found = RouteTable(RouteConfig("r", (host,)), rng=random.Random(1)).virtual_host(b"h")
    assert found is not None
    return found.routes[0]


def reason(match: RouteMatch, url: str = "http://h/x?q=1", *headers: tuple[str, str]) -> str:
    exchange = exchange_of(Call("GET", url, headers), ANYONE, absolute=False)
    exchange.authority = b"h"
    return why_not(compiled(match), exchange, exchange.path.partition(b"?")[0])


@pytest.mark.parametrize(
    ("match", "says"),
    [
        (RouteMatch(PathMatch.PATH, "/y"), "path is /y: the path is /x"),
        (RouteMatch(PathMatch.PREFIX, "/", headers=(IS_JASON,)), "header end-user is 'jason': the request has none"),
        (
            RouteMatch(
                PathMatch.PREFIX, "/", headers=(HeaderMatcher(b":method", StringMatcher(StringMatch.EXACT, "PUT")),)
            ),
            "method is 'PUT': it is 'GET'",
        ),
        (
            RouteMatch(PathMatch.PREFIX, "/", query=(QueryMatcher("q", StringMatcher(StringMatch.PREFIX, "2")),)),
            "query parameter q begins with '2': the request's is '1'",
        ),
        (
            RouteMatch(PathMatch.PREFIX, "/", query=(QueryMatcher("z"),)),
            "query parameter z is there: the request has none",
        ),
        (RouteMatch(PathMatch.PREFIX, "/", grpc=True), "is gRPC: the request is not"),
        (RouteMatch(PathMatch.PREFIX, "/"), ""),
    ],
)
def test_why_not(match: RouteMatch, says: str) -> None:
    assert reason(match) == says


def test_the_first_condition_that_fails_is_told() -> None:
    other = HeaderMatcher(b"x", present=True)
    match = RouteMatch(PathMatch.PREFIX, "/", headers=(IS_JASON, other))
    assert reason(match, "http://h/x", ("end-user", "jason")) == "header x is there: the request has none"
    assert reason(match, "http://h/x", ("end-user", "tom"), ("x", "")).endswith("the request's is 'tom'")


def test_expressions_are_shown_as_they_are_written() -> None:
    digits = HeaderMatcher(b"x", StringMatcher(StringMatch.REGEX, r"\d+"))
    match = RouteMatch(PathMatch.PREFIX, "/", headers=(digits,))
    assert reason(match, "http://h/x", ("x", r"a\b")) == r"header x matches '\d+': the request's is 'a\b'"


def test_all_that_a_rule_asks() -> None:
    match = RouteMatch(PathMatch.REGEX, "/a.*", headers=(HeaderMatcher(b"x", present=True, invert=True),))
    assert match_words(match) == "path matches /a.* and header x is not there"
