"""What the HTTP filters are configured with (see `sidecar.config.model`; the fault filter's is there)."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.config.model import MILLION, NO_OPS, HeaderMatcher, HeaderMutation, HeaderOps, StringMatcher


@dataclass(frozen=True, slots=True)
class CorsFilterConfig:
    """envoy.filters.http.cors in the chain: its presence; policies come from the routes."""


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Of several levels, each text comes from the most specific one that has it, and so do the origins; None and empty
    mean that this level does not say. Chances are parts per million."""

    origins: tuple[StringMatcher, ...] = ()
    methods: bytes = b""
    headers: bytes = b""
    expose: bytes = b""
    max_age: bytes = b""
    credentials: bool | None = None
    private_network: bool | None = None
    forward_unmatched: bool | None = None
    enabled: int = MILLION
    shadow: int = 0


@dataclass(frozen=True, slots=True)
class GrpcWeb:
    """envoy.filters.http.grpc_web: its presence in the chain."""


@dataclass(frozen=True, slots=True)
class LocalRateLimit:
    """envoy.filters.http.local_ratelimit. `max_tokens` 0 means no bucket: nothing is limited. Chances are parts per
    million; `request_ops` are for requests over a limit that is not enforced, `response_ops` for refusals."""

    stat_prefix: str
    max_tokens: int = 0
    tokens_per_second: float = 0.0
    enabled: int = 0
    enforced: int = 0
    status: int = 429
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    tells_limits: bool = False  # x-ratelimit-… response headers
    per_connection: bool = False  # each downstream connection has a bucket of its own
    resource_exhausted: bool = False  # gRPC clients get 8, not 14


@dataclass(frozen=True, slots=True)
class HeaderMutations:
    """envoy.filters.http.header_mutation, in the chain or on a route."""

    request: tuple[HeaderMutation, ...] = ()
    response: tuple[HeaderMutation, ...] = ()
    specific_last: bool = False  # of routes' mutations those of the most specific level come last


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """envoy.filters.http.health_check: answers (or passes through, and remembers the answer for `cache` seconds)
    requests that all `headers` match. `minimum` is (cluster, percent of its hosts that must be healthy)."""

    passes: bool
    cache: float = 0.0
    headers: tuple[HeaderMatcher, ...] = ()
    minimum: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class BufferBody:
    """envoy.filters.http.buffer: `limit` None where a route disables it."""

    limit: int | None
