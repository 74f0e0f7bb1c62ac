"""The first bytes decide who gets a connection, where a listener looks at them."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import Address, FilterChain, FilterChainMatch, Listener
from sidecar.listener.accept import AcceptProtocol
from sidecar.listener.match import Facts
from sidecar.listener.tcp import TcpSession
from tests.harness.listeners import ANYWHERE, GET, PROXY, Setting, http, listener
from tests.harness.stage import Wire


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
