"""envoy.filters.http.buffer: a request goes on once it is complete; one that is too large is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.config.filter_model import BufferBody
from sidecar.config.model import Route
from sidecar.config.reader import Reader
from sidecar.filters import NO_STEPS, Decision, FilterContext, FilterType, Hold, Reply, Steps
from sidecar.http.exchange import Exchange

TOO_LARGE = Reply(413, b"Payload Too Large", "request_payload_too_large", headers=((b"connection", b"close"),))


class BufferFilter:
    """One connection manager's buffer filter."""

    def __init__(self, config: BufferBody, _context: FilterContext) -> None:
        self._config = config

    def bind(self, overrides: Sequence[BufferBody], _route: Route | None) -> Steps:
        limit = (overrides[0] if overrides else self._config).limit
        if limit is None:
            return NO_STEPS
        hold = Hold(limit, TOO_LARGE)

        def step(_exchange: Exchange) -> Decision:
            return hold

        return Steps((step,))


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def compile(reader: Reader) -> BufferBody:
    return BufferBody(reader.number("max_request_bytes"))


def compile_route(reader: Reader) -> BufferBody:
    """A BufferPerRoute."""
    disabled, own = reader.flag("disabled"), reader.child("buffer")
    return BufferBody(None) if disabled or own is None else compile(own)


FILTER: Final = FilterType(
    BufferBody,
    BufferFilter,
    compile,
    compile_route,
    route_type="envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
)
