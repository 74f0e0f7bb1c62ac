"""A request that is refused because the process has too much to do (`sidecar.process.overload`)."""

from __future__ import annotations

from typing import Final

from sidecar.filters import Reply
from sidecar.forward.stream import Stream

_OVERLOADED: Final = Reply(503, b"envoy overloaded", "overload")


class OverloadedStream(Stream):
    """Made in the place of a connection manager's usual kind; only what is not HTTP gets its usual answer."""

    __slots__ = ()

    def start(self) -> None:
        manager = self.manager
        stats = manager.stats
        stats.begin(self.protocol)
        refusal = manager.heads.refuse_head(self)
        if refusal is None:
            stats.downstream_rq_overload_close.value += 1
            refusal = _OVERLOADED
        self._answer(refusal)
