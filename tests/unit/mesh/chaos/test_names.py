"""A forwarder of DNS questions: as the server answers, later while an experiment's keeper lives, and as before then."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator

import pytest

from mesh.chaos.keeper import Breakage
from mesh.chaos.names import Forwarder, slow
from mesh.chaos.processes import ProcessError
from tests.harness.dns_server import Answer, DnsServer
from tests.harness.ports import free_port
from tests.unit.mesh.chaos.test_held import LONG, runner

NAME = "app.test"
QUESTION = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\x03app\x04test\x00" + struct.pack("!2H", 1, 1)
ADDRESS = socket.inet_aton("127.0.0.9")
DELAY = 0.7

Places = tuple[int, int]


@pytest.fixture
async def places() -> AsyncIterator[Places]:
    """The ports for questions and of control."""
    listen, control = free_port(), free_port()
    async with DnsServer() as server:
        server.zone[NAME] = Answer("127.0.0.9")
        forwarder = Forwarder(("127.0.0.1", listen), ("127.0.0.1", server.port), ("127.0.0.1", control))
        await forwarder.start()
        yield listen, control
        await forwarder.close()


def by_udp(port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(QUESTION, ("127.0.0.1", port))
        return client.recv(512)


def by_tcp(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(struct.pack("!H", len(QUESTION)) + QUESTION)
        answer = b""
        while piece := client.recv(512):
            answer += piece
        return answer[2:]


async def asked(port: int) -> float:
    """Seconds until both ways have given the right answer."""
    began = time.monotonic()
    answers = await asyncio.gather(asyncio.to_thread(by_udp, port), asyncio.to_thread(by_tcp, port))
    assert all(answer[:2] == QUESTION[:2] and answer.endswith(ADDRESS) for answer in answers)
    return time.monotonic() - began


async def test_answers_come_later_while_somebody_says_so(places: Places) -> None:
    listen, control = places
    await asked(listen)

    def held() -> None:
        with slow("127.0.0.1", control, DELAY):
            assert asyncio.run(asked(listen)) >= DELAY

    await asyncio.to_thread(held)
    await until_quick(listen)


async def test_it_ends_with_a_killed_runner(places: Places) -> None:
    listen, control = places
    with runner(Breakage(LONG, names=("127.0.0.1", control, DELAY))) as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        assert await asked(listen) >= DELAY
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
    await until_quick(listen)


async def until_quick(port: int) -> None:
    async with asyncio.timeout(30):
        while await asked(port) >= DELAY:
            pass


@pytest.mark.parametrize("line", [b"delay 61\n", b"delay -1\n", b"delay x\n", b"hello 1\n", b"delay nan\n", b"\n"])
async def test_what_is_no_order_is_refused(places: Places, line: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", places[1])
    writer.write(line)
    assert await reader.read() == b""
    writer.close()


async def test_nobody_is_there() -> None:
    def held() -> None:
        with slow("127.0.0.1", free_port(), 1):
            raise AssertionError("there is no forwarder")

    with pytest.raises(ProcessError, match="no mesh experiment dns is to be had"):
        await asyncio.to_thread(held)


def test_a_place_that_is_taken_is_said() -> None:
    from tests.integration.experiments.stage import MESH, ROOT

    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["--server", "127.0.0.1:1", "--control", f"127.0.0.1:{taken.getsockname()[1]}"]
        words += ["--listen", f"127.0.0.1:{free_port()}"]
        done = subprocess.run(
            [*MESH, "experiment", "dns", *words], capture_output=True, text=True, timeout=60, cwd=ROOT
        )
    assert done.returncode == 1 and "cannot listen on" in done.stderr
