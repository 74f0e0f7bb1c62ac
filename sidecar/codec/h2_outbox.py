"""Connections that have something to send: each is written to once for all that one read has touched.

A read of one connection makes frames for many streams, and for the connections of their other sides. While it lasts
they are only noted; when it is over they are flushed. What is sent at other times is flushed at the end of the loop's turn.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sidecar.http.connections import Transport

# Bodies that come in pieces of this size are not put together first: gathering them is the kernel's job then.
_LARGE: Final = 4096


class Outbox:
    """Of one event loop. `begin` and `end` frame a read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._touched: list[Any] = []  # with a `flush`
        self._reading = False
        self._scheduled = False

    def touch(self, connection: Any) -> None:
        """The connection has something to send, and had nothing before."""
        self._touched.append(connection)
        if not self._reading and not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush)

    def begin(self) -> None:
        self._reading = True

    def end(self) -> None:
        self._reading = False
        self._flush()

    def _flush(self) -> None:
        self._scheduled = False
        touched = self._touched
        while touched:
            self._touched = []
            for connection in touched:
                self._flush_one(connection)
            touched = self._touched

    def _flush_one(self, connection: Any) -> None:
        """Whatever is wrong with one connection, the others are written to."""
        try:
            connection.flush()
        except Exception as error:
            self.loop.call_exception_handler(
                {"message": "an HTTP/2 connection could not be written to", "exception": error}
            )


def write_all(transport: Transport, out: list[bytes]) -> int:
    """Writes what has collected, which is not empty; how many bytes that was."""
    if len(out[-1]) < _LARGE:
        data = b"".join(out)
        out.clear()
        transport.write(data)
        return len(data)
    pieces = out.copy()
    out.clear()
    size = 0
    for piece in pieces:
        size += len(piece)
    transport.writelines(pieces)
    return size


_current: list[Outbox] = []


def outbox(loop: asyncio.AbstractEventLoop) -> Outbox:
    """The loop's; a process has one loop, a test another one each time."""
    if not _current or _current[0].loop is not loop:
        _current[:] = [Outbox(loop)]
    return _current[0]
