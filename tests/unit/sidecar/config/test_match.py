"""What a route asks of a request."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import (
    HeaderMatcher,
    PathMatch,
    QueryMatcher,
    RouteMatch,
    StringMatch,
    StringMatcher,
)
from tests.unit.sidecar.config.build import (
    Data,
    parts,
    route_of,
)


def match_of(**match: Any) -> RouteMatch:
    given = parts()
    given.match.clear()
    given.match.update(match if any(kind.value in match for kind in PathMatch) else {"prefix": "/", **match})
    return route_of(given).match


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"prefix": "/a"}, RouteMatch(PathMatch.PREFIX, "/a")),
        ({"path": "/a", "case_sensitive": False}, RouteMatch(PathMatch.PATH, "/a", case_sensitive=False)),
        ({"safe_regex": {"regex": "/a.*"}}, RouteMatch(PathMatch.REGEX, "/a.*")),
        ({"path_separated_prefix": "/a"}, RouteMatch(PathMatch.SEPARATED_PREFIX, "/a")),
        ({"connect_matcher": {}}, RouteMatch(PathMatch.CONNECT, "")),
        (
            {"runtime_fraction": {"default_value": {"numerator": 25}}},
            RouteMatch(PathMatch.PREFIX, "/", fraction=250_000),
        ),
    ],
)
def test_paths(match: Data, expected: RouteMatch) -> None:
    assert match_of(**match) == expected


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({}, HeaderMatcher(b"x-a")),
        ({"present_match": False}, HeaderMatcher(b"x-a", present=False)),
        ({"present_match": True, "invert_match": True}, HeaderMatcher(b"x-a", invert=True)),
        (
            {"string_match": {"exact": "B", "ignore_case": True}, "treat_missing_header_as_empty": True},
            HeaderMatcher(b"x-a", StringMatcher(StringMatch.EXACT, "B", ignore_case=True), treat_missing_as_empty=True),
        ),
        ({"string_match": {"suffix": "b"}}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.SUFFIX, "b"))),
        ({"string_match": {"contains": "b"}}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.CONTAINS, "b"))),
        (
            {"string_match": {"safe_regex": {"regex": "b"}}},
            HeaderMatcher(b"x-a", StringMatcher(StringMatch.REGEX, "b")),
        ),
        ({"range_match": {"start": -1, "end": 5}}, HeaderMatcher(b"x-a", value_range=(-1, 5))),
        ({"exact_match": ""}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.EXACT, ""))),
        ({"prefix_match": "b"}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.PREFIX, "b"))),
        ({"safe_regex_match": {"regex": "b"}}, HeaderMatcher(b"x-a", StringMatcher(StringMatch.REGEX, "b"))),
    ],
)
def test_headers(matcher: Data, expected: HeaderMatcher) -> None:
    assert match_of(headers=[{"name": "X-A", **matcher}]).headers == (expected,)


def test_query_parameters() -> None:
    match = match_of(query_parameters=[{"name": "a"}, {"name": "b", "string_match": {"exact": ""}}])
    assert match.query == (QueryMatcher("a"), QueryMatcher("b", StringMatcher(StringMatch.EXACT, "")))
