"""Load: wrk where it is to be had, else a generator of our own; both closed-loop, for a bounded time, on loopback."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cases import Request

DEADLINE_SECONDS = 30.0  # beyond the time that was asked for

WRK_SCRIPT = """
local requests = {}
local next = 0
local body = string.rep("x", %(largest_body)d)
function init(args)
%(formats)s
end
function request()
  next = next %% #requests + 1
  return requests[next]
end
function done(summary, latency, requests)
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "errors": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d}\\n',
    summary.requests,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Result:
    """Latencies are microseconds, over all requests of the run."""

    requests: int
    errors: int
    seconds: float
    p50: float
    p99: float


class Wrk:
    """Drives a port with wrk; the script that makes the requests is written once."""

    def __init__(self, binary: str, requests: Sequence[Request], script: Path) -> None:
        self._binary = binary
        self._script = script
        self._script.write_text(_script(requests))

    def run(self, port: int, connections: int, seconds: float) -> Result:
        whole = max(1, round(seconds))  # wrk knows whole seconds only
        command = [self._binary, "-t1", f"-c{connections}", f"-d{whole}s", "-s", str(self._script)]
        command.append(f"http://127.0.0.1:{port}/")
        done = subprocess.run(command, capture_output=True, text=True, timeout=whole + DEADLINE_SECONDS)
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if done.returncode or not lines:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        seen = json.loads(lines[0].removeprefix("RESULT "))
        return Result(seen["requests"], seen["errors"], seen["microseconds"] / 1e6, seen["p50"], seen["p99"])


class BuiltIn:
    """Slower than wrk, and everywhere. `one_each`: every request has a connection of its own."""

    def __init__(self, requests: Sequence[Request], *, one_each: bool = False) -> None:
        self._requests = [_bytes(request) for request in requests]
        self._one_each = one_each

    def run(self, port: int, connections: int, seconds: float) -> Result:
        return asyncio.run(self._run(port, connections, seconds))

    async def _run(self, port: int, connections: int, seconds: float) -> Result:
        started = time.perf_counter()
        latencies: list[float] = []
        errors = await asyncio.gather(
            *(self._client(port, started + seconds, latencies, number) for number in range(connections))
        )
        latencies.sort()
        if not latencies:
            return Result(0, sum(errors), seconds, 0.0, 0.0)
        middle, high = (latencies[int(len(latencies) * share)] * 1e6 for share in (0.5, 0.99))
        return Result(len(latencies), sum(errors), time.perf_counter() - started, middle, high)

    async def _client(self, port: int, until: float, latencies: list[float], number: int) -> int:
        """One connection, one request at a time; the number of answers that were no success."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        errors = 0
        while (began := time.perf_counter()) < until:
            writer.write(self._requests[number % len(self._requests)])
            number += 1
            head = await reader.readuntil(b"\r\n\r\n")
            lower = head.lower()
            if (at := lower.find(b"content-length:")) >= 0:
                await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
            errors += not head.startswith(b"HTTP/1.1 2")
            if self._one_each:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            latencies.append(time.perf_counter() - began)
        writer.close()
        return errors


def _bytes(request: Request) -> bytes:
    lines = [f"{request.method} {request.path} HTTP/1.1", *request.headers]
    if request.body:
        lines.append(f"Content-Length: {request.body}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * request.body


def _script(requests: Sequence[Request]) -> str:
    """The requests as whole strings, made once, so that wrk spends its time sending."""
    formats = []
    for request in requests:
        head = json.dumps(_bytes(request)[: -request.body or None].decode())
        formats.append(f"  requests[#requests + 1] = {head} .. string.sub(body, 1, {request.body})")
    return WRK_SCRIPT % {"largest_body": max(request.body for request in requests), "formats": "\n".join(formats)}
