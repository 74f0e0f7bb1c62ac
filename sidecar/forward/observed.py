"""A request under observation: one that notes its moments, is logged while it is in progress, or may only last so long.

Where nobody asks for that, requests are plain `Stream`s and pay for none of it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from sidecar.forward.durations import Lifetime
from sidecar.forward.stream import Stream
from sidecar.http.streams import NO_TRAILERS, Trailers
from sidecar.telemetry.periodic import PeriodicLog

if TYPE_CHECKING:
    from sidecar.filters import Step
    from sidecar.forward.attempt import Attempt
    from sidecar.http.head import RequestHead, ResponseHead
    from sidecar.http.stream_context import StreamContext
    from sidecar.http.streams import Downstream, Upstream
    from sidecar.router.table import CompiledRoute


class ObservedStream(Stream):
    """The moments are `time.monotonic()` seconds, 0.0 when not reached; `telemetry.measures` reads them."""

    __slots__ = (
        "_begun",
        "answered_all",
        "answered_first",
        "received_all",
        "replied_all",
        "replied_first",
        "sent_all",
        "sent_first",
    )

    def __init__(
        self, downstream: Downstream, manager: StreamContext, head: RequestHead, length: int, now: float
    ) -> None:
        super().__init__(downstream, manager, head, length, now)
        self._begun = False
        self.received_all = self.sent_first = self.sent_all = self.answered_first = self.answered_all = 0.0
        self.replied_first = self.replied_all = 0.0

    # ── in progress ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        self._log_periodically()
        if self.request_complete:
            self.received_all = monotonic()
        super().start()

    def restart(self, body: list[bytes]) -> None:
        self._log_periodically()
        self.received_all = monotonic()
        super().restart(body)

    def _log_periodically(self) -> None:
        observers = self.manager.observers
        if observers.periodic is not None:
            PeriodicLog(self, observers.periodic, observers.interval, self.manager.active, lambda: self._done)

    def _run(self, steps: tuple[Step, ...], at: int) -> None:
        self._begin()
        super()._run(steps, at)

    def _act(self, route: CompiledRoute | None) -> None:
        self._begin()
        super()._act(route)

    def _begin(self) -> None:
        """The route is known, and nothing has been done about it."""
        if not self._begun:
            self._begun = True
            if self.manager.config.max_stream_duration:
                self._extended().lifetime = Lifetime.of(self)
            if (started := self.manager.observers.started) is not None:
                started(self, monotonic())

    def _begin_tunnel(self, status: int) -> None:
        super()._begin_tunnel(status)
        if (tunneled := self.manager.observers.tunneled) is not None:
            tunneled(self, monotonic())

    # ── moments ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if end and not self._tunneling:
            self.received_all = monotonic()
            if self.attempt is not None and self.attempt.upstream is not None:
                self.sent_all = self.received_all
        super().on_request_body(data, end, trailers)

    def on_connection(self, attempt: Attempt, upstream: Upstream) -> None:
        self.sent_first = monotonic()
        self.sent_all = self.sent_first if self.request_complete else 0.0
        super().on_connection(attempt, upstream)

    def on_response(
        self, attempt: Attempt, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers
    ) -> None:
        self.answered_first = monotonic()
        self._answered(end)
        super().on_response(attempt, head, length, body, end, trailers)

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        self._answered(end and not self._tunneling)
        super().on_response_body(data, end, trailers)

    def _answered(self, end: bool) -> None:
        if end:
            self.answered_all = monotonic()

    def _finish(self, *, cut: bool = False) -> None:
        if self.responding and not cut and not self._done:
            self.replied_all = monotonic()
        super()._finish(cut=cut)
