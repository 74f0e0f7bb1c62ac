"""What a request is balanced by: a route's `hash_policy`, compiled to one number per request as Envoy computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import re2
from xxhash import xxh64_intdigest

from sidecar.config.model import HashPolicy, HashSource
from sidecar.http.exchange import Exchange

_MASK = 2**64 - 1


@dataclass(slots=True)
class Key:
    """`value` None: nothing that the policies look at is there. `cookies` are the Set-Cookie lines of cookies that were
    made up for the client."""

    value: int | None = None
    cookies: list[bytes] = field(default_factory=list)


_Method = Callable[[Exchange, Key], int | None]


class HashPolicies:
    """The policies of one route, in order."""

    __slots__ = ("_methods",)

    def __init__(self, policies: Sequence[HashPolicy]) -> None:
        self._methods = [(_METHODS[policy.source](policy), policy.terminal) for policy in policies]

    def key(self, exchange: Exchange) -> Key:
        """The key of a request. Each policy's hash is mixed into the one before it; a terminal policy is the last when
        there is a hash by then."""
        key = Key()
        for method, terminal in self._methods:
            found = method(exchange, key)
            if found is not None:
                before = key.value
                key.value = found if before is None else ((before << 1 | before >> 63) & _MASK) ^ found
            if terminal and key.value is not None:
                break
        return key


def _header(policy: HashPolicy) -> _Method:
    """All values count, in whatever order they come."""
    name = policy.name.encode()
    rewrite = policy.rewrite
    pattern, replacement = (re2.compile(rewrite[0].encode()), rewrite[1].encode()) if rewrite else (None, b"")

    def method(exchange: Exchange, _key: Key) -> int | None:
        values = exchange.header_values(name)
        if not values:
            return None
        if pattern is not None:
            values = [pattern.sub(replacement, value) for value in values]
        digest = 0
        for value in sorted(values):
            digest = xxh64_intdigest(value, digest)
        return digest

    return method


def _cookie(policy: HashPolicy) -> _Method:
    name = policy.name.encode()
    attributes = _attributes(policy)

    def method(exchange: Exchange, key: Key) -> int | None:
        value = cookie_value(exchange, name)
        if not value:
            if policy.ttl is None:
                return None
            value = _made_up(exchange.downstream)
            key.cookies.append(b'%b="%b"%b' % (name, value, attributes))
        return xxh64_intdigest(value)

    return method


def _made_up(connection: Any) -> bytes:
    """The same for all requests of a connection: they may race for the same host."""
    return b"%016x" % xxh64_intdigest(f"{connection.remote}{connection.local}".encode())


def _attributes(policy: HashPolicy) -> bytes:
    parts = [f"Max-Age={policy.ttl}"] if policy.ttl else []
    if policy.path:
        parts.append(f"Path={policy.path}")
    parts += [f"{name}={value}" if value else name for name, value in policy.attributes]
    return "".join(f"; {part}" for part in [*parts, "HttpOnly"]).encode()


def cookie_value(exchange: Exchange, name: bytes) -> bytes:
    """The first cookie of that name, without its quotes; b"" when there is none."""
    for line in exchange.header_values(b"cookie"):
        for pair in line.split(b";"):
            key, equals, value = pair.partition(b"=")
            if equals and key.lstrip(b" ") == name:
                quoted = len(value) >= 2 and value[:1] == b'"' == value[-1:]
                return value[1:-1] if quoted else value
    return b""


def _source_ip(_policy: HashPolicy) -> _Method:
    return lambda exchange, _key: xxh64_intdigest(exchange.client.host.encode())


def _query_parameter(policy: HashPolicy) -> _Method:
    name = policy.name.encode()

    def method(exchange: Exchange, _key: Key) -> int | None:
        for pair in exchange.path.partition(b"?")[2].split(b"&"):
            key, _, value = pair.partition(b"=")
            if key == name:
                return xxh64_intdigest(value)
        return None

    return method


_METHODS: dict[HashSource, Callable[[HashPolicy], _Method]] = {
    HashSource.HEADER: _header,
    HashSource.COOKIE: _cookie,
    HashSource.SOURCE_IP: _source_ip,
    HashSource.QUERY_PARAMETER: _query_parameter,
}
