"""Asks the app beside the proxy how it is, and tells when that changes: Istio's agent's readiness probe.

`Prober(probe, address, report).run()` goes on until it is cancelled. `report` gets "" for an app that is well, else what is
wrong with it: at every change, and every BEAT_SECONDS as a sign of life.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from time import monotonic
from typing import Final

from mesh.probe import Exec, Grpc, HttpGet, Probe, TcpSocket

BEAT_SECONDS: Final = 10.0
LONGEST_REASON: Final = 300
_SERVING: Final = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
_HEALTH: Final = "/grpc.health.v1.Health/Check"
_MOST_BYTES: Final = 64 * 1024


class Verdict:
    """What results in a row come to. `problem` is None before the first verdict."""

    def __init__(self, probe: Probe) -> None:
        self.problem: str | None = None
        self._probe = probe
        self._passed = 0
        self._failed = 0

    def take(self, problem: str) -> bool:
        """One more result, "" for a success; whether the verdict is another one now."""
        self._passed, self._failed = (self._passed + 1, 0) if not problem else (0, self._failed + 1)
        before = self.problem
        if not problem and (self._passed >= self._probe.successes):
            self.problem = ""
        elif problem and (self._failed >= self._probe.failures or before is None):
            self.problem = problem
        return (before == "") != (self.problem == "") or (before is None) != (self.problem is None)


class Prober:
    """`address` is where the app listens."""

    def __init__(self, probe: Probe, address: str, report: Callable[[str], None]) -> None:
        self._probe = probe
        self._address = address
        self._report = report
        self._verdict = Verdict(probe)

    async def run(self) -> None:
        await asyncio.sleep(self._probe.delay)
        told = float("-inf")
        while True:
            began = monotonic()
            changed = self._verdict.take(await self._ask())
            if self._verdict.problem is not None and (changed or began - told >= BEAT_SECONDS):
                self._report(self._verdict.problem)
                told = began
            await asyncio.sleep(max(0.0, began + self._probe.period - monotonic()))

    async def _ask(self) -> str:
        """Once: "" or what is wrong."""
        check = self._probe.check
        try:
            async with asyncio.timeout(self._probe.timeout):
                problem = await self._check()
        except TimeoutError:
            problem = f"no answer in {self._probe.timeout:g} s"
        except OSError as error:
            problem = os.strerror(error.errno) if error.errno else type(error).__name__
        return f"{check}: {problem}"[:LONGEST_REASON] if problem else ""

    async def _check(self) -> str:
        match self._probe.check:
            case HttpGet() as get:
                return await _http(get.host or self._address, get)
            case TcpSocket(port, host):
                _, writer = await asyncio.open_connection(host or self._address, port)
                writer.close()
                return ""
            case Grpc(port, service):
                return await _grpc(self._address, port, service)
            case Exec(command):
                return await _exec(command)


async def _http(address: str, get: HttpGet) -> str:
    tls = whoever_answers() if get.tls else None
    reader, writer = await asyncio.open_connection(address, get.port, limit=_MOST_BYTES, ssl=tls)
    host = f"[{address}]:{get.port}" if ":" in address else f"{address}:{get.port}"
    headers = {"host": ("Host", host), "user-agent": ("User-Agent", "mesh-probe")}
    headers |= {name.lower(): (name, value) for name, value in get.headers}
    headers["connection"] = ("Connection", "close")
    try:
        lines = [f"GET {get.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.values()), "", ""]
        writer.write("\r\n".join(lines).encode("ascii"))
        line = await reader.readline()
    except ValueError:  # a line without an end
        return "the answer is no HTTP"
    finally:
        writer.close()
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        return "the answer is no HTTP" if line else "the connection was closed without an answer"
    status = int(rest[:3])
    return "" if 200 <= status < 400 else f"status {status}"


@cache
def whoever_answers() -> ssl.SSLContext:
    """A probe asks whether somebody is well, and not who it is: as Istio's and Kubernetes'."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _grpc(address: str, port: int, service: str) -> str:
    import grpc

    name = service.encode()
    request = b"\x0a" + _varint(len(name)) + name if name else b""
    host = f"[{address}]" if ":" in address else address
    options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(f"{host}:{port}", options) as channel:
        try:
            answer: bytes = await channel.unary_unary(_HEALTH)(request)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
    return "" if answer[:2] == _SERVING else "not SERVING"


def _varint(number: int) -> bytes:
    """Protobuf's encoding of a length."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


async def _exec(command: tuple[str, ...]) -> str:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=null, stdout=null, stderr=null)
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return f"exit code {code}" if code else ""
