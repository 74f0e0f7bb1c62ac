"""A request under observation: one that notes its moments, is logged while it is in progress, or goes on with its header
names as they were spelled.

Where nobody asks for that, requests are plain `Stream`s and pay for none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sidecar.codec.heads import RequestParser, ResponseParser
from sidecar.codec.key_case import PRESERVE_OR_PROPER, as_sent, proper_case, spell
from sidecar.config.model import Hcm
from sidecar.forward.stream import Stream
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.telemetry.periodic import PeriodicLog

if TYPE_CHECKING:
    from sidecar.codec.h1_client import ClientConnection
    from sidecar.filters import Step
    from sidecar.http.connection_manager import ConnectionManager
    from sidecar.router.table import CompiledRoute

Account = Callable[[Exchange, float], None]


OBSERVED_STATE: Final = (
    "_begun",
    "answered_all",
    "answered_first",
    "received_all",
    "replied_all",
    "replied_first",
    "response_trailers",
    "sent_all",
    "sent_first",
)


class Observers:
    """What logs requests in progress: when one begins, every `interval` seconds, when its tunnel stands; None: nothing."""

    def __init__(self, config: Hcm, interim: Callable[[Hcm, str], Account]) -> None:
        self.interval = config.log_interval
        self.started = interim(config, "DownstreamStart") if config.log_starts else None
        self.periodic = interim(config, "DownstreamPeriodic") if config.log_interval else None
        self.tunneled = interim(config, "DownstreamTunnelSuccessfullyEstablished") if config.log_tunnels else None


class ObservedStream(Stream):
    """The moments are `time.monotonic()` seconds, 0.0 when not reached; `telemetry.measures` reads them."""

    __slots__ = OBSERVED_STATE

    def __init__(
        self, downstream: Any, manager: ConnectionManager, parser: RequestParser, length: int, now: float
    ) -> None:
        super().__init__(downstream, manager, parser, length, now)
        self._begun = False
        self.received_all = self.sent_first = self.sent_all = self.answered_first = self.answered_all = 0.0
        self.replied_first = self.replied_all = 0.0
        self.response_trailers: Headers = []

    # ── in progress ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        self._log_periodically()
        if self.request_complete:
            self.received_all = monotonic()
        super().start()

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
            if (started := self.manager.observers.started) is not None:
                started(self, monotonic())

    def _begin_tunnel(self, status: int) -> None:
        super()._begin_tunnel(status)
        if (tunneled := self.manager.observers.tunneled) is not None:
            tunneled(self, monotonic())

    # ── moments ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_request_body(self, data: bytes, end: bool) -> None:
        if end and not self._tunneling:
            self.received_all = monotonic()
            if self.connection is not None:
                self.sent_all = self.received_all
        super().on_request_body(data, end)

    def on_connection(self, connection: ClientConnection) -> None:
        self.sent_first = monotonic()
        self.sent_all = self.sent_first if self.request_complete else 0.0
        super().on_connection(connection)

    def _head(self, first: bool) -> bytes:
        """With the header names that the client wrote, where they are to go on."""
        head, downstream = super()._head(first), self.downstream
        if not downstream.remembers:
            return head
        rest = proper_case if self.manager.config.header_spelling == PRESERVE_OR_PROPER else None
        return spell(head, as_sent(downstream.names, rest))

    def on_response(
        self, head: ResponseParser, length: int, body: bytes, end: bool, trailers: Sequence[bytes] = ()
    ) -> None:
        self.answered_first = monotonic()
        self._answered(end, trailers)
        super().on_response(head, length, body, end, trailers)

    def on_response_body(self, data: bytes, end: bool, trailers: Sequence[bytes] = ()) -> None:
        self._answered(end and not self._tunneling, trailers)
        super().on_response_body(data, end, trailers)

    def _answered(self, end: bool, trailers: Sequence[bytes]) -> None:
        if end:
            self.answered_all = monotonic()
            if self.cluster.config.enable_trailers:
                self.response_trailers = [_field(line) for line in trailers]

    def _finish(self, *, cut: bool = False) -> None:
        if self.responding and not cut and not self._done:
            self.replied_all = monotonic()
        super()._finish(cut=cut)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()
