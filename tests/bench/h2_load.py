"""Load over HTTP/2: h2load where all requests are of one host, a generator of our own for the others and where there is no
h2load. Paths change from request to request, as identifiers do."""

from __future__ import annotations

import asyncio
import itertools
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from sidecar.codec.h2_frames import PREFACE
from tests.bench.cases import Request
from tests.bench.h2_wire import Frames, literal, named
from tests.bench.load import DEADLINE_SECONDS, Result

# Of the static table.
_METHODS = {"GET": b"\x82", "POST": b"\x83"}
_HTTP = b"\x86"
_AUTHORITY, _PATH = 1, 4
_NEWEST = 62  # the entry that came into the table last
_STATUS_200 = 0x88
_URIS = 10_000
_CONNECTING_AT_ONCE = 100


class H2Load:
    """Drives a port with h2load, `streams` requests at a time on each connection."""

    def __init__(self, binary: str, request: Request, streams: int, folder: Path) -> None:
        self._binary = binary
        self._streams = streams
        self._uris = folder / "uris"
        self._path = request.path
        self._options = ["-H", f":authority: {host_of(request)}", "-H", f":method: {request.method}"]
        for header in request.headers[1:]:
            self._options += ["-H", header]
        if request.body:
            body = folder / "body"
            body.write_bytes(b"x" * request.body)
            self._options += ["-d", str(body)]

    def run(self, port: int, connections: int, seconds: float) -> Result:
        uris = (f"http://127.0.0.1:{port}{numbered(self._path, number)}\n" for number in range(_URIS))
        self._uris.write_text("".join(uris))
        command = [self._binary, "-t1", f"-c{connections}", f"-m{self._streams}", f"-D{round(seconds * 1000)}ms"]
        command += [*self._options, "-i", str(self._uris)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + DEADLINE_SECONDS)
        counts = re.search(r"requests: .* (\d+) done, .* (\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
        codes = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
        if done.returncode or counts is None or codes is None:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        # A status that is no success is among the failed ones, too; so is what the end has cut off, without a status.
        return Result(int(counts[1]), sum(map(int, codes.groups())) + int(counts[4]), seconds, 0.0, 0.0)


class H2BuiltIn:
    """Slower than h2load, and for any requests: each connection has them in turn."""

    def __init__(self, requests: Sequence[Request], streams: int) -> None:
        self._requests = requests
        self._blocks = Blocks(requests)
        self._streams = streams

    def run(self, port: int, connections: int, seconds: float) -> Result:
        result: Result = uvloop.run(self._run(port, connections, seconds))
        return result

    async def _run(self, port: int, connections: int, seconds: float) -> Result:
        started = time.perf_counter()
        until = started + seconds
        clients = [Client(self._requests, self._blocks, self._streams, until, number) for number in range(connections)]
        async with asyncio.timeout(seconds + DEADLINE_SECONDS):
            await connect(clients, port)
            await asyncio.gather(*(client.done for client in clients))
        for client in clients:
            client.transport.close()
        errors = sum(client.errors for client in clients)
        latencies = sorted(itertools.chain.from_iterable(client.latencies for client in clients))
        if not latencies:
            return Result(0, errors, seconds, 0.0, 0.0)
        middle, high = (latencies[int(len(latencies) * share)] * 1e6 for share in (0.5, 0.99))
        return Result(len(latencies), errors, time.perf_counter() - started, middle, high)


class Client(Frames):
    """A connection with so many requests at a time, until `until` and then until the last of them is answered."""

    def __init__(
        self,
        requests: Sequence[Request],
        fields: Blocks,
        streams: int,
        until: float,
        first: int,
        *,
        counting: bool = True,
    ) -> None:
        super().__init__()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.errors = 0
        self._requests = requests
        self._fields = fields
        self._streams = streams
        self._until = until
        self._turn = first
        self._counting = counting
        self._next = 1
        self._began: dict[int, float] = {}
        self._answered: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out.append(PREFACE)
        super().connection_made(transport)
        for _ in range(self._streams):
            self._begin()
        self.flush()

    def _begin(self) -> None:
        stream, self._next = self._next, self._next + 2
        request = self._requests[self._turn % len(self._requests)]
        path = numbered(request.path, self._turn) if self._counting else request.path
        self._turn += 1
        self._began[stream] = time.perf_counter()
        self.send(stream, self._fields.block(request, path.encode(), first=stream == 1), request.body)

    def on_block(self, stream: int, block: bytes, end: bool) -> None:
        if stream not in self._answered:
            self._answered.add(stream)
            self.errors += _STATUS_200 not in block[:4]  # behind a change of the table's size, at most
        if end:
            self._end(stream)

    def on_data(self, stream: int, end: bool) -> None:
        if end:
            self._end(stream)

    def on_reset(self, stream: int) -> None:
        self.errors += 1
        self._end(stream)

    def _end(self, stream: int) -> None:
        began = self._began.pop(stream, 0.0)
        if not began:
            return
        self._answered.discard(stream)
        now = time.perf_counter()
        self.latencies.append(now - began)
        if now < self._until:
            self._begin()
        elif not self._began and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.errors += len(self._began)
            self.done.set_result(None)


class Blocks:
    """Header blocks of requests that have all fields but host and path in common: the first one on a connection enters
    those into the peer's table, all later ones name their entries."""

    def __init__(self, requests: Sequence[Request]) -> None:
        fields = [tuple(line.encode() for line in header.split(": ", 1)) for header in requests[0].headers[1:]]
        self._one_host = len({host_of(request) for request in requests}) == 1
        self._entered = b"".join(literal(name.lower(), value, kept=True) for name, value in fields)
        self._entries = bytes(0x80 | _NEWEST + number for number in reversed(range(len(fields))))
        self._host_entry = bytes((0x80 | _NEWEST + len(fields),))  # it is the oldest

    def block(self, request: Request, path: bytes, *, first: bool) -> bytes:
        if self._one_host and not first:
            host = self._host_entry
        else:
            host = named(_AUTHORITY, host_of(request).encode(), kept=self._one_host)
        rest = self._entered if first else self._entries
        return b"".join((_METHODS[request.method], _HTTP, host, named(_PATH, path), rest))


def host_of(request: Request) -> str:
    return request.headers[0].removeprefix("Host: ")


def numbered(path: str, number: int) -> str:
    return f"{path}{'&' if '?' in path else '?'}n={number:08x}"


async def connect(clients: Sequence[Client], port: int) -> None:
    loop = asyncio.get_running_loop()
    for at in range(0, len(clients), _CONNECTING_AT_ONCE):
        some = clients[at : at + _CONNECTING_AT_ONCE]
        await asyncio.gather(*(loop.create_connection(lambda at=client: at, "127.0.0.1", port) for client in some))  # type: ignore[misc]
