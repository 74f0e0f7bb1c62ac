"""A listener manager over a stage, for tests of listeners."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mesh.errors import ConfigError, Problem
from sidecar.config.model import (
    Address,
    DirectResponse,
    FilterChain,
    FilterChainMatch,
    Hcm,
    Listener,
    PathMatch,
    Route,
    RouteConfig,
    RouteMatch,
    TcpProxy,
    VirtualHost,
    WeightedCluster,
)
from sidecar.http.connection_manager import ConnectionManager
from sidecar.listener.manager import ListenerManager
from sidecar.listener.runtime import ListenerContext, ListenerRuntime
from sidecar.listener.tcp import TcpManager
from sidecar.process.drain import DrainPolicy
from tests.harness.stage import ManualLoop, Stage, Wire

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
ANYWHERE = FilterChainMatch()
PROXY = TcpProxy("tcp", (WeightedCluster("up", 1),))


def saying(text: bytes, name: str = "local") -> RouteConfig:
    route = Route(RouteMatch(PathMatch.PREFIX, "/"), DirectResponse(200, text))
    return RouteConfig(name, (VirtualHost("any", ("*",), (route,)),))


def http(text: bytes = b"one", **fields: Any) -> Hcm:
    return replace(Hcm("test", (), routes=saying(text), generate_request_id=False), **fields)


def listener(*networks: Hcm | TcpProxy, name: str = "http", port: int = 8080, **fields: Any) -> Listener:
    chains = tuple(FilterChain(str(at), ANYWHERE, network) for at, network in enumerate(networks))
    return replace(Listener(name, Address("127.0.0.1", port), chains, bind_to_port=False), **fields)


class Setting:
    """A listener manager over a stage."""

    def __init__(self, loop: ManualLoop) -> None:
        self.loop = loop
        self.stage = Stage(loop)
        self.fails = False
        self.started: list[ListenerRuntime] = []
        drains = DrainPolicy(10.0, immediate=True, clock=lambda: loop.now)
        context = ListenerContext(loop, self.stage.stats, self.http, self.tcp, drains)  # type: ignore[arg-type]
        self.manager = ListenerManager(context, self.started.append)

    def http(self, config: Hcm, listener: Listener, *_more: Any) -> ConnectionManager:
        if self.fails:
            raise ConfigError(Problem("no access log there"))
        return ConnectionManager(config, listener.direction, listener.buffer_limit, self.stage.manager.context)

    def tcp(self, config: TcpProxy, _listener: Listener, *_more: Any) -> TcpManager:
        return self.stage.tcp_manager(config)

    def accept(self, name: str = "http") -> Wire:
        protocol = self.manager.listeners[name]._accept()
        wire = Wire(self.loop, protocol)
        self.stage.wires.append(wire)
        protocol.connection_made(wire)
        return wire


def says(wire: Wire) -> bytes:
    wire.sends(GET)
    return wire.received().rpartition(b"\r\n")[2]
