"""An HTTP/2 session with its socket: what the connections of both sides have in common. An asyncio.Protocol, though not by
inheritance."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sidecar.codec.h2_keepalive import Keepalives
from sidecar.codec.h2_outbox import outbox, write_all
from sidecar.codec.h2_session import Session

if TYPE_CHECKING:
    from sidecar.codec.hpack_decoder import Field
    from sidecar.config.http2_model import Http2
    from sidecar.http.connections import Transport
    from sidecar.telemetry.cells import Counter
    from sidecar.telemetry.http2_stats import Http2Stats


class Connection(Session):
    """`received` and `sent` count its bytes."""

    def __init__(
        self,
        options: Http2,
        http2_stats: Http2Stats,
        static: list[Field],
        loop: asyncio.AbstractEventLoop,
        received: Counter,
        sent: Counter,
        *,
        server: bool,
        max_head: int,
    ) -> None:
        super().__init__(options, http2_stats, static, server=server, max_head=max_head)
        self.transport: Transport = None  # type: ignore[assignment]  # until it is made
        self.lost = False
        self.ended_here = False
        self.deadline = 0.0
        self._loop = loop
        self._outbox = outbox(loop)
        self._closing = False
        self._idle_since = 0.0
        self._keepalives: Keepalives | None = None
        self._received = received
        self._sent = sent

    def _keep_alive(self) -> None:
        """From now on the peer is asked whether it is there, if that is configured."""
        if self.options.keepalive.timeout:
            self._keepalives = Keepalives(self, self.options.keepalive, self._loop)

    def _set_lost(self) -> None:
        """The socket is gone, or as good as gone."""
        self.lost = self._closing = True
        if self._keepalives is not None:
            self._keepalives.cancel()

    def _read(self, data: bytes) -> None:
        """Takes in what came; what is to be sent in consequence goes out at the end, by whichever connection."""
        box = self._outbox
        box.begin()
        try:
            self.receive(data)
        finally:
            box.end()

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        self.floods.flushed()
        self.drain()

    def touch(self) -> None:
        self._outbox.touch(self)

    def flush(self) -> None:
        """Writes what has collected."""
        out = self.out
        if not out or self.lost:
            return
        self._sent.value += write_all(self.transport, out)
        if not self.blocked and not self.transport.get_write_buffer_size():
            self.floods.flushed()
        elif not self._closing:
            self.judge_unsent()
