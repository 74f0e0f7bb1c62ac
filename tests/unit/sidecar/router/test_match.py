"""Matchers of headers, query parameters and strings."""

from __future__ import annotations

import pytest

from sidecar.config.model import HeaderMatcher, QueryMatcher, StringMatch, StringMatcher
from sidecar.http.exchange import Exchange
from sidecar.router.match import header_predicate, query_predicate, string_test
from tests.unit.sidecar.router.test_table import exchange


@pytest.mark.parametrize(
    ("kind", "value", "text", "matches"),
    [
        (StringMatch.EXACT, "aB", b"aB", True),
        (StringMatch.EXACT, "aB", b"ab", False),
        (StringMatch.PREFIX, "aB", b"aBc", True),
        (StringMatch.PREFIX, "aB", b"caB", False),
        (StringMatch.SUFFIX, "aB", b"caB", True),
        (StringMatch.SUFFIX, "aB", b"aBc", False),
        (StringMatch.CONTAINS, "aB", b"caBc", True),
        (StringMatch.CONTAINS, "aB", b"cabc", False),
        (StringMatch.REGEX, "a.", b"aB", True),
        (StringMatch.REGEX, "a.", b"aBB", False),
    ],
)
def test_strings(kind: StringMatch, value: str, text: bytes, matches: bool) -> None:
    assert string_test(StringMatcher(kind, value))(text) is matches


@pytest.mark.parametrize(
    ("kind", "text", "matches"),
    [
        (StringMatch.EXACT, b"Ab", True),
        (StringMatch.EXACT, b"Abc", False),
        (StringMatch.PREFIX, b"Abc", True),
        (StringMatch.PREFIX, b"cAb", False),
        (StringMatch.SUFFIX, b"cAb", True),
        (StringMatch.SUFFIX, b"Abc", False),
        (StringMatch.CONTAINS, b"cAbc", True),
        (StringMatch.CONTAINS, b"a", False),
    ],
)
def test_strings_without_regard_to_case(kind: StringMatch, text: bytes, matches: bool) -> None:
    assert string_test(StringMatcher(kind, "aB", ignore_case=True))(text) is matches


@pytest.mark.parametrize(
    ("matcher", "values", "matches"),
    [
        (HeaderMatcher(b"x", value_range=(1, 10)), [b"1"], True),
        (HeaderMatcher(b"x", value_range=(1, 10)), [b"0"], False),
        (HeaderMatcher(b"x", invert=True), [b"v"], False),
        (HeaderMatcher(b"x", invert=True), [], True),
        (HeaderMatcher(b"x", present=False, invert=True), [b"v"], True),
        (HeaderMatcher(b"x", present=False), [b"v"], False),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v"), invert=True), [], False),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v"), invert=True), [b"w", b"v"], False),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v")), [b"w", b"v"], True),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v"), treat_missing_as_empty=True), [], False),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, ""), treat_missing_as_empty=True), [], True),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "")), [], False),
        (
            HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, ""), invert=True, treat_missing_as_empty=True),
            [],
            False,
        ),
        (
            HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v"), invert=True, treat_missing_as_empty=True),
            [],
            True,
        ),
    ],
)
def test_headers_that_are_repeated_missing_or_unwanted(
    matcher: HeaderMatcher, values: list[bytes], matches: bool
) -> None:
    request = Exchange(None, b"GET", b"/", [(b"x", value) for value in values], 0.0)
    assert header_predicate(matcher)(request) is matches


@pytest.mark.parametrize(
    ("matcher", "path", "matches"),
    [
        (QueryMatcher("q"), b"/?q", True),
        (QueryMatcher("q"), b"/?a=1&q=", True),
        (QueryMatcher("q"), b"/?a=q", False),
        (QueryMatcher("q"), b"/q", False),
        (QueryMatcher("q", StringMatcher(StringMatch.EXACT, "a=b")), b"/?q=a=b", True),
        (QueryMatcher("q", StringMatcher(StringMatch.EXACT, "")), b"/?q", True),
        (QueryMatcher("q", StringMatcher(StringMatch.EXACT, "1?2")), b"/?q=1?2", True),
    ],
)
def test_query_parameters(matcher: QueryMatcher, path: bytes, matches: bool) -> None:
    assert query_predicate(matcher)(exchange(path)) is matches
