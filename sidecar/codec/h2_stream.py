"""A stream of an HTTP/2 connection (RFC 9113 §5): how far each side is, its two windows, what waits to be sent.

What cannot go out yet, for the peer has no room or takes nothing, waits here; a stream with much waiting holds up whoever
fills it. Credit for what came in is given when it was passed on, and not while the other side is held up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sidecar.codec.h2_frames import FLOW_CONTROL_ERROR, LARGEST_WINDOW
from sidecar.http.headers import Headers

if TYPE_CHECKING:
    from sidecar.codec.h2_sending import Sending

# From how much on that waits in a stream whoever fills it is held up, and at how much it goes on.
HIGH_WATER: Final = 128 * 1024
LOW_WATER: Final = 32 * 1024
# Pieces smaller than this are put together where they wait.
_SMALL: Final = 1024


class StreamViolation(Exception):  # noqa: N818  # a violation is what it is
    """What ends one stream with a RST_STREAM of `code`; `detail` is Envoy's word for it."""

    def __init__(self, stream: H2Stream, code: int, detail: str) -> None:
        super().__init__(detail)
        self.stream = stream
        self.code = code
        self.detail = detail


class H2Stream:
    """Its session calls `took` and `add_window`; whose stream it is calls `send_head`, `send_data`, `send_trailers`,
    `abort`, `pause_reading` and `resume_reading`, and is told by the `on_…` methods, which subclasses fill."""

    def __init__(self, session: Sending, number: int) -> None:
        self.session = session
        self.number = number
        self.send_window = session.peer_window
        self.receive_window = session.own_window
        self.body_left = -1  # bytes that a content-length still announces
        self.local_done = False  # we have sent all of our half, or it waits here
        self.remote_done = False
        self.violated = False  # what came on it is no message
        self.closed = False  # neither side will hear of it again
        self.blocked = False
        self.enough = False  # once our half is sent nobody wants the rest of the peer's (§8.1)
        self.frame_head = b""  # of the DATA frame that was sent last
        self.frame_at = 0  # where it stands in the session's `out`, if it still does
        self.frame_size = 0
        self._waiting: deque[bytes] | None = None  # until something has to
        self._at = 0  # so much of the first piece is sent
        self._waiting_size = 0
        self._end_waits = False
        self._trailers: Headers = []
        self._paused = False
        self._credit = 0  # bytes passed on that the peer may send again
        self._withheld = 0  # … once reading goes on

    # ── what its owner is told ────────────────────────────────────────────────────────────────────────────────────────

    def on_body(self, data: bytes, end: bool) -> None:
        """A piece of the peer's body."""
        raise NotImplementedError

    def on_trailers(self, trailers: Headers) -> None:
        """The peer's trailers, which end its half."""
        raise NotImplementedError

    def on_reset(self, code: int, detail: str) -> None:
        """The stream is over before its time: by the peer's RST_STREAM, or by a violation of the peer's, which `detail`
        names."""
        raise NotImplementedError

    def on_lost(self, detail: str) -> None:
        """The stream is over with its connection; `detail` says why, where that was not the peer's to decide."""
        raise NotImplementedError

    def on_blocked(self) -> None:
        """Much waits to be sent."""
        raise NotImplementedError

    def on_ready(self) -> None:
        """There is room again."""
        raise NotImplementedError

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def send_head(self, fields: Headers, end: bool) -> None:
        """Pseudo-header fields, then others."""
        if self.closed:
            return
        self.session.send_block(self.number, fields, end)
        if end:
            self._local_end()

    def send_data(self, data: bytes, end: bool) -> None:
        if self.closed or self.local_done:
            return
        size = len(data)
        session = self.session
        if not self._waiting and size <= self.send_window and session.takes(size):
            self.send_window -= size
            session.send_data(self, data, end)
            if end:
                self._local_end()
            return
        if size:
            self._wait(data)
            self._waiting_size += size
        if end:
            self._end_waits = self.local_done = True
        session.pump(self)
        if self._waiting_size > HIGH_WATER and not self.blocked:
            self.blocked = True
            self.on_blocked()

    def _wait(self, data: bytes) -> None:
        waiting = self._waiting
        if waiting is None:
            self._waiting = deque((data,))
        elif waiting and len(waiting[-1]) + len(data) <= _SMALL:
            waiting[-1] += data
        else:
            waiting.append(data)

    def _next(self, room: int) -> bytes:
        """Takes of what waits as much as there is room for."""
        waiting = self._waiting
        if waiting is None:
            return b""
        parts: list[bytes] = []
        while waiting and room > 0:
            data, at = waiting[0], self._at
            if len(data) - at > room:
                self._at = at + room
                parts.append(data[at : at + room])
                break
            waiting.popleft()
            self._at = 0
            data = data[at:] if at else data
            parts.append(data)
            room -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send_trailers(self, trailers: Headers) -> None:
        """Ends our half."""
        if self.closed or self.local_done:
            return
        if self._waiting:
            self._trailers = trailers
            self._end_waits = self.local_done = True
            return
        self.session.send_block(self.number, trailers, True)
        self._local_end()

    def drain(self, most: int) -> int:
        """Sends of what waits as much as its window and `most` allow; how much that was."""
        sent = 0
        session = self.session
        while self._waiting and not self.closed:
            room = min(self.send_window, most - sent, session.peer_frame_size)
            if room <= 0:
                break
            data = self._next(room)
            size = len(data)
            sent += size
            self.send_window -= size
            self._waiting_size -= size
            last = self._end_waits and not self._waiting
            session.send_data(self, data, last and not self._trailers)
        if self._end_waits and not self._waiting and not self.closed:
            self._end_waits = False
            if self._trailers:
                session.send_block(self.number, self._trailers, True)
            elif not sent:
                session.send_data(self, b"", True)
            self._local_end()
        elif self.blocked and self._waiting_size <= LOW_WATER:
            self.blocked = False
            self.on_ready()
        return sent

    @property
    def waits_for_connection(self) -> bool:
        """Whether something waits that its own window does not hold back."""
        return bool(self._waiting) and self.send_window > 0

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        return self._waiting_size

    def add_window(self, increment: int) -> None:
        self.send_window += increment
        if self.send_window > LARGEST_WINDOW:
            raise StreamViolation(self, FLOW_CONTROL_ERROR, "http2.flow_control_error")

    def _local_end(self) -> None:
        self.local_done = True
        if self.remote_done:
            self._close()
        elif self.enough:
            self.session.not_wanted(self)

    def abort(self, code: int) -> None:
        """Ends the stream from our side, with a RST_STREAM; nothing more is heard of it."""
        if not self.closed:
            self.session.send_reset(self.number, code)
            self._close()

    def _close(self) -> None:
        self.closed = True
        self._waiting = None
        self._waiting_size = 0
        credit, self._withheld = self._withheld, 0
        self.session.forget(self, credit)

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def remote_end(self) -> None:
        """The peer's half is complete. What is told of it comes after: whoever is told may end ours."""
        self.remote_done = True
        if self.local_done and not self._end_waits:
            self._close()

    def end_by_peer(self) -> None:
        """The peer has reset the stream, or its connection is gone."""
        if not self.closed:
            self._close()

    def took(self, size: int) -> int:
        """`size` bytes are passed on; how many of them the connection's window gets back at once."""
        if self._paused:
            self._withheld += size
            return 0
        self._credit += size
        if self._credit >= self.session.own_window >> 1 and not self.remote_done:
            self._give_credit()
        return size

    def _give_credit(self) -> None:
        credit, self._credit = self._credit, 0
        self.receive_window += credit
        self.session.send_window_update(self.number, credit)

    def pause_reading(self) -> None:
        """What still comes is passed on, but the peer gets no credit for it."""
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        size, self._withheld = self._withheld, 0
        if size and not self.closed:
            self.session.give_credit(self.took(size))
