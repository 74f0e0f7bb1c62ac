"""Matchers of Envoy's route configuration, compiled to predicates on an exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import re2

from sidecar.config.model import HeaderMatcher, QueryMatcher, StringMatch, StringMatcher
from sidecar.http.exchange import Exchange

Predicate = Callable[[Exchange], bool]


class Headed(Protocol):
    """What has headers: a request, or a response."""

    def header_values(self, name: bytes) -> list[bytes]: ...


HeaderPredicate = Callable[[Headed], bool]
Test = Callable[[bytes], bool]


def string_test(matcher: StringMatcher) -> Test:
    """`matcher` on raw bytes; header values are compared as bytes, never decoded."""
    value = matcher.value.encode()
    if matcher.kind is StringMatch.REGEX:
        pattern = re2.compile(value)
        return lambda text: pattern.fullmatch(text) is not None
    if matcher.ignore_case:
        test = _plain_test(matcher.kind, value.lower())
        return lambda text: test(text.lower())
    return _plain_test(matcher.kind, value)


def _plain_test(kind: StringMatch, value: bytes) -> Test:
    if kind is StringMatch.EXACT:
        return lambda text: text == value
    if kind is StringMatch.PREFIX:
        return lambda text: text.startswith(value)
    if kind is StringMatch.SUFFIX:
        return lambda text: text.endswith(value)
    return lambda text: value in text


def _value_test(matcher: HeaderMatcher) -> Test | None:
    """The test of a header's value, None when only its presence counts."""
    if matcher.match is not None:
        return string_test(matcher.match)
    if matcher.value_range is None:
        return None
    low, high = matcher.value_range

    def in_range(text: bytes) -> bool:
        try:
            return low <= int(text) < high
        except ValueError:
            return False

    return in_range


def header_predicate(matcher: HeaderMatcher) -> HeaderPredicate:
    """A repeated header matches when one of its values does. A missing header fails every value match, inverted or not,
    unless it is treated as empty."""
    name, invert, test = matcher.name, matcher.invert, _value_test(matcher)
    if test is None:
        wanted = matcher.present != invert
        return lambda headed: bool(headed.header_values(name)) == wanted
    missing = matcher.treat_missing_as_empty and test(b"") != invert

    def matches(headed: Headed) -> bool:
        values = headed.header_values(name)
        return any(map(test, values)) != invert if values else missing

    return matches


def query_predicate(matcher: QueryMatcher) -> Predicate:
    """The first value of a repeated parameter counts; nothing is percent-decoded."""
    name = matcher.name.encode()
    test = string_test(matcher.match) if matcher.match is not None else None

    def matches(exchange: Exchange) -> bool:
        for pair in exchange.path.partition(b"?")[2].split(b"&"):
            key, _, value = pair.partition(b"=")
            if key == name:
                return test is None or test(value)
        return False

    return matches
