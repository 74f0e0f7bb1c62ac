"""Listeners come, change and go; connections that are open are not cut, and those of HTTP end with their next response."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest

from mesh.errors import ConfigError, Problem
from sidecar.codec.h1_server import ServerConnection
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
from sidecar.connection_manager import ConnectionManager
from sidecar.drain import DrainPolicy
from sidecar.listener.accept import AcceptProtocol
from sidecar.listener.manager import ListenerContext, ListenerManager, ListenerRuntime
from sidecar.listener.match import Facts
from sidecar.listener.tcp import TcpManager, TcpSession
from tests.harness.ports import free_port
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


@pytest.fixture
async def setting(loop: ManualLoop) -> Setting:
    return Setting(loop)


def says(wire: Wire) -> bytes:
    wire.sends(GET)
    return wire.received().rpartition(b"\r\n")[2]


async def test_a_simple_listener_has_no_detour(setting: Setting) -> None:
    setting.manager.set_listener(listener(http()))
    wire = setting.accept()
    assert isinstance(wire.protocol, ServerConnection)
    assert says(wire) == b"one"
    assert not wire.closing


async def test_a_changed_listener_serves_new_connections_in_the_new_way(setting: Setting) -> None:
    setting.manager.set_listener(listener(http()))
    idle, busy = setting.accept(), setting.accept()
    busy.sends(GET[:10])
    setting.manager.set_listener(listener(http(b"two")))
    busy.sends(GET[10:])
    answer = busy.received()
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"one")
    assert says(setting.accept()) == b"two"
    await setting.stage.advance(9.9)
    assert not idle.closing
    await setting.stage.advance(0.2)
    assert idle.lost
    await setting.stage.leaves_nothing()


async def test_chains_that_did_not_change_keep_their_connections(setting: Setting) -> None:
    def two(said: bytes) -> Listener:
        chains = (
            FilterChain("one", FilterChainMatch(destination_port=8080), http(said)),
            FilterChain("rest", FilterChainMatch(destination_port=9), http(b"rest")),
        )
        return listener(http(), chains=chains)

    setting.manager.set_listener(two(b"one"))
    [changed, same] = setting.manager.listeners["http"].managers
    setting.manager.set_listener(two(b"two"))
    [new, kept] = setting.manager.listeners["http"].managers
    assert (kept is same, new is changed) == (True, False)
    setting.manager.set_listener(replace(two(b"two"), buffer_limit=7))
    assert setting.manager.listeners["http"].managers[1] is not same
    assert setting.stage.counter("listener_manager.listener_in_place_updated") == 1
    assert setting.stage.counter("listener_manager.listener_modified") == 2


async def test_sessions_of_a_removed_listener_end_with_the_drain_time(setting: Setting) -> None:
    setting.manager.set_listener(listener(PROXY))
    client = setting.accept()
    client.sends(b"hello")
    upstream = await setting.stage.upstream()
    setting.manager.remove_listener("http")
    assert setting.stage.counter("listener_manager.total_listeners_draining") == 1
    await setting.stage.advance(9.9)
    upstream.sends(b"still here")
    assert client.received() == b"still here"
    await setting.stage.advance(0.2)
    assert (client.lost, upstream.lost) == (True, True)
    assert setting.stage.counter("listener_manager.total_listeners_draining") == 0
    await setting.stage.leaves_nothing()


async def test_a_listener_may_keep_its_connections_when_health_checks_fail(setting: Setting) -> None:
    setting.manager.set_listener(listener(http()))
    setting.manager.set_listener(listener(http(), name="calm", port=8081, drains_on_failure=False))
    setting.manager.fail(True)
    setting.manager.set_listener(listener(http(), name="late", port=8082))
    setting.manager.set_listener(listener(http(), name="late calm", port=8083, drains_on_failure=False))
    for name, closes in (("http", True), ("calm", False), ("late", True), ("late calm", False)):
        wire = setting.accept(name)
        wire.sends(GET)
        assert (b"connection: close" in wire.received()) is closes


async def test_the_end_comes_at_once_where_it_has_to(setting: Setting) -> None:
    setting.manager.set_listener(listener(http(), PROXY))
    setting.manager.set_listener(listener(PROXY, name="old", port=8081))
    client, session = setting.accept(), setting.accept("old")
    setting.manager.remove_listener("old")
    assert setting.manager.in_use
    setting.manager.close()
    assert not setting.manager.in_use
    await setting.stage.settle()
    assert (client.lost, session.lost) == (True, True)
    await setting.stage.leaves_nothing()


async def test_what_is_the_same_changes_nothing(setting: Setting) -> None:
    setting.manager.set_listener(listener(http()))
    wire = setting.accept()
    setting.manager.set_listener(listener(http()))
    assert says(wire) == b"one"


@pytest.mark.parametrize("networks", [(http(),), (http(), PROXY)], ids=["one chain", "two chains"])
async def test_a_change_that_fails_changes_nothing(setting: Setting, networks: tuple[Hcm | TcpProxy, ...]) -> None:
    setting.manager.set_listener(listener(*networks))
    setting.fails = True
    with pytest.raises(ConfigError, match="no access log there"):
        setting.manager.set_listener(listener(http(b"two"), PROXY))
    assert says(setting.accept()) == b"one"


async def test_a_removed_listener_lets_responses_end(setting: Setting) -> None:
    slow = Route(RouteMatch(PathMatch.PREFIX, "/"), setting.stage.config.routes.virtual_hosts[0].routes[0].action)  # type: ignore[union-attr]
    config = http(routes=RouteConfig("slow", (VirtualHost("any", ("*",), (slow,)),)))
    setting.manager.set_listener(listener(config))
    idle, busy = setting.accept(), setting.accept()
    busy.sends(GET)
    upstream = await setting.stage.upstream()
    setting.manager.remove_listener("http")
    setting.manager.remove_listener("http")
    await setting.stage.settle()
    assert not idle.closing
    upstream.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert b"connection: close\r\n" in busy.received()
    await setting.stage.advance(6.1)
    assert (busy.lost, idle.lost) == (True, False)
    await setting.stage.advance(4.0)
    assert idle.lost
    await setting.stage.leaves_nothing()


async def test_routes_that_come_later_or_earlier(setting: Setting) -> None:
    config = http(routes=None, rds="table")
    setting.manager.set_listener(listener(config))
    wire = setting.accept()
    assert says(wire) == b""
    setting.manager.set_routes(saying(b"routed", "table"))
    setting.manager.set_routes(saying(b"other", "other"))
    assert says(wire) == b"routed"
    setting.manager.remove_routes("table")
    assert says(wire) == b"routed"  # until its listener has gone
    setting.manager.set_routes(saying(b"again", "table"))
    setting.manager.set_listener(listener(config, name="second", port=8081))
    assert says(setting.accept("second")) == b"again"


async def test_sockets_are_bound_and_given_back(setting: Setting) -> None:
    port = free_port()
    config = listener(http(), port=port, bind_to_port=True)
    setting.manager.set_listener(config)
    with pytest.raises(ConfigError, match="cannot bind"):
        setting.manager.set_listener(replace(config, name="second"))
    assert list(setting.manager.listeners) == ["http"]
    setting.manager.remove_listener("http")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))


async def test_a_listener_that_goes_while_it_starts_does_not_serve(setting: Setting) -> None:
    class Server:
        closed = False

        def close(self) -> None:
            self.closed = True

    server, proceed = Server(), asyncio.Event()

    async def create_server(_accept: Any, **_more: Any) -> Server:
        await proceed.wait()
        return server

    setting.loop.create_server = create_server  # type: ignore[attr-defined]
    setting.manager.set_listener(listener(http(), port=free_port(), bind_to_port=True))
    [runtime] = setting.started
    task = asyncio.get_running_loop().create_task(runtime.serve_forever())
    await asyncio.sleep(0)
    setting.manager.remove_listener("http")
    proceed.set()
    await task
    assert server.closed


async def test_the_listener_of_an_original_destination(setting: Setting) -> None:
    setting.manager.set_listener(listener(PROXY, name="all", port=15001, use_original_dst=True))
    setting.manager.set_listener(listener(http(), name="any", port=80, address=Address("0.0.0.0", 80)))
    setting.manager.set_listener(listener(http(), name="one", port=80, address=Address("10.0.0.1", 80)))
    found = [
        setting.manager.for_destination(Address(host, port)) for host, port in (("10.0.0.1", 80), ("10.0.0.2", 80))
    ]
    assert [each and each.config.name for each in found] == ["one", "any"]
    assert setting.manager.for_destination(Address("10.0.0.1", 15001)) is None
    await setting.stage.leaves_nothing()


async def test_nobody_is_served_where_no_chain_matches(setting: Setting) -> None:
    chain = FilterChain("tls", FilterChainMatch(transport="tls"), http())
    setting.manager.set_listener(listener(http(), chains=(chain,)))
    wire = setting.accept()
    await setting.stage.settle()
    assert wire.lost
    assert setting.stage.counter("listener.127.0.0.1_8080.no_filter_chain_match") == 1


# ── the first bytes ───────────────────────────────────────────────────────────────────────────────────────────────────


def detecting(**fields: Any) -> Listener:
    chains = (
        FilterChain("http", FilterChainMatch(application_protocols=("http/1.1",)), http()),
        FilterChain("rest", ANYWHERE, PROXY),
    )
    return listener(http(), chains=chains, detect_http=True, detect_timeout=2.0, **fields)


async def test_http_is_told_from_other_things(setting: Setting) -> None:
    setting.manager.set_listener(detecting())
    web, other = setting.accept(), setting.accept()
    web.sends(*(GET[at : at + 1] for at in range(len(GET))))
    assert web.received().endswith(b"one")
    other.sends(b"\x00binary")
    assert isinstance(other.protocol, TcpSession)
    assert setting.loop.timers == [] or not any("_too_slow" in repr(timer._act) for timer in setting.loop.timers)
    await setting.stage.leaves_nothing()


@pytest.mark.parametrize("goes_on", [True, False])
async def test_who_says_nothing(setting: Setting, goes_on: bool) -> None:
    setting.manager.set_listener(detecting(detect_continue=goes_on))
    wire = setting.accept()
    await setting.stage.advance(2.1)
    assert isinstance(wire.protocol, TcpSession) is goes_on
    assert wire.lost is not goes_on
    assert setting.stage.counter("listener.127.0.0.1_8080.downstream_pre_cx_timeout") == 1
    await setting.stage.leaves_nothing()


async def test_who_leaves_before_it_says_anything(setting: Setting) -> None:
    setting.manager.set_listener(detecting())
    wire = setting.accept()
    assert isinstance(wire.protocol, AcceptProtocol)
    wire.resets()
    assert setting.stage.counter("listener.127.0.0.1_8080.downstream_listener_filter_remote_close") == 1
    await setting.stage.leaves_nothing()


async def test_who_is_gone_already_when_accepted(setting: Setting) -> None:
    setting.manager.set_listener(detecting())
    protocol = setting.manager.listeners["http"]._accept()
    wire = Wire(setting.loop, protocol)
    wire._extra["peername"] = None  # as uvloop says it then
    protocol.connection_made(wire)
    wire.sends(GET)
    assert wire.received().endswith(b"one")
    wire.resets()


def test_facts_of_nobody() -> None:
    assert Facts(Address("10.0.0.1", 80), Address("", 0)).source.host == ""
