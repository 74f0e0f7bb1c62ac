"""What the HTTP filters are configured with (see `sidecar.config.model`; the fault filter's is there)."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.config.model import MILLION, StringMatcher


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
