"""HTTP/2 frame by frame over a socket, for tests: what is sent is what is said, well-formed or not; `hpack` reads and writes
the header blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

import hpack

from tests.harness.client import Fields

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
MAX_LIST = 1 << 22

End = Literal["open", "fin", "rst"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it goes over the wire."""

    kind: int
    flags: int = 0
    stream: int = 0
    payload: bytes = b""

    def __bytes__(self) -> bytes:
        head = len(self.payload).to_bytes(3) + bytes((self.kind, self.flags))
        return head + self.stream.to_bytes(4) + self.payload

    @property
    def code(self) -> int:
        """Of RST_STREAM and GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8])


def window_update(stream: int, increment: int) -> Frame:
    return Frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4))


def settings(values: dict[int, int]) -> Frame:
    return Frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in values.items()))


@dataclass(slots=True)
class Message:
    """What came on one stream."""

    stream: int
    headers: Fields = field(default_factory=list)  # pseudo-header fields among them
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[Fields] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def status(self) -> str:
        return self.header(":status") or ""

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        return ",".join(values) if values else None

    def trailer(self, name: str) -> str | None:
        values = [value for key, value in self.trailers if key == name]
        return ",".join(values) if values else None


class Wire:
    """One end of a connection. It acknowledges SETTINGS and PING and, unless `credit` is off, gives back what it read."""

    def __init__(self, *, credit: bool = True, answers_pings: bool = True) -> None:
        self.credit = credit
        self.answers_pings = answers_pings
        self.pinged = False
        self.frames: list[Frame] = []  # everything received
        self.messages: dict[int, Message] = {}
        self.goaway: Frame | None = None
        self.end: End = "open"
        self.pongs = 0
        self.settings: dict[int, int] = {}
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder(max_header_list_size=MAX_LIST)
        self._together: list[bytes] | None = None
        self._block = b""
        self._block_ends = False

    def send(self, *parts: Frame | bytes) -> None:
        """A broken connection is no error here: how it ended is what `end` tells."""
        data = b"".join(bytes(part) for part in parts)
        if self._together is not None:
            self._together.append(data)
        elif not self._writer.is_closing():
            self._writer.write(data)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is sent within goes out in one write."""
        self._together = []
        yield
        together, self._together = self._together, None
        self.send(*together)

    def block(self, fields: Sequence[tuple[str, str]]) -> bytes:
        """A header block of the connection; latin-1, so that any byte can be said."""
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        return bytes(self._encoder.encode(pairs, huffman=False))

    def headers(
        self, stream: int, fields: Sequence[tuple[str, str]], end: bool = True, flags: int = END_HEADERS
    ) -> None:
        """In as many frames as it needs."""
        block = self.block(fields)
        flags |= END_STREAM if end else 0
        if len(block) <= 16384:
            self.send(Frame(HEADERS, flags, stream, block))
            return
        pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        self.send(Frame(HEADERS, flags & ~END_HEADERS, stream, pieces[0]))
        for number, piece in enumerate(pieces[1:], 2):
            self.send(Frame(CONTINUATION, END_HEADERS if number == len(pieces) else 0, stream, piece))

    def data(self, stream: int, data: bytes, end: bool = False) -> None:
        pieces = [data[at : at + 16384] for at in range(0, len(data), 16384)] or [b""]
        for number, piece in enumerate(pieces, 1):
            self.send(Frame(DATA, END_STREAM if end and number == len(pieces) else 0, stream, piece))

    async def frame(self) -> Frame | None:
        """The next frame, None at the connection's end; how that came is in `end`."""
        try:
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3]))
        except asyncio.IncompleteReadError:
            self.end = "fin"
            return None
        except ConnectionError:
            self.end = "rst"
            return None
        frame = Frame(head[3], head[4], int.from_bytes(head[5:9]) & 0x7FFFFFFF, payload)
        self.frames.append(frame)
        self._take(frame)
        return frame

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case 4 if not frame.flags & ACK:
                for at in range(0, len(frame.payload), 6):
                    key, value = frame.payload[at : at + 2], frame.payload[at + 2 : at + 6]
                    self.settings[int.from_bytes(key)] = int.from_bytes(value)
                self.send(Frame(SETTINGS, ACK))
            case 6 if not frame.flags & ACK:
                self.pinged = True
                if self.answers_pings:
                    self.send(Frame(PING, ACK, 0, frame.payload))
            case 6:
                self.pongs += 1
            case 7:
                self.goaway = frame
            case 0:
                self._take_data(frame)
            case 3:
                self._message(frame.stream).reset = frame.code
            case 1 | 9:
                self._take_block(frame)

    def _message(self, stream: int) -> Message:
        return self.messages.setdefault(stream, Message(stream))

    def _take_data(self, frame: Frame) -> None:
        message = self._message(frame.stream)
        payload = frame.payload
        if frame.flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        message.body += payload
        message.ended = bool(frame.flags & END_STREAM)
        if self.credit and frame.payload:
            self.send(window_update(0, len(frame.payload)))
            if not message.ended:
                self.send(window_update(frame.stream, len(frame.payload)))

    def _take_block(self, frame: Frame) -> None:
        if frame.kind == HEADERS:
            self._block, self._block_ends = b"", bool(frame.flags & END_STREAM)
        self._block += frame.payload
        if not frame.flags & END_HEADERS:
            return
        found = self._decoder.decode(self._block, raw=True)
        fields = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in found]
        message = self._message(frame.stream)
        status = next((value for name, value in fields if name == ":status"), "")
        if status.startswith("1"):
            message.interim.append(fields)
        elif message.headers:
            message.trailers = fields
        else:
            message.headers = fields
        message.ended = self._block_ends

    async def until_over(self, *streams: int, seconds: float = 8.0) -> None:
        """Reads until all of these streams are over, or the connection is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(stream in self.messages and self.messages[stream].over for stream in streams):
                    if await self.frame() is None:
                        return

    async def until_quiet(self, seconds: float) -> None:
        """Reads until nothing has come for so long."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(seconds):
                    if await self.frame() is None:
                        return

    async def until_end(self, seconds: float = 8.0) -> None:
        """Reads until the connection is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.frame() is not None:
                    pass


class H2Client(Wire):
    """A client's end: `async with H2Client(port) as client:` connects and says its SETTINGS."""

    def __init__(
        self,
        port: int,
        address: str = "127.0.0.1",
        *,
        credit: bool = True,
        answers_pings: bool = True,
        settings: dict[int, int] | None = None,
        preface: bytes = PREFACE,
    ) -> None:
        super().__init__(credit=credit, answers_pings=answers_pings)
        self._address, self._port = address, port
        self._settings = settings or {}
        self._preface = preface

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._address, self._port)
        host, port = self._writer.get_extra_info("sockname")[:2]
        self.local = f"{host}:{port}"
        if self._preface:
            self.send(self._preface, settings(self._settings))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def get(self, path: str = "/", host: str = "a", *fields: tuple[str, str], stream: int = 1) -> Message:
        """A GET and what comes for it."""
        self.headers(stream, request_fields(path, host, *fields))
        await self.until_over(stream)
        return self.messages.get(stream, Message(stream))


def request_fields(path: str = "/", host: str = "a", *fields: tuple[str, str], method: str = "GET") -> Fields:
    return [(":method", method), (":scheme", "http"), (":authority", host), (":path", path), *fields]


def grpc_fields(path: str = "/pkg.Service/Method", host: str = "a", *fields: tuple[str, str]) -> Fields:
    more = [("te", "trailers"), ("content-type", "application/grpc"), *fields]
    return request_fields(path, host, *more, method="POST")
