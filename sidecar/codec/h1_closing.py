"""How a downstream connection ends: with a response, by a drain or a limit, slowly or at once.

Whoever closes has to see to it that the client gets what was written: a connection that has ended is watched until its
bytes are out, and one whose client may still be sending is read on for a while.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.codec.h1_parser import RequestParser
from sidecar.http.streams import ResetReason
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from sidecar.http.connections import ServerCallbacks, Transport
    from sidecar.http.streams import RequestHandler

# What bytes that arrive are to a connection: of a head, of a body of known length, of a chunked one, ahead of their turn, a
# tunnel's, too late.
HEAD: Final = 0
BODY: Final = 1
CHUNKS: Final = 2
WAIT: Final = 3
TUNNEL: Final = 4
CLOSING: Final = 5

# What a connection makes of a drain: nothing, asks at each response, has announced its end.
_STAYS: Final = 0
_MAY_LEAVE: Final = 1
_LEAVES: Final = 2
_ENDS: Final = 3


class ClosableConnection:
    """The part of a `ServerConnection` that ends it, and the state that this depends on. Limits end it by `on_deadline`, the
    connection manager by `may_leave`, `end_soon` and `cut_off`, the request in progress by `end_after_this` and `reset`."""

    def __init__(self, manager: ServerCallbacks) -> None:
        self.manager = manager
        self.config = manager.config
        self.stats = manager.stats
        self.transport: Transport = None  # type: ignore[assignment]  # until it is made
        self.deadline = 0.0
        self.http2 = False
        self.ended_here = False  # we closed it, not the client
        self._state = HEAD
        self._buffer = b""
        self._left = 0  # bytes: of the body to come, when closing of what has to go out
        self._handler: RequestHandler | None = None  # of the request in progress
        self._request_done = True  # the body of the current request has been read to its end
        self._close_after = False
        self._close_slowly = False
        self._draining = _STAYS
        self._drain_at = NEVER  # ends then, when its end was announced
        self._requests = 0
        self._opened = 0.0
        self._idle_since = 0.0
        self._paused = False
        self._blocked = False  # the client does not take what we write
        self._gone = False
        self._timer: asyncio.TimerHandle | None = None  # of a head that is not complete, or of the delayed close
        self._parser = self._new_parser()

    def _new_parser(self) -> RequestParser:
        return RequestParser()

    # ── it is lost ────────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_lost(self, error: Exception | None) -> None:
        if not self._gone:
            self._lost("downstream_remote_disconnect")

    def _lost(self, detail: str) -> None:
        self._gone = True
        state, self._state = self._state, CLOSING
        self._cancel_timer()
        self._parser.forget()
        handler, self._handler = self._handler, None
        if handler is None and self._buffer and state == HEAD:  # in the middle of a head
            handler = self._refused()
        if handler is not None:
            handler.on_client_gone(detail)
        self.manager.closed(self, monotonic() - self._opened, in_use=handler is not None)

    def _refused(self) -> RequestHandler:
        """A handler for what is not a request."""
        raise NotImplementedError

    def cut_off(self, detail: str) -> None:
        """Ends the connection whatever is in flight; `detail` is for the log."""
        self.ended_here = True
        self.transport.abort()
        self._lost(detail)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_deadline(self, now: float) -> None:
        """Looked at when the limit of an idle or old connection may have come."""
        config = self.config
        if self._state == CLOSING:
            self._watch_flush(now)
            return
        if now >= self._drain_at:
            self._end_of_drain(now)
            return
        if self._draining >= _LEAVES or self._close_after:
            pass  # its end is near anyway
        elif config.max_connection_duration and now - self._opened >= config.max_connection_duration:
            self.stats.downstream_cx_max_duration_reached.value += 1
            if not self._requests and not self._buffer:
                self._close()  # nobody has anything to lose
                return
            if config.ends_with_response:
                self._draining = _ENDS
            else:
                self._announce_end(now)
        elif self._handler is not None or self._buffer:
            pass  # not idle
        elif config.idle_timeout and now - self._idle_since >= config.idle_timeout:
            self.stats.downstream_cx_idle_timeout.value += 1
            self._announce_end(now)
        self.deadline = min(self.manager.next_look(now, self._opened, self._idle_since), self._drain_at)

    def _end_of_drain(self, now: float) -> None:
        """The announced end has come: of an idle connection at once, else with the response in flight."""
        self.deadline = now  # looked at again, when a request is in flight
        if self._handler is not None:
            self._close_after = True
        elif self._blocked:
            self._close()
        elif not self._buffer:
            self.ended_here = True
            self._close_later()

    # ── announced ends ────────────────────────────────────────────────────────────────────────────────────────────────

    def may_leave(self, may: bool) -> None:
        """Whether the connection manager drains; one that announced its end does not take it back."""
        if self._draining < _LEAVES:
            self._draining = _MAY_LEAVE if may else _STAYS

    def _announce_end(self, now: float) -> None:
        """From here on every response says `connection: close`. What the client has sent without knowing is still
        answered: the connection ends `drain_timeout` later."""
        self._draining = _LEAVES
        self._drain_at = now + self.config.drain_timeout
        self.deadline = min(self.deadline, self._drain_at)

    def _leaves(self) -> bool:
        """Whether a drain or an overload ends this connection: drawn anew for each response, until one announces it."""
        if self._draining == _MAY_LEAVE and not self._close_after:
            if self.manager.ends_keep_alive():
                self._close_after = True
            elif self.manager.gives_up():
                self.stats.downstream_cx_drain_close.value += 1
                self._announce_end(monotonic())
        if self._draining == _ENDS:  # with this very response
            self._close_after = True
        return self._close_after or self._draining >= _LEAVES

    @property
    def answer_is_last(self) -> bool:
        """Whether it is known by now that the connection ends with the answer in progress."""
        return self._close_after or not self._request_done or self._draining >= _LEAVES

    def end_after_this(self) -> None:
        """The answer about to be sent is the connection's last; the client gets time to read it."""
        self._close_after = self._close_slowly = True

    # ── closing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def end_soon(self) -> None:
        """Ends the connection as soon as nothing is in flight."""
        self._close_after = True
        if self._handler is None and self._state in (HEAD, WAIT):
            self._close()

    def reset(self, reason: ResetReason) -> None:
        """The response cannot be completed: what was written goes out, then the connection ends."""
        self._handler = None
        self._close()

    def _close(self) -> None:
        """Ends the connection once the client has what was written; one that takes nothing is cut off."""
        self.ended_here = True
        self._state = CLOSING
        self._left = self.transport.get_write_buffer_size()
        self._look_again(monotonic())
        self.transport.close()

    def _watch_flush(self, now: float) -> None:
        left = self.transport.get_write_buffer_size()
        if left and left == self._left:
            self.stats.downstream_cx_delayed_close_timeout.value += 1
            self.transport.abort()
        self._left = left
        self._look_again(now)

    def _look_again(self, now: float) -> None:
        self.deadline = now + (self.config.delayed_close_timeout or NEVER)

    def _close_later(self) -> None:
        """Lets the client read the answer before the FIN: what it still sends is dropped meanwhile, for a RST on unread
        bytes would take the answer with it."""
        self._state = CLOSING
        self._buffer = b""
        self._left = 0
        self.resume_reading()
        delay = self.config.delayed_close_timeout
        self._timer = self.manager.loop.call_later(delay, self._delay_over)

    def _delay_over(self) -> None:
        self.stats.downstream_cx_delayed_close_timeout.value += 1
        self._close()

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def pause_reading(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
