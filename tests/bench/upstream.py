"""The upstream of the bench: nginx where it is to be had, else a Protocol of our own on uvloop.

Both answer anything with 66 bytes, `/64k` and `/1m` with so much, `/sink` with nothing, `/headers-N` with N headers, on a
keep-alive connection. They listen on all of 127.0.0.0/8: a cluster of 10,000 endpoints has as many addresses.
`python -m tests.bench.upstream PORT` runs ours.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from tests.bench.cases import KIB, MIB

BODY = b"x" * 66
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
ANSWERS = {b"/64k": HEAD % (64 * KIB) + b"x" * 64 * KIB, b"/1m": HEAD % MIB + b"x" * MIB, b"/sink": HEAD % 0}
MANY = (8, 100)
for _count in MANY:
    _headers = b"".join(b"x-answer-%d: value of header %d\r\n" % (number, number) for number in range(_count - 2))
    ANSWERS[b"/headers-%d" % _count] = HEAD.replace(b"\r\n\r\n", b"\r\n" + _headers + b"\r\n") % len(BODY) + BODY
OTHERWISE = HEAD % len(BODY) + BODY


def nginx_command(binary: str, port: int, folder: Path, *, http2: bool = False) -> list[str]:
    """An nginx of one process that serves as the upstream, over one protocol."""
    for name, size in (("64k", 64 * KIB), ("1m", MIB)):
        (folder / name).write_bytes(b"x" * size)
    path = folder / f"upstream-{port}.conf"
    many = " ".join(_many_headers(count) for count in MANY)
    path.write_text(
        f"""
        daemon off; master_process off; pid {folder}/upstream-{port}.pid; error_log {folder}/upstream.err;
        events {{ worker_connections 12000; }}
        http {{
          access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; client_max_body_size 0;
          proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
          client_body_buffer_size 2m; http2_max_concurrent_streams 1024; default_type text/plain; sendfile on;
          server {{
            listen {port} {"http2" if http2 else ""} backlog=4096; root {folder}; allow 127.0.0.0/8; deny all;
            location = /64k {{ }} location = /1m {{ }} location = /sink {{ return 200 ''; }} {many}
            location / {{ return 200 '{BODY.decode()}'; }}
          }}
        }}"""
    )
    return [binary, "-c", str(path), "-e", str(folder / "upstream.err")]


def _many_headers(count: int) -> str:
    """Besides them nginx sends five of its own."""
    added = " ".join(f"add_header x-answer-{number} 'value of header {number}';" for number in range(count - 5))
    return f"location = /headers-{count} {{ {added} return 200 '{BODY.decode()}'; }}"


class Answerer(asyncio.Protocol):
    """Answers each request whole; of a body it only counts the bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._buffer = b""
        self._body = 0
        if not transport.get_extra_info("peername")[0].startswith("127."):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._body:
            skipped = min(self._body, len(data))
            self._body -= skipped
            data = data[skipped:]
            if self._body == 0:
                self._transport.write(ANSWERS[b"/sink"])
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, rest = self._buffer[:end], self._buffer[end + 4 :]
            lower = head.lower()
            length = 0
            if (at := lower.find(b"\r\ncontent-length:")) >= 0:
                length = int(lower[at + 17 :].split(b"\r\n", 1)[0])
            self._buffer = rest[length:]
            self._body = max(0, length - len(rest))
            if self._body == 0:
                self._transport.write(ANSWERS.get(head.split(b" ", 2)[1], OTHERWISE))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answerer, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
