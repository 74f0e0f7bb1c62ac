"""Path and host rewriting, and the location of a redirect. Pure functions on bytes."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

import re2

from sidecar.config.model import PathMatch, Redirect, Rewrite, RouteMatch
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, joined, put
from sidecar.router.header_ops import Mutation
from sidecar.telemetry.formatter import compile_text

# From a path with its query to the path that goes upstream.
PathRewrite = Callable[[bytes], bytes]

_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


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


def rewrite_host(exchange: Exchange, host: bytes, *, append_forwarded: bool) -> None:
    """The host that goes upstream, with the one that was asked for beside it."""
    before, headers = exchange.authority, exchange.headers
    if append_forwarded and before:
        forwarded = joined(headers, b"x-forwarded-host")
        put(headers, b"x-forwarded-host", before if forwarded is None else forwarded + b"," + before)
    exchange.original_authority = exchange.original_authority or before
    exchange.authority = host
    put(headers, b"x-envoy-original-host", exchange.original_authority)


def late_rewrites(rewrite: Rewrite) -> tuple[Mutation, ...]:
    """What of a rewrite depends on the request; it comes after all changes of headers."""
    host_of = _host_of(rewrite)
    rewrites: list[Mutation] = []
    if host_of is not None:
        append_forwarded, find = rewrite.append_forwarded_host, host_of

        def to_host(exchange: Exchange, _headers: Headers) -> None:
            host = find(exchange)
            if host:
                rewrite_host(exchange, host, append_forwarded=append_forwarded)

        rewrites.append(to_host)
    if rewrite.path_format:
        render = compile_text(rewrite.path_format)

        def to_path(exchange: Exchange, headers: Headers) -> None:
            path = render(exchange, monotonic())
            if path.startswith(b"/"):
                exchange.original_path = exchange.path
                exchange.path = path + _query(exchange.path)
                put(headers, b"x-envoy-original-path", exchange.original_path)

        rewrites.append(to_path)
    return tuple(rewrites)


def _host_of(rewrite: Rewrite) -> Callable[[Exchange], bytes] | None:
    """Where the host comes from; it returns b"" when it is to stay."""
    if rewrite.host_header:
        name = rewrite.host_header
        return lambda exchange: next(iter(exchange.header_values(name)), b"")
    if rewrite.host_format:
        render = compile_text(rewrite.host_format)
        return lambda exchange: render(exchange, monotonic())
    if rewrite.host_regex is None:
        return None
    pattern, substitution = rewrite.host_regex
    compiled, replacement = re2.compile(pattern.encode()), substitution.encode()

    def from_path(exchange: Exchange) -> bytes:
        path = (exchange.original_path or exchange.path).partition(b"?")[0]
        host: bytes = compiled.sub(replacement, path)
        return host

    return from_path


def redirect_location(redirect: Redirect, rewrite: PathRewrite | None, exchange: Exchange) -> bytes:
    """The `location` of a redirect. A port that the old scheme implied goes with it; one that is asked for is written."""
    scheme = redirect.scheme.encode() or (b"https" if redirect.https else exchange.scheme)
    host = redirect.host.encode() or exchange.authority
    if redirect.port:
        host = host.rpartition(b":")[0] if _has_port(host) else host
        host += b":%d" % redirect.port
    elif not redirect.host and scheme != exchange.scheme and not redirect.keep_port:
        host = host.removesuffix(_DEFAULT_PORTS.get(exchange.scheme, b" "))
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
