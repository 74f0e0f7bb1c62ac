"""What a route asks of a request: path, headers, query parameters."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import regex, string_matcher
from sidecar.config.model import (
    MILLION,
    HeaderMatcher,
    PathMatch,
    QueryMatcher,
    RouteMatch,
    StringMatch,
    StringMatcher,
)
from sidecar.config.reader import Reader

_PATHS: Final = tuple(kind.value for kind in PathMatch)
_NOTHING: Final = RouteMatch(PathMatch.PREFIX, "/")

# Deprecated spellings of HeaderMatcher.string_match, which most of the world's configuration still uses.
_OLD_STRINGS: Final = {
    "exact_match": StringMatch.EXACT,
    "prefix_match": StringMatch.PREFIX,
    "suffix_match": StringMatch.SUFFIX,
    "contains_match": StringMatch.CONTAINS,
}
_HEADER_KINDS: Final = ("present_match", "string_match", "range_match", "safe_regex_match", *_OLD_STRINGS)


def route_match(reader: Reader | None) -> RouteMatch:
    if reader is None:
        return _NOTHING
    kind = reader.one_of(*_PATHS)
    if kind == "safe_regex":
        value = regex(reader.child(kind))
    elif kind == "connect_matcher":
        reader.child(kind)
        value = ""
    else:
        value = reader.text(kind) if kind else ""
    case_sensitive = reader.flag("case_sensitive", True)
    return RouteMatch(
        PathMatch(kind) if kind else PathMatch.PREFIX,
        value,
        case_sensitive,
        tuple(header_matcher(each) for each in reader.children("headers")),
        tuple(_query_matcher(each) for each in reader.children("query_parameters")),
        runtime_fraction(reader, "runtime_fraction", MILLION),
        reader.child("grpc") is not None,
    )


def runtime_fraction(reader: Reader, field: str, default: int) -> int:
    """A RuntimeFractionalPercent's default value, parts per million."""
    fraction = reader.child(field)
    return default if fraction is None else fraction.chance("default_value", default)


def header_matcher(reader: Reader) -> HeaderMatcher:
    name = reader.text("name").lower().encode("latin-1", "replace")
    invert = reader.flag("invert_match")
    missing_as_empty = reader.flag("treat_missing_header_as_empty")
    kind = reader.one_of(*_HEADER_KINDS)
    match: StringMatcher | None = None
    value_range: tuple[int, int] | None = None
    present = True
    if kind == "present_match":
        present = reader.flag(kind)
    elif kind == "string_match":
        if (child := reader.child(kind)) is not None:
            match = string_matcher(child)
    elif kind == "range_match":
        if (child := reader.child(kind)) is not None:
            value_range = (child.number("start"), child.number("end"))
    elif kind == "safe_regex_match":
        match = StringMatcher(StringMatch.REGEX, regex(reader.child(kind)))
    elif kind:
        match = StringMatcher(_OLD_STRINGS[kind], reader.text(kind))
    return HeaderMatcher(name, match, value_range, present, invert, missing_as_empty)


def _query_matcher(reader: Reader) -> QueryMatcher:
    name = reader.text("name")
    kind = reader.one_of("string_match", "present_match")
    if kind == "string_match" and (child := reader.child(kind)) is not None:
        return QueryMatcher(name, string_matcher(child))
    reader.only("present_match", True)
    return QueryMatcher(name)
