"""PINGs of ours: whether the peer is still there, whatever TCP thinks (`connection_keepalive`, Envoy's rules).

One goes out every `interval`, and on a connection to a host also ahead of a stream after `idle_interval` of silence. One is
out at a time; if nothing at all has come for `timeout` since it went, or since the last frame after it, the peer is gone.
"""

from __future__ import annotations

import asyncio
from random import random
from typing import TYPE_CHECKING, Final

from sidecar.codec.h2_session import Session

if TYPE_CHECKING:
    from sidecar.config.http2_model import Keepalive

_PING: Final = b"asyncmsh"


class Keepalives:
    """Of one connection, whose session they tell that its peer is gone (`on_silence`)."""

    __slots__ = ("_config", "_heard", "_loop", "_session", "_timer", "_waiting")

    def __init__(self, session: Session, config: Keepalive, loop: asyncio.AbstractEventLoop) -> None:
        self._session = session
        self._config = config
        self._loop = loop
        self._heard = loop.time()
        self._waiting = False  # for an answer
        self._timer: asyncio.TimerHandle | None = None
        self._schedule()

    def _schedule(self) -> None:
        """The next PING; connections that were made together do not ask together."""
        interval = self._config.interval
        if interval:
            self._timer = self._loop.call_later(interval * (1.0 + self._config.jitter * random()), self._ask)

    def _ask(self) -> None:
        if not self._waiting:
            self._waiting = True
            self.cancel()
            self._session.send_ping(_PING)
            self._timer = self._loop.call_later(self._config.timeout, self._look)

    def _look(self) -> None:
        left = self._heard + self._config.timeout - self._loop.time()
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._timer = None
            self._session.on_silence()

    def heard(self) -> None:
        """Something came. An answer may be stuck behind it."""
        self._heard = self._loop.time()

    def before_stream(self) -> None:
        """A stream is about to begin: a dead connection should not take long to be known for one."""
        idle = self._config.idle_interval
        if idle and self._loop.time() - self._heard >= idle:
            self._ask()

    def answered(self, data: bytes) -> None:
        """The peer has answered a PING; that it was ours its data say."""
        if self._waiting and data == _PING:
            self._waiting = False
            self.cancel()
            self._schedule()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
