"""gRPC as its users have it: grpcio at both ends, each in a process of its own. Messages are 100 bytes.

`python -m tests.bench.grpc_ends serve PORT` answers `/bench.Echo/Unary` with the request, and `/bench.Echo/Stream` with
1,000 messages. `… load PORT METHOD CONNECTIONS CALLS SECONDS` calls it, so many calls at a time on each connection, and
prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import grpc
import grpc.aio

from tests.bench.load import DEADLINE_SECONDS, Result

SERVICE = "bench.Echo"
UNARY, STREAM = "Unary", "Stream"
MESSAGE = b"\x0a\x62" + b"x" * 98
MESSAGES = 1_000
AUTHORITY = "svc-0.default.svc.cluster.local:9080"  # which the mesh's routes know


class GrpcLoad:
    """Calls a method through a port, from another process."""

    def __init__(self, method: str, calls: int) -> None:
        self._method = method
        self._calls = calls

    def run(self, port: int, connections: int, seconds: float) -> Result:
        numbers = [str(each) for each in (connections, self._calls, seconds)]
        command = [sys.executable, "-m", "tests.bench.grpc_ends", "load", str(port), self._method, *numbers]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + DEADLINE_SECONDS)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return Result(**json.loads(done.stdout))


# ── the server ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _echo(request: bytes, _context: Any) -> bytes:
    return request


async def _many(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    for _ in range(MESSAGES):
        yield request


async def serve(port: int) -> None:
    handlers = {UNARY: grpc.unary_unary_rpc_method_handler(_echo), STREAM: grpc.unary_stream_rpc_method_handler(_many)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


# ── the client ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def load(port: int, method: str, connections: int, calls: int, seconds: float) -> Result:
    started = time.perf_counter()
    latencies: list[float] = []
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", AUTHORITY)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(connections)]
    call = _unary if method == UNARY else _stream

    async def worker(channel: Any) -> int:
        errors = 0
        while (began := time.perf_counter()) < started + seconds:
            errors += not await call(channel)
            latencies.append(time.perf_counter() - began)
        return errors

    errors = sum(await asyncio.gather(*(worker(channel) for channel in channels for _ in range(calls))))
    passed = time.perf_counter() - started
    for channel in channels:
        await channel.close()
    latencies.sort()
    middle, high = (latencies[int(len(latencies) * share)] * 1e6 for share in (0.5, 0.99))
    return Result(len(latencies), errors, passed, middle, high)


async def _unary(channel: Any) -> bool:
    """Whether the answer was what had been sent."""
    try:
        return bool(await channel.unary_unary(f"/{SERVICE}/{UNARY}")(MESSAGE) == MESSAGE)
    except grpc.aio.AioRpcError as error:
        print(error.details(), file=sys.stderr)
        return False


async def _stream(channel: Any) -> bool:
    """Whether all messages came."""
    count = 0
    try:
        async for message in channel.unary_stream(f"/{SERVICE}/{STREAM}")(MESSAGE):
            count += message == MESSAGE
    except grpc.aio.AioRpcError as error:
        print(error.details(), file=sys.stderr)
    return count == MESSAGES


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        port, method, connections, calls, seconds = sys.argv[2:]
        print(json.dumps(asdict(asyncio.run(load(int(port), method, int(connections), int(calls), float(seconds))))))
