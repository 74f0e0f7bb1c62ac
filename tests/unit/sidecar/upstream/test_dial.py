"""What a connection to a host is given."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.model import Address, Forward, PathMatch, Route, RouteMatch, TcpKeepalive, WeightedCluster
from sidecar.upstream.dial import DialError, connect, keep_alive, pipe_path
from tests.harness.stage import ManualLoop, Stage, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
NAMES = (socket.TCP_KEEPCNT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TcpKeepalive(), (None, None, None)),
        (TcpKeepalive(2, 30, 5), (2, 30, 5)),
        (TcpKeepalive(time=7), (None, 7, None)),
    ],
)
def test_keep_alive(config: TcpKeepalive, expected: tuple[int | None, ...]) -> None:
    with socket.socket() as plain, socket.socket() as kept:
        keep_alive(kept, config)
        assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        usual = [plain.getsockopt(socket.IPPROTO_TCP, name) for name in NAMES]
        assert [kept.getsockopt(socket.IPPROTO_TCP, name) for name in NAMES] == [
            system if value is None else value for value, system in zip(expected, usual, strict=True)
        ]


async def test_a_source_address_has_any_port(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(bind_address="127.0.0.9")])
    asked: list[object] = []
    connect = loop.create_connection

    async def noting(make: Any, host: str, port: int, *, local_addr: Any = None) -> Any:
        asked.append((host, port, local_addr))
        return await connect(make, host, port, local_addr=local_addr)

    loop.create_connection = noting  # type: ignore[method-assign]
    stage.client().sends(GET)
    await stage.upstream()
    assert asked == [("10.0.0.1", 80, ("127.0.0.9", 0))]
    await stage.leaves_nothing()


@pytest.mark.parametrize(("error", "counted"), [(98, 1), (99, 1), (13, 1), (111, 0)])
async def test_an_address_that_cannot_be_had_is_counted(loop: ManualLoop, error: int, counted: int) -> None:
    stage = Stage(loop, clusters=[cluster(bind_address="127.0.0.9")])
    client = stage.client()
    client.sends(GET)
    (await stage.dial()).refuses(OSError(error, "no"))
    await stage.settle()
    assert stage.counter("cluster.up.bind_errors") == counted
    assert client.received().startswith(b"HTTP/1.1 503 ")
    await stage.leaves_nothing()


@pytest.mark.parametrize("request_", [GET, b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"])
async def test_a_connection_that_is_given_up_while_it_is_made_counts_as_ended_here(
    loop: ManualLoop, request_: bytes
) -> None:
    connect = Route(RouteMatch(PathMatch.CONNECT, ""), Forward((WeightedCluster("up", 1),)))
    stage = Stage(loop, hcm(connect, forward(), upgrades=frozenset({"connect"})))
    client = stage.client()
    client.sends(request_)
    await stage.settle()
    await stage.tasks.close()
    counted = {
        name: stage.counter(f"cluster.up.upstream_cx_{name}")
        for name in ("total", "active", "destroy", "destroy_local")
    }
    assert counted == {"total": 1, "active": 0, "destroy": 1, "destroy_local": 1}
    assert stage.cluster.budget.connections == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "x"), "delayed connect error: Connection refused"),
        (OSError(101, "x"), "immediate connect error: Network is unreachable"),
        (OSError("no number"), "immediate connect error: no number"),
    ],
)
async def test_failures_have_envoys_words(loop: ManualLoop, error: OSError, reason: str) -> None:
    stage = Stage(loop)
    stage.client().sends(GET)
    (await stage.dial()).refuses(error)
    await stage.settle()
    assert stage.finished[0].upstream_failure == reason.replace(" ", "_")
    await stage.leaves_nothing()


def test_a_time_out_is_named() -> None:
    assert (str(DialError(True, "")), str(DialError(False, "why"))) == ("connection timeout", "why")


@pytest.mark.parametrize("path", ["PATH", "@NAME"])
async def test_a_unix_domain_socket_is_called_by_its_path_or_its_name(path: str, tmp_path: Path) -> None:
    there = Address(
        path.replace("PATH", f"{tmp_path}/app.sock").replace("NAME", f"asyncmesh-{tmp_path.name}-{os.getpid()}"), 0
    )

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    class Client(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.set_result(data)

    async with await asyncio.start_unix_server(answer, pipe_path(there)):
        transport = await connect(asyncio.get_running_loop(), Client, there, None)
        assert await asyncio.wait_for(heard, 10) == b"here"
        transport.close()
