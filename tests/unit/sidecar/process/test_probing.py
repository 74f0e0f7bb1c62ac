"""The prober against real sockets and processes, and what its results come to."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.probe import Check, Exec, Grpc, HttpGet, Probe, TcpSocket
from sidecar.process.probing import Prober, Verdict
from tests.harness.ports import free_port


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """A port on which every connection gets `answer` and is closed; None: nothing, and it stays open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is not None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def verdicts(check: Check, count: int = 1, **times: float) -> list[str]:
    """The first reports about an app on 127.0.0.1."""
    found: asyncio.Queue[str] = asyncio.Queue()
    probe = Probe(check, timeout=times.pop("timeout", 5.0), period=0.01, failures=1)
    task = asyncio.get_running_loop().create_task(Prober(probe, "127.0.0.1", found.put_nowait).run())
    try:
        async with asyncio.timeout(20):
            return [await found.get() for _ in range(count)]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 302 Found\r\n\r\n", ""),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"HTTP/1.1 503 \r\n\r\n", "status 503"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is no HTTP"),
        (b"x" * 100_000, "the answer is no HTTP"),
        (b"", "the connection was closed without an answer"),
    ],
)
async def test_http(answer: bytes, expected: str) -> None:
    async with answering(answer) as port:
        wanted = f"http :{port}/healthz: {expected}" if expected else ""
        assert await verdicts(HttpGet(port, "/healthz")) == [wanted]


@asynccontextmanager
async def hearing(heard: list[bytes], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port that answers 200 and remembers what it was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.2", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def test_whom_http_asks_and_what_it_says() -> None:
    heard: list[bytes] = []
    async with hearing(heard) as port:
        headers = (("Host", "shop.test"), ("x-probe", "yes"), ("user-agent", "mine"))
        assert await verdicts(HttpGet(port, "/", "127.0.0.2", False, headers)) == [""]
        assert await verdicts(TcpSocket(port, "127.0.0.2")) == [""]
        (said,) = await verdicts(HttpGet(port))  # nobody is where the app is
    assert said.startswith(f"http :{port}/: ")
    assert heard[0].splitlines() == [
        b"GET / HTTP/1.1", b"Host: shop.test", b"user-agent: mine", b"x-probe: yes", b"Connection: close", b""
    ]  # fmt: skip


async def test_https_asks_whoever_answers(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=somebody", "-days", "1"]
    made = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
    assert await made.wait() == 0
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    heard: list[bytes] = []
    async with hearing(heard, tls) as port:
        assert await verdicts(HttpGet(port, "/well", "127.0.0.2", tls=True)) == [""]
    assert heard[0].startswith(b"GET /well ")


async def test_who_does_not_answer_in_time() -> None:
    async with answering(None) as port:
        assert await verdicts(HttpGet(port), timeout=0.2) == [f"http :{port}/: no answer in 0.2 s"]


async def test_tcp() -> None:
    async with answering(None) as port:
        assert await verdicts(TcpSocket(port)) == [""]
    port = free_port()
    (said,) = await verdicts(TcpSocket(port))
    assert said.startswith(f"tcp :{port}: ") and "refused" in said


async def test_grpc() -> None:
    status = {b"": b"\x08\x01", b"\x0a\x01a": b"\x08\x02"}

    async def check(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if request not in status:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return status[request]

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert await verdicts(Grpc(port)) == [""]
        assert await verdicts(Grpc(port, "a")) == [f"grpc :{port}/a: not SERVING"]
        assert await verdicts(Grpc(port, "b")) == [f"grpc :{port}/b: NOT_FOUND: unknown service"]
    finally:
        await server.stop(None)


async def test_commands() -> None:
    def python(code: str) -> Exec:
        return Exec((sys.executable, "-c", code))

    assert await verdicts(python("")) == [""]
    (said,) = await verdicts(python("raise SystemExit(3)"))
    assert said.endswith("exit code 3")
    (said,) = await verdicts(python("import time; time.sleep(60)"), timeout=0.3)
    assert said.endswith("no answer in 0.3 s")
    (said,) = await verdicts(Exec(("/nonexistent/program",)))
    assert said.endswith("No such file or directory")


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_a_verdict_changes_after_so_many_in_a_row(results: list[bool], successes: int, failures: int) -> None:
    verdict = Verdict(Probe(TcpSocket(1), successes=successes, failures=failures))
    seen: list[bool] = []
    said: bool | None = None
    for good in results:
        seen.append(good)
        changed = verdict.take("" if good else "refused")
        if good and len(seen) >= successes and all(seen[-successes:]):
            wanted: bool | None = True
        elif not good and (said is None or (len(seen) >= failures and not any(seen[-failures:]))):
            wanted = False
        else:
            wanted = said
        assert changed == (wanted != said)
        said = wanted
        assert (None if verdict.problem is None else not verdict.problem) == said
