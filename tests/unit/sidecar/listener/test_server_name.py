"""What the TLS inspector found reaches the log of a TCP session."""

from __future__ import annotations

import asyncio
import random

import pytest

from mesh.tasks import TaskOwner
from sidecar.config.model import Address, FilterChain, FilterChainMatch, Hcm, Listener, TcpProxy, WeightedCluster
from sidecar.http.connection_manager import ConnectionManager
from sidecar.listener.manager import ListenerManager
from sidecar.listener.match import Facts
from sidecar.listener.runtime import ListenerContext, ListenerRuntime
from sidecar.listener.tcp import TcpManager, TcpSession
from sidecar.process.timers import Deadlines
from sidecar.telemetry.formatter import compile_format
from sidecar.telemetry.stats import ListenerStats, Stats

HERE, THERE = Address("10.0.0.1", 443), Address("10.0.0.9", 40000)


@pytest.mark.parametrize(("server_name", "logged"), [("a.example", b"a.example"), ("", b"")])
async def test_requested_server_name(server_name: str, logged: bytes) -> None:
    loop, stats = asyncio.get_running_loop(), Stats()

    def no_http(_config: Hcm, _listener: Listener, _stats: ListenerStats) -> ConnectionManager:
        raise AssertionError("a listener of TCP")

    def tcp(config: TcpProxy, _listener: Listener, listener: ListenerStats) -> TcpManager:
        return TcpManager(
            config,
            clusters={},
            stats=stats,
            tasks=TaskOwner("test"),
            idle=Deadlines(loop, 1.0),
            rng=random.Random(1),
            opened=lambda _exchange: None,
            closed=lambda _exchange, _now: None,
            interim=lambda _config, _log_type: lambda _exchange, _now: None,
            listener=listener,
        )

    context = ListenerContext(loop, stats, no_http, tcp)
    chain = FilterChain("any", FilterChainMatch(), TcpProxy("t", (WeightedCluster("c", 1),)))
    config = Listener("l", HERE, (chain,), detect_tls=True)
    listener = ListenerRuntime(config, ListenerManager(context, lambda _listener: None), context)
    session = listener.serve(Facts(destination=HERE, source=THERE, transport="tls", server_name=server_name))
    assert isinstance(session, TcpSession)
    assert compile_format("%REQUESTED_SERVER_NAME%")(session.exchange) == logged
    listener.close()
