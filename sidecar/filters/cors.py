"""envoy.filters.http.cors: answers preflight requests, and tells browsers whose scripts may read a response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from sidecar.config.common import string_matcher
from sidecar.config.filter_model import CorsFilterConfig, CorsPolicy
from sidecar.config.match import runtime_fraction
from sidecar.config.model import MILLION, Forward, Route
from sidecar.config.reader import Reader
from sidecar.filters import NO_STEPS, Decision, FilterContext, FilterType, Reply, Steps
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Header, Headers, get, joined, put
from sidecar.router.match import string_test

_DETAIL: Final = "cors_response"
_Value = TypeVar("_Value")


class CorsFilter:
    """One connection manager's CORS filter: does nothing on routes without a policy, and on those that only answer."""

    def __init__(self, _config: CorsFilterConfig, context: FilterContext) -> None:
        self._stats = context.stats
        self._draw = context.rng.random

    def bind(self, overrides: Sequence[CorsPolicy], route: Route | None) -> Steps:
        if not overrides or route is None or not isinstance(route.action, Forward):
            return NO_STEPS
        policy = _merged(overrides)
        if not policy.enabled and not policy.shadow:
            return NO_STEPS
        allowed = _origin_test(policy)
        headers = _preflight_headers(policy)
        preflight = Reply(200, b"", _DETAIL, headers=headers)
        private = (b"access-control-allow-private-network", b"true")
        preflight_to_private = Reply(200, b"", _DETAIL, headers=(*headers, private))
        actual = _actual_headers(policy)
        stats, draw = self._stats, self._draw

        def request(exchange: Exchange) -> Decision | None:
            enabled = _happens(policy.enabled, draw)
            if not enabled and not _happens(policy.shadow, draw):
                return None
            origin = joined(exchange.headers, b"origin")
            if not origin:
                return None
            matches = allowed(origin)
            (stats.cors_origin_valid if matches else stats.cors_origin_invalid).value += 1
            if not enabled:
                return None
            if matches:
                exchange.keep(self, origin)
            if exchange.method != b"OPTIONS" or not get(exchange.headers, b"access-control-request-method"):
                return None
            if not matches and policy.forward_unmatched is not False:
                return None
            asks_private = policy.private_network and get(exchange.headers, _ASKS_PRIVATE) == b"true"
            return preflight_to_private if asks_private else preflight

        def response(exchange: Exchange, headers: Headers) -> None:
            origin = exchange.kept(self)
            if origin is not None:
                put(headers, b"access-control-allow-origin", origin)
                for name, value in actual:
                    put(headers, name, value)

        return Steps((request,), (response,))


_ASKS_PRIVATE: Final = b"access-control-request-private-network"


def _happens(chance: int, draw: Callable[[], float]) -> bool:
    return chance >= MILLION or (chance > 0 and draw() * MILLION < chance)


def _merged(policies: Sequence[CorsPolicy]) -> CorsPolicy:
    first = policies[0]
    return CorsPolicy(
        origins=next((policy.origins for policy in policies if policy.origins), ()),
        methods=_first_text(policy.methods for policy in policies),
        headers=_first_text(policy.headers for policy in policies),
        expose=_first_text(policy.expose for policy in policies),
        max_age=_first_text(policy.max_age for policy in policies),
        credentials=_first_set(policy.credentials for policy in policies),
        private_network=_first_set(policy.private_network for policy in policies),
        forward_unmatched=_first_set(policy.forward_unmatched for policy in policies),
        enabled=first.enabled,
        shadow=first.shadow,
    )


def _first_text(values: Iterable[bytes]) -> bytes:
    return next(filter(None, values), b"")


def _first_set(values: Iterable[_Value | None]) -> _Value | None:
    return next((value for value in values if value is not None), None)


def _origin_test(policy: CorsPolicy) -> Callable[[bytes], bool]:
    """A matcher that would match a literal asterisk allows every origin, as in Envoy."""
    tests = [string_test(matcher) for matcher in policy.origins]
    if any(test(b"*") for test in tests):
        return lambda _origin: True
    return lambda origin: any(test(origin) for test in tests)


def _preflight_headers(policy: CorsPolicy) -> tuple[Header, ...]:
    texts = (
        (b"access-control-allow-methods", policy.methods),
        (b"access-control-allow-headers", policy.headers),
        (b"access-control-max-age", policy.max_age),
        (b"access-control-allow-credentials", b"true" if policy.credentials else b""),
    )
    return tuple((name, value) for name, value in texts if value)


def _actual_headers(policy: CorsPolicy) -> tuple[Header, ...]:
    texts = (
        (b"access-control-allow-credentials", b"true" if policy.credentials else b""),
        (b"access-control-expose-headers", policy.expose),
    )
    return tuple((name, value) for name, value in texts if value)


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def compile(_reader: Reader) -> CorsFilterConfig:
    return CorsFilterConfig()


def compile_route(reader: Reader) -> CorsPolicy:
    return CorsPolicy(
        origins=tuple(string_matcher(each) for each in reader.children("allow_origin_string_match")),
        methods=reader.text("allow_methods").encode(),
        headers=reader.text("allow_headers").encode(),
        expose=reader.text("expose_headers").encode(),
        max_age=reader.text("max_age").encode(),
        credentials=_optional(reader, "allow_credentials"),
        private_network=_optional(reader, "allow_private_network_access"),
        forward_unmatched=_optional(reader, "forward_not_matching_preflights"),
        enabled=runtime_fraction(reader, "filter_enabled", MILLION),
        shadow=runtime_fraction(reader, "shadow_enabled", 0),
    )


def _optional(reader: Reader, field: str) -> bool | None:
    return reader.flag(field) if reader.has(field) else None


FILTER: Final = FilterType(
    CorsFilterConfig, CorsFilter, compile, compile_route, route_type="envoy.extensions.filters.http.cors.v3.CorsPolicy"
)
