"""Path and host rewriting, and the location of a redirect. Pure functions on bytes."""

from __future__ import annotations

from collections.abc import Callable

import re2

from sidecar.config.model import PathMatch, Redirect, Rewrite, RouteMatch
from sidecar.exchange import Exchange

# From a path with its query to the path that goes upstream.
PathRewrite = Callable[[bytes], bytes]

_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def path_rewrite(rewrite: Rewrite | Redirect, match: RouteMatch) -> PathRewrite | None:
    """What a rewrite or redirect does to the path, None when nothing."""
    if rewrite.regex is not None:
        return _by_regex(*rewrite.regex)
    if rewrite.prefix is None:
        return None
    replacement = rewrite.prefix.encode()
    if match.kind is PathMatch.REGEX:
        return lambda path: replacement + _query(path)
    matched = len(match.value.encode())
    return lambda path: replacement + path[matched:]


def _by_regex(pattern: str, substitution: str) -> PathRewrite:
    compiled, replacement = re2.compile(pattern.encode()), substitution.encode()

    def rewrite(path: bytes) -> bytes:
        path, mark, query = path.partition(b"?")
        result: bytes = compiled.sub(replacement, path)
        return result + mark + query

    return rewrite


def _query(path: bytes) -> bytes:
    _, mark, query = path.partition(b"?")
    return mark + query


def redirect_location(redirect: Redirect, rewrite: PathRewrite | None, exchange: Exchange) -> bytes:
    """The `location` of a redirect; a port that its scheme implies is dropped."""
    scheme = redirect.scheme.encode() or (b"https" if redirect.https else exchange.scheme)
    host = redirect.host.encode() or exchange.authority
    if redirect.port:
        host = host.rpartition(b":")[0] if _has_port(host) else host
        host += b":%d" % redirect.port
    elif not redirect.host and scheme != exchange.scheme:
        host = host.removesuffix(_DEFAULT_PORTS.get(exchange.scheme, b" "))
    if redirect.port:
        host = host.removesuffix(_DEFAULT_PORTS.get(scheme, b" "))
    path = exchange.path
    if redirect.path:
        path = redirect.path.encode()
        if b"?" not in path:
            path += _query(exchange.path)
    elif rewrite is not None:
        path = rewrite(path)
    if redirect.strip_query:
        path = path.partition(b"?")[0]
    return scheme + b"://" + host + path


def _has_port(host: bytes) -> bool:
    return b":" in host.rpartition(b"]")[2]
