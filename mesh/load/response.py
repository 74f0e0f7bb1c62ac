"""Where a response ends: just enough of HTTP/1.1 to tell, for a client that throws bodies away. Pure."""

from __future__ import annotations

import re

MOST_HEAD = 65_536
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked[ \t]*\r\n", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*close", re.IGNORECASE)
CHUNK = re.compile(rb"[0-9a-fA-F]{1,15}")
LINE_END = b"\r\n"
HEAD_END = b"\r\n\r\n"


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1."""


class Response:
    """Fed with bytes until `done`. `status` is 0 and `head` empty before the head has come; `size` counts the body's
    bytes; `reusable` tells whether the connection may be asked again."""

    __slots__ = (
        "_buffer",
        "_chunked",
        "_left",
        "_no_body",
        "_to_end",
        "_trailer",
        "done",
        "head",
        "reusable",
        "size",
        "status",
    )

    def __init__(self, no_body: bool = False) -> None:
        self.status = 0
        self.size = 0
        self.head = b""
        self.done = False
        self.reusable = True
        self._no_body = no_body
        self._buffer = b""
        self._left = 0  # of a body or a chunk with its line end
        self._chunked = False
        self._trailer = False
        self._to_end = False

    def feed(self, data: bytes) -> None:
        """ProtocolError for what is no response. Bytes after the end make the connection unusable."""
        if not self.status:
            data = self._buffer + data if self._buffer else data
            rest = self._read_head(data)
            if rest is None:
                return
            data = rest
        if self._chunked:
            self._read_chunks(data)
        elif self._to_end:
            self.size += len(data)
        else:
            self._read_fixed(data)

    def end(self) -> bool:
        """The peer has closed; whether the response is whole."""
        if self._to_end and self.status:
            self.done, self.reusable = True, False
        return self.done

    def _read_head(self, data: bytes) -> bytes | None:
        """What follows the final head, or None while it is not there."""
        while True:
            end = data.find(HEAD_END)
            if end < 0:
                if len(data) > MOST_HEAD or not b"HTTP/1.".startswith(data[:7]):
                    raise ProtocolError("no HTTP/1.1 response")
                self._buffer = data
                return None
            head = data[: end + 2]
            if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
                raise ProtocolError("no HTTP/1.1 response")
            status = int(head[9:12])
            data = data[end + 4 :]
            if status >= 200:
                self._buffer = b""
                self._set_framing(status, head)
                return data

    def _set_framing(self, status: int, head: bytes) -> None:
        self.status, self.head = status, head
        if CLOSE.search(head) or head.startswith(b"HTTP/1.0"):
            self.reusable = False
        if self._no_body or status in (204, 304):
            return
        if CHUNKED.search(head):
            self._chunked = True
        elif found := LENGTH.search(head):
            self._left = int(found[1])
        else:
            self._to_end = True

    def _read_fixed(self, data: bytes) -> None:
        taken = min(len(data), self._left)
        self.size += taken
        self._left -= taken
        if not self._left:
            self._finish(len(data) - taken)

    def _read_chunks(self, data: bytes) -> None:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        position = 0
        while not self.done:
            if self._left:
                taken = min(self._left, len(data) - position)
                self._left -= taken
                position += taken
                if self._left:
                    return
            end = data.find(LINE_END, position)
            if end < 0:
                if len(data) - position > MOST_HEAD:
                    raise ProtocolError("a chunk's line without an end")
                self._buffer = data[position:]
                return
            line = data[position:end]
            position = end + 2
            if self._trailer:
                if not line:
                    self._finish(len(data) - position)
                continue
            found = CHUNK.match(line)
            if found is None:
                raise ProtocolError("no chunk size")
            size = int(found[0], 16)
            self.size += size
            self._trailer = size == 0
            self._left = size + 2 if size else 0

    def _finish(self, surplus: int) -> None:
        self.done = True
        if surplus:
            self.reusable = False
