"""VirtualService `match` → RouteMatch."""

from __future__ import annotations

from typing import Any, Final

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from mesh.istio.virtual_service import HTTPMatchRequest, StringMatch
from mesh.istio.virtual_service_match import ANY_VALUE

_CATCH_ALL: Final = "/"
_CATCH_ALL_REGEX: Final = ".*"


def catch_all() -> Any:
    return RouteMatch(prefix=_CATCH_ALL)


def connect_match() -> Any:
    """CONNECT requests, which no other match takes."""
    return RouteMatch(connect_matcher=RouteMatch.ConnectMatcher())


def route_match(match: HTTPMatchRequest | None) -> Any:
    """The part of a match that is decided by the request; header and parameter conditions are in alphabetical order."""
    out = catch_all()
    if match is None:
        return out
    _path(out, match.uri)
    out.case_sensitive.value = not match.ignore_uri_case
    headers = [header_matcher(name, condition) for name, condition in match.headers.items()]
    headers += [_without(name, condition) for name, condition in match.without_headers.items()]
    out.headers.extend(sorted(headers, key=lambda matcher: (matcher.name, matcher.invert_match)))
    for name, condition in ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme)):
        if condition is not None:
            out.headers.append(header_matcher(name, condition))
    out.query_parameters.extend(_parameter(name, match.query_params[name]) for name in sorted(match.query_params))
    return out


def is_catch_all(match: Any) -> bool:
    """Whether a RouteMatch takes everything (but CONNECT), so that nothing after it is ever reached."""
    kind = match.WhichOneof("path_specifier")
    path = match.prefix == _CATCH_ALL if kind == "prefix" else match.safe_regex.regex == _CATCH_ALL_REGEX
    return path and kind in ("prefix", "safe_regex") and not match.headers and not match.query_parameters


def _path(out: Any, uri: StringMatch | None) -> None:
    if uri is None:
        return
    if uri.exact is not None:
        out.path = uri.exact
    elif uri.prefix is not None:
        out.prefix = uri.prefix
    elif uri.regex is not None:
        out.safe_regex.CopyFrom(RegexMatcher(regex=uri.regex))


def header_matcher(name: str, condition: StringMatch) -> Any:
    if _is_presence(condition):
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=_string(condition))


def _without(name: str, condition: StringMatch) -> Any:
    """A header that is not there has the empty value, so that it is without whatever is not empty."""
    matcher = header_matcher(name, condition)
    matcher.invert_match = True
    matcher.treat_missing_header_as_empty = not _is_presence(condition)
    return matcher


def _parameter(name: str, condition: StringMatch) -> Any:
    if _is_presence(condition):
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=_string(condition))


def _is_presence(condition: StringMatch) -> bool:
    return condition.empty or condition.regex == ANY_VALUE


def _string(condition: StringMatch) -> Any:
    if condition.exact is not None:
        return StringMatcher(exact=condition.exact)
    if condition.prefix is not None:
        return StringMatcher(prefix=condition.prefix)
    return StringMatcher(safe_regex=RegexMatcher(regex=condition.regex))
