"""An upstream of our own that speaks HTTP/2 only, and answers as `upstream` does; `/hold` it never answers.

nginx answers an upload before it has read it; this one reads it to its end. `python -m tests.bench.h2_upstream PORT`.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from sidecar.codec.h2_frames import PREFACE
from sidecar.codec.hpack_decoder import Decoder, static_fields
from tests.bench.cases import KIB, MIB
from tests.bench.h2_wire import Frames, literal

SIZES = {b"/64k": 64 * KIB, b"/1m": MIB, b"/sink": 0}
OTHERWISE = 66
_STATUS_200 = b"\x88"
_CONTENT_TYPE = literal(b"content-type", b"text/plain")


def _judge(name: bytes, value: bytes) -> int:
    return 0


_STATIC = static_fields(_judge)


class Server(Frames):
    """Answers each request once all of it is there."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = Decoder(_STATIC, _judge, max_list=64 * KIB)
        self._paths: dict[int, bytes] = {}
        self._preface = len(PREFACE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not transport.get_extra_info("peername")[0].startswith("127."):
            self.transport.abort()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._preface:
            skipped = min(self._preface, len(data))
            self._preface -= skipped
            data = data[skipped:]
        super().data_received(data)

    def on_block(self, stream: int, block: bytes, end: bool) -> None:
        fields = dict(field.pair for field in self._decoder.decode(block))
        self._paths[stream] = fields.get(b":path", b"").partition(b"?")[0]
        if end:
            self._answer(stream)

    def on_data(self, stream: int, end: bool) -> None:
        if end:
            self._answer(stream)

    def on_reset(self, stream: int) -> None:
        self._paths.pop(stream, None)

    def _answer(self, stream: int) -> None:
        path = self._paths[stream]
        if path == b"/hold":
            return
        del self._paths[stream]
        size = SIZES.get(path, OTHERWISE)
        length = literal(b"content-length", b"%d" % size)
        self.send(stream, _STATUS_200 + _CONTENT_TYPE + length, size)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Server, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
