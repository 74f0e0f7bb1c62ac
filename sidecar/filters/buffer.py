"""envoy.filters.http.buffer: a request goes on once it is complete; one that is too large is refused."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.config.filter_model import BufferBody
from sidecar.config.model import Route
from sidecar.filters import NO_STEPS, Decision, FilterContext, Hold, Reply, Steps
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
