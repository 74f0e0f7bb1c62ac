"""A request that may only last so long, whatever is going on: max_stream_duration of its route or connection manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.forward.observed import OBSERVED_STATE, ObservedStream
from sidecar.http.headers import put
from sidecar.http.local_reply import is_grpc
from sidecar.router.durations import limit, rendered

if TYPE_CHECKING:
    from sidecar.http.head import RequestHead
    from sidecar.http.stream_context import StreamContext
    from sidecar.http.streams import Downstream

TOO_LONG: Final = b"downstream duration timeout"
BOUNDED_STATE: Final = (*OBSERVED_STATE, "_lifetime")
_DEADLINE_EXCEEDED: Final = 4  # gRPC's


class Lifetime:
    """The end of a request's time, watched like any deadline; `stream` learns of it."""

    __slots__ = ("deadline", "stream")

    def __init__(self, stream: BoundedStream, deadline: float) -> None:
        self.stream = stream
        self.deadline = deadline

    def on_deadline(self, now: float) -> None:
        self.stream.on_too_long()


class BoundedStream(ObservedStream):
    """Its time begins with the request; how much it is, is known with the route."""

    __slots__ = ("_lifetime",)

    def __init__(
        self, downstream: Downstream, manager: StreamContext, head: RequestHead, length: int, now: float
    ) -> None:
        super().__init__(downstream, manager, head, length, now)
        self._lifetime: Lifetime | None = None

    def _begin(self) -> None:
        if not self._begun:
            self._bound()
        super()._begin()

    def _bound(self) -> None:
        extras = self.route.extras if self.route is not None else None
        of_route = extras.duration if extras is not None else None
        seconds = limit(of_route, self.manager.config.max_stream_duration, self.header(b"grpc-timeout"))
        if seconds is None:
            return
        if is_grpc(self.indexed_headers.get(b"content-type")):
            put(self.headers, b"grpc-timeout", rendered(seconds))
        self._lifetime = Lifetime(self, self.started + seconds)
        self.manager.active.add(self._lifetime)

    def on_too_long(self) -> None:
        self.manager.stats.downstream_rq_max_duration_reached.value += 1
        if self._permit is not None and self.request_complete:
            self._give_back("timed out")
        self._leave_upstream()
        details = "max_duration_timeout"
        if self.responding:
            self.details = details
            self._finish(cut=True)
        elif self.request_complete:
            self.reply(504, TOO_LONG, details, 0, grpc_status=_DEADLINE_EXCEEDED)
        else:
            self.reply(408, TOO_LONG, details, 0, grpc_status=_DEADLINE_EXCEEDED, close=True)

    def _finish(self, *, cut: bool = False) -> None:
        if self._lifetime is not None:
            self.manager.active.remove(self._lifetime)
            self._lifetime = None
        super()._finish(cut=cut)
