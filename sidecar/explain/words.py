"""Conditions of routes in words, each beside what the request has there."""

from __future__ import annotations

from sidecar.config.model import (
    MILLION,
    HeaderMatcher,
    PathMatch,
    QueryMatcher,
    RouteMatch,
    StringMatch,
    StringMatcher,
)
from sidecar.http.exchange import Exchange
from sidecar.router.table import CompiledRoute

_PATHS = {
    PathMatch.PREFIX: "path begins with",
    PathMatch.PATH: "path is",
    PathMatch.REGEX: "path matches",
    PathMatch.SEPARATED_PREFIX: "path is, or is below,",
}
_STRINGS = {
    StringMatch.EXACT: "is",
    StringMatch.PREFIX: "begins with",
    StringMatch.SUFFIX: "ends with",
    StringMatch.CONTAINS: "contains",
    StringMatch.REGEX: "matches",
}
_PSEUDO = {b":method": "method", b":authority": "host", b":scheme": "scheme", b":path": "path with its query"}


def match_words(match: RouteMatch) -> str:
    """Everything that a route asks of a request."""
    return " and ".join([path_words(match), *condition_words(match)])


def path_words(match: RouteMatch) -> str:
    if match.kind is PathMatch.CONNECT:
        return "CONNECT"
    if match.kind is PathMatch.PREFIX and match.value == "/":
        return "any path"
    return f"{_PATHS[match.kind]} {match.value}" + ("" if match.case_sensitive else " (in any case)")


def condition_words(match: RouteMatch) -> list[str]:
    """One for each of a compiled route's conditions, in their order."""
    words = [_header_words(matcher) for matcher in match.headers]
    words += [_query_words(matcher) for matcher in match.query]
    if match.grpc:
        words.append("is gRPC")
    if match.fraction < MILLION:
        words.append(f"is one of {match.fraction / MILLION:.4%} of the requests, by chance")
    return words


def _header_words(matcher: HeaderMatcher) -> str:
    name = _name(matcher)
    if matcher.value_range is not None:
        low, high = matcher.value_range
        return f"{name} is {'not ' if matcher.invert else ''}a number from {low} to {high - 1}"
    if matcher.match is None:
        return f"{name} is {'there' if matcher.present != matcher.invert else 'not there'}"
    return f"{name} {_string_words(matcher.match, invert=matcher.invert)}"


def _query_words(matcher: QueryMatcher) -> str:
    what = _string_words(matcher.match) if matcher.match is not None else "is there"
    return f"query parameter {matcher.name} {what}"


def _string_words(matcher: StringMatcher, *, invert: bool = False) -> str:
    verb = _STRINGS[matcher.kind]
    if invert:
        verb = "is not" if verb == "is" else f"not {verb}"
    return f"{verb} {_quoted(matcher.value)}" + (" (in any case)" if matcher.ignore_case else "")


def _quoted(text: str) -> str:
    """In quotes, on one line, and a backslash as what it is: expressions have many."""
    return repr(text).replace("\\\\", "\\")


def _name(matcher: HeaderMatcher) -> str:
    return _PSEUDO.get(matcher.name) or f"header {matcher.name.decode('latin-1')}"


def why_not(route: CompiledRoute, exchange: Exchange, path: bytes) -> str:
    """The first condition of the route that the request does not fulfil, by the route's own tests; "" when it fulfils
    all of them."""
    match = route.config.match
    if not route.matches_path(path):
        return f"{path_words(match)}: the path is {path.decode('latin-1') or 'empty'}"
    for number, (condition, words) in enumerate(zip(route.conditions, condition_words(match), strict=True)):
        if not condition(exchange):
            return f"{words}: {_has(match, number, exchange)}"
    return ""


def _has(match: RouteMatch, number: int, exchange: Exchange) -> str:
    """What the request has in the place of the condition of this number."""
    if number < len(match.headers):
        matcher = match.headers[number]
        values = exchange.header_values(matcher.name)
        what = "it" if matcher.name in _PSEUDO else "the request's"
        if not values:
            return "the request has none"
        return f"{what} is {_quoted(', '.join(value.decode('latin-1') for value in values))}"
    if number - len(match.headers) < len(match.query):
        name = match.query[number - len(match.headers)].name
        pairs = [pair.partition("=") for pair in exchange.path.decode("latin-1").partition("?")[2].split("&")]
        values_of = [value for key, _, value in pairs if key == name]
        return f"the request's is {_quoted(values_of[0])}" if values_of else "the request has none"
    return "the request is not"
