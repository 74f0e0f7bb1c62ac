"""Header additions and removals, compiled: values without %COMMAND%s become bytes once, when configuration arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sidecar.config.model import NO_OPS, AppendAction, HeaderAdd, HeaderMutation, HeaderOps, RemoveMatching
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, drop, get, put
from sidecar.router.match import string_test
from sidecar.telemetry.formatter import compile_format

# Changes the given headers (the exchange's request or response headers) in place.
Mutation = Callable[[Exchange, Headers], None]


_OVERWRITING: Final = frozenset((AppendAction.OVERWRITE, AppendAction.OVERWRITE_IF_EXISTS))


def compile_ops(levels: Iterable[HeaderOps]) -> tuple[Mutation, ...]:
    """The mutations of all `levels` in order (Envoy's: most specific first; within a level removals come first,
    then what overwrites, then what is added)."""
    mutations: list[Mutation] = []
    for ops in levels:
        if ops is NO_OPS:  # most of them are: half the time that a table of 10,000 routes takes
            continue
        mutations.extend(_removing(name) for name in ops.remove)
        mutations.extend(_adding(add) for add in ops.add if add.action in _OVERWRITING)
        mutations.extend(_adding(add) for add in ops.add if add.action not in _OVERWRITING)
    return tuple(mutations)


def compile_mutations(parts: Iterable[HeaderMutation]) -> tuple[Mutation, ...]:
    """Mutations that happen exactly in this order."""
    mutations: list[Mutation] = []
    for part in parts:
        if isinstance(part, RemoveMatching):
            mutations.append(_removing_matches(part))
        else:
            mutations += compile_ops([HeaderOps((part,)) if isinstance(part, HeaderAdd) else HeaderOps((), (part,))])
    return tuple(mutations)


def _removing_matches(part: RemoveMatching) -> Mutation:
    matches = string_test(part.name)

    def mutate(_exchange: Exchange, headers: Headers) -> None:
        headers[:] = [header for header in headers if not matches(header[0])]

    return mutate


def _removing(name: bytes) -> Mutation:
    return lambda _exchange, headers: drop(headers, name)


def _adding(add: HeaderAdd) -> Mutation:
    name, action, keep_empty = add.name, add.action, add.keep_empty
    value_of: Callable[[Exchange], bytes]
    if "%" in add.value:
        value_of = compile_format(add.value)
    else:
        constant = add.value.encode()
        value_of = lambda _exchange: constant  # noqa: E731
    if name in (b"host", b":authority"):
        return lambda exchange, _headers: setattr(exchange, "authority", value_of(exchange))
    if "%" not in add.value and add.value and action is AppendAction.APPEND:
        header = (name, add.value.encode())
        return lambda _exchange, headers: headers.append(header)

    def mutate(exchange: Exchange, headers: Headers) -> None:
        value = value_of(exchange)
        if not value and not keep_empty:
            return
        if action is AppendAction.APPEND:
            headers.append((name, value))
        elif action is AppendAction.OVERWRITE:
            put(headers, name, value)
        else:
            exists = get(headers, name) is not None
            if action is AppendAction.OVERWRITE_IF_EXISTS and exists:
                put(headers, name, value)
            elif action is AppendAction.ADD_IF_ABSENT and not exists:
                headers.append((name, value))

    return mutate
