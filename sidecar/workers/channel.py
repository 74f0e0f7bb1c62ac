"""Messages between the supervisor and a worker: pickled, with their length in front, over a Unix socket pair.

Only these two processes hold the ends; what is unpickled comes from ourselves.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!Q")


def encode(message: Any) -> bytes:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Channel:
    """One end. Messages arrive in the order in which they were sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        return cls(*await asyncio.open_connection(sock=sock))

    def send(self, message: Any) -> None:
        self.send_encoded(encode(message))

    def send_encoded(self, data: bytes) -> None:
        """What is for a worker that has died is lost: it is started anew with everything."""
        if not self._writer.is_closing():
            self._writer.write(data)

    async def receive(self) -> Any:
        """The next message; EOFError when the other end is gone."""
        try:
            (size,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return pickle.loads(await self._reader.readexactly(size))  # from our own process
        except (asyncio.IncompleteReadError, OSError) as error:
            raise EOFError from error

    async def flush(self) -> None:
        try:
            await self._writer.drain()
        except OSError as error:
            raise EOFError from error

    def close(self) -> None:
        self._writer.close()
