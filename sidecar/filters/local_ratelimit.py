"""envoy.filters.http.local_ratelimit: a token bucket, filled continuously; requests that find it empty are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from sidecar.config.common import headers_to_add
from sidecar.config.filter_model import LocalRateLimit
from sidecar.config.match import runtime_fraction
from sidecar.config.model import MILLION, Route
from sidecar.config.reader import Reader
from sidecar.filters import NO_STEPS, Decision, FilterContext, FilterType, Reply, Step, Steps
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers, put
from sidecar.http.response_flags import Flag
from sidecar.router.header_ops import compile_ops

_TEXT: Final = "local_rate_limited"
_GRPC_RESOURCE_EXHAUSTED: Final = 8


class TokenBucket:
    """Full at first; gains tokens with the time, and never has more than its size."""

    __slots__ = ("_at", "_clock", "_rate", "size", "tokens")

    def __init__(self, size: int, per_second: float, clock: Callable[[], float]) -> None:
        self.size = size
        self.tokens = float(size)
        self._rate = per_second
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """One token, if there is one."""
        self.fill()
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def take_up_to(self, count: int) -> int:
        """So many tokens, or as many as there are."""
        self.fill()
        taken = min(count, int(self.tokens))
        self.tokens -= taken
        return taken

    def fill(self) -> None:
        """Brings `tokens` up to date."""
        now = self._clock()
        self.tokens = min(self.size, self.tokens + (now - self._at) * self._rate)
        self._at = now

    def seconds_to_next(self) -> float:
        """How long until there is a token, 0.0 when there is one."""
        self.fill()
        return max(0.0, (1.0 - self.tokens) / self._rate)


class _Limiter:
    """The buckets of one configuration, however many routes it is bound to."""

    def __init__(self, config: LocalRateLimit, context: FilterContext) -> None:
        self.config = config
        self._clock = context.clock
        self._shared = self._bucket()
        prefix = f"{config.stat_prefix}.http_local_rate_limit."
        registry = context.registry
        self.enabled = registry.counter(prefix + "enabled")
        self.enforced = registry.counter(prefix + "enforced")
        self.limited = registry.counter(prefix + "rate_limited")
        self.ok = registry.counter(prefix + "ok")

    def _bucket(self) -> TokenBucket:
        return TokenBucket(self.config.max_tokens, self.config.tokens_per_second, self._clock)

    def bucket_of(self, exchange: Exchange) -> TokenBucket:
        if not self.config.per_connection:
            return self._shared
        kept: dict[Any, TokenBucket] = exchange.downstream.kept
        bucket = kept.get(self)
        if bucket is None:
            bucket = kept[self] = self._bucket()
        return bucket


class LocalRateLimitFilter:
    """One connection manager's filter. A configuration on a route replaces that of the chain, its bucket included."""

    def __init__(self, config: LocalRateLimit, context: FilterContext) -> None:
        self._context = context
        self._draw = context.rng.random
        # By the identity of the configuration, for as long as it is bound to a route: a limiter holds its configuration.
        self._limiters: WeakValueDictionary[int, _Limiter] = WeakValueDictionary()
        self._default = self._limiter(config)

    def _limiter(self, config: LocalRateLimit) -> _Limiter:
        limiter = self._limiters.get(id(config))
        if limiter is None:
            limiter = self._limiters[id(config)] = _Limiter(config, self._context)
        return limiter

    def bind(self, overrides: Sequence[LocalRateLimit], _route: Route | None) -> Steps:
        limiter = self._limiter(overrides[0]) if overrides else self._default
        config = limiter.config
        if not config.enabled:
            return NO_STEPS
        return Steps((self._request_step(limiter),), (self._tell,) if config.tells_limits else ())

    def _request_step(self, limiter: _Limiter) -> Step:
        config, draw = limiter.config, self._draw
        request_ops, response_ops = compile_ops([config.request_ops]), compile_ops([config.response_ops])
        grpc_status = _GRPC_RESOURCE_EXHAUSTED if config.resource_exhausted else None

        def step(exchange: Exchange) -> Decision | None:
            if draw() * MILLION >= config.enabled:
                return None
            limiter.enabled.value += 1
            if self._allows(limiter, exchange):
                limiter.ok.value += 1
                return None
            limiter.limited.value += 1
            if draw() * MILLION >= config.enforced:
                for mutate in request_ops:
                    mutate(exchange, exchange.headers)
                return None
            limiter.enforced.value += 1
            headers: Headers = []
            for mutate in response_ops:
                mutate(exchange, headers)
            return Reply(config.status, _TEXT.encode(), _TEXT, int(Flag.RL), tuple(headers), grpc_status)

        return step

    def _allows(self, limiter: _Limiter, exchange: Exchange) -> bool:
        if not limiter.config.max_tokens:
            return True
        bucket = limiter.bucket_of(exchange)
        if limiter.config.tells_limits:
            exchange.keep(self, bucket)
        return bucket.take()

    def _tell(self, exchange: Exchange, headers: Headers) -> None:
        bucket: TokenBucket | None = exchange.kept(self)
        if bucket is None:
            return
        reset = math.ceil(bucket.seconds_to_next())
        put(headers, b"x-ratelimit-limit", b"%d" % bucket.size)
        put(headers, b"x-ratelimit-remaining", b"%d" % bucket.tokens)
        put(headers, b"x-ratelimit-reset", b"%d" % reset)


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_TOO_MANY: Final = 429
_SHORTEST_FILL: Final = 0.05


def compile(reader: Reader) -> LocalRateLimit:
    max_tokens, rate = _bucket(reader.child("token_bucket"))
    return LocalRateLimit(
        stat_prefix=reader.text("stat_prefix"),
        max_tokens=max_tokens,
        tokens_per_second=rate,
        enabled=runtime_fraction(reader, "filter_enabled", 0),
        enforced=runtime_fraction(reader, "filter_enforced", 0),
        status=_status(reader.child("status")),
        request_ops=headers_to_add(reader, "request_headers_to_add_when_not_enforced"),
        response_ops=headers_to_add(reader, "response_headers_to_add"),
        tells_limits=reader.enum("enable_x_ratelimit_headers") == "DRAFT_VERSION_03",
        per_connection=reader.flag("local_rate_limit_per_downstream_connection"),
        resource_exhausted=reader.flag("rate_limited_as_resource_exhausted"),
    )


compile_route = compile


def _bucket(reader: Reader | None) -> tuple[int, float]:
    """The bucket's size and tokens a second."""
    if reader is None:
        return 0, 0.0
    interval = reader.seconds("fill_interval")
    if interval < _SHORTEST_FILL:
        reader.problem(f"must be at least {_SHORTEST_FILL:g}s", "fill_interval")
        interval = _SHORTEST_FILL
    return reader.number("max_tokens"), reader.number("tokens_per_fill", 1) / interval


def _status(reader: Reader | None) -> int:
    """A status that is no error counts as none."""
    code = reader.enum_number("code") if reader is not None else 0
    return code if code >= 400 else _TOO_MANY


FILTER: Final = FilterType(LocalRateLimit, LocalRateLimitFilter, compile, compile_route)
