"""envoy.filters.http.header_mutation: changes of request and response headers, in the chain's place and order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.config.filter_model import HeaderMutations
from sidecar.config.model import HeaderAdd, RemoveMatching, Route
from sidecar.config.mutations import header_mutation
from sidecar.config.reader import Reader
from sidecar.filters import FilterContext, FilterType, ResponseStep, Step, Steps
from sidecar.http.exchange import Exchange
from sidecar.http.forwarded import WISHES
from sidecar.http.head import HOP_HEADERS, INDEXED_HEADERS, RESPONSE_HOP_HEADERS
from sidecar.http.headers import Headers, drop, joined
from sidecar.router.header_ops import Mutation, compile_mutations
from sidecar.router.match import string_test


class HeaderMutationFilter:
    """The chain's own mutations come first, then those of the levels, the most specific one first unless it is told
    otherwise."""

    def __init__(self, config: HeaderMutations, _context: FilterContext) -> None:
        self._config = config

    def bind(self, overrides: Sequence[HeaderMutations], _route: Route | None) -> Steps:
        levels = [self._config, *(reversed(overrides) if self._config.specific_last else overrides)]
        request = compile_mutations(each for level in levels for each in level.request)
        response = compile_mutations(each for level in levels for each in level.response)
        return Steps(
            (_request_step(request, *_noted(levels)),) if request else (),
            (_response_step(response),) if response else (),
        )


def _noted(levels: Iterable[HeaderMutations]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Which of the request's fields that other stations look for may be set, and which may be removed."""
    written: set[bytes] = set()
    removed: set[bytes] = set()
    for part in (part for level in levels for part in level.request):
        if isinstance(part, HeaderAdd):
            written.add(part.name)
        elif isinstance(part, RemoveMatching):
            removed.update(filter(string_test(part.name), INDEXED_HEADERS))
        else:
            removed.add(part)
    return INDEXED_HEADERS & written, INDEXED_HEADERS & removed


def _request_step(mutations: tuple[Mutation, ...], written: frozenset[bytes], removed: frozenset[bytes]) -> Step:
    touched = written | removed

    def step(exchange: Exchange) -> None:
        headers, indexed = exchange.headers, exchange.indexed_headers
        for mutate in mutations:
            mutate(exchange, headers)
        for name in touched:
            value = joined(headers, name)
            if value is not None:
                indexed[name] = value
                if name in WISHES:  # they end with the router
                    drop(headers, name)
            elif name in removed:
                indexed.pop(name, None)

    return step


def _response_step(mutations: tuple[Mutation, ...]) -> ResponseStep:
    def step(exchange: Exchange, headers: Headers) -> None:
        for mutate in mutations:
            mutate(exchange, headers)

    return step


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_RESPONSE_FIXED: Final = RESPONSE_HOP_HEADERS - {b"x-envoy-upstream-service-time"}


def compile(reader: Reader) -> HeaderMutations:
    return _mutations(reader.child("mutations"), specific_last=reader.flag("most_specific_header_mutations_wins"))


def compile_route(reader: Reader) -> HeaderMutations:
    return _mutations(reader.child("mutations"))


def _mutations(reader: Reader | None, *, specific_last: bool = False) -> HeaderMutations:
    if reader is None:
        return HeaderMutations(specific_last=specific_last)
    request = tuple(header_mutation(each, HOP_HEADERS) for each in reader.children("request_mutations"))
    response = tuple(header_mutation(each, _RESPONSE_FIXED) for each in reader.children("response_mutations"))
    return HeaderMutations(request, response, specific_last)


FILTER: Final = FilterType(
    HeaderMutations,
    HeaderMutationFilter,
    compile,
    compile_route,
    route_type="envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
)
