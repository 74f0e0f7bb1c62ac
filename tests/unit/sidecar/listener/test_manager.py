"""Listeners come, change and go; connections that are open are not cut, and those of HTTP end with their next response."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from mesh.errors import ConfigError
from sidecar.config.model import (
    Address,
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
)
from tests.harness.listeners import GET, PROXY, Setting, http, listener, saying, says
from tests.harness.ports import free_port


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
