"""A proxy that has too much to do refuses clearly, and goes on: the real Envoy and ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client, End
from tests.harness.ports import free_port
from tests.harness.process import admin_ready, wait_until
from tests.harness.upstream import Upstream
from tests.integration.lifecycle.proxy import GET, Edit, Proxy

TYPE = "type.googleapis.com/envoy.extensions.resource_monitors."
INJECTED = "envoy.resource_monitors.injected_resource"
LIMIT = "envoy.resource_monitors.global_downstream_max_connections"

both = pytest.mark.parametrize("kind", ["envoy", "ours"])


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(free_port()) as running:
        yield running


class Pressure:
    """The file that both read the pressure from."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pressure"
        self.set(0.0)

    def set(self, value: float) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(str(value))
        os.replace(new, self.path)  # Envoy looks at files that are moved into place


def sheds(pressure: Pressure, *actions: str) -> Edit:
    def edit(config: dict[str, Any]) -> None:
        monitor = {"@type": TYPE + "injected_resource.v3.InjectedResourceConfig", "filename": str(pressure.path)}
        config["overload_manager"] = {
            "refresh_interval": "0.05s",
            "resource_monitors": [{"name": INJECTED, "typed_config": monitor}],
            "actions": [
                {
                    "name": f"envoy.overload_actions.{action}",
                    "triggers": [{"name": INJECTED, "threshold": {"value": 0.5}}],
                }
                for action in actions
            ],
        }

    return edit


async def active(proxy: Proxy, action: str, wanted: int) -> None:
    """Waits until an action is on, or off, and everybody has heard of it."""
    await proxy.until(f"overload.envoy.overload_actions.{action}.active", wanted)
    await asyncio.sleep(0.1)


async def asks(client: Client, data: bytes = GET) -> tuple[int, bytes, bool]:
    await client.send(data)
    answer = await client.response()
    assert answer is not None
    return answer.status, answer.body, answer.closes


OK = (200, b"hi", False)


@both
async def test_requests_are_refused(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    pressure = Pressure(tmp_path)
    proxy = Proxy(kind, tmp_path, upstream.port, edit=sheds(pressure, "stop_accepting_requests"))
    async with proxy, Client(proxy.http) as client, Client(proxy.http) as bad:
        assert await asks(client) == OK
        pressure.set(0.9)
        await active(proxy, "stop_accepting_requests", 1)
        assert await asks(client) == (503, b"envoy overloaded", False)
        assert await asks(client, b"GET / HTTP/1.1\r\n\r\n") == (503, b"envoy overloaded", False)
        assert await asks(bad, b"GET a HTTP/1.1\r\nhost: a\r\n\r\n") == (400, b"Bad Request", True)
        pressure.set(0.1)
        await active(proxy, "stop_accepting_requests", 0)
        assert await asks(client) == OK
        assert await proxy.stat("http.in.downstream_rq_overload_close") == 2
        assert await proxy.lines(5) == [
            "HTTP/1.1 200 - direct_response",
            "HTTP/1.1 503 - overload",
            "HTTP/1.1 503 - overload",
            "HTTP/1.1 400 DPE http1.codec_error",
            "HTTP/1.1 200 - direct_response",
        ]


@both
async def test_connections_end_with_their_responses(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    pressure = Pressure(tmp_path)
    proxy = Proxy(kind, tmp_path, upstream.port, edit=sheds(pressure, "disable_http_keepalive"))
    async with proxy, Client(proxy.http) as client, Client(proxy.http) as idle:
        assert (await asks(client), await asks(idle)) == (OK, OK)
        pressure.set(0.9)
        await active(proxy, "disable_http_keepalive", 1)
        assert await asks(client) == (200, b"hi", True)
        assert await client.end() == "fin"
        async with Client(proxy.http) as late:
            assert await asks(late) == (200, b"hi", True)
        assert await proxy.stat("http.in.downstream_cx_overload_disable_keepalive") == 2
        pressure.set(0.1)
        await active(proxy, "disable_http_keepalive", 0)
        assert await asks(idle) == OK


@both
async def test_connections_wait(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    pressure = Pressure(tmp_path)
    proxy = Proxy(kind, tmp_path, upstream.port, edit=sheds(pressure, "stop_accepting_connections"))
    async with proxy, Client(proxy.http) as before:
        assert await asks(before) == OK
        pressure.set(0.9)
        await active(proxy, "stop_accepting_connections", 1)
        assert await asks(before) == OK
        async with Client(proxy.http) as waits:
            await waits.send(GET)
            assert await waits.end(0.3) == "open"
            assert waits.raw == b""
            pressure.set(0.1)
            answer = await waits.response()
            assert answer is not None
            assert answer.body == b"hi"


@both
async def test_connections_are_closed_again(kind: str, tmp_path: Path, upstream: Upstream) -> None:
    pressure = Pressure(tmp_path)
    proxy = Proxy(kind, tmp_path, upstream.port, edit=sheds(pressure, "reject_incoming_connections"))
    async with proxy, Client(proxy.http) as before:
        assert await asks(before) == OK
        pressure.set(0.9)
        await active(proxy, "reject_incoming_connections", 1)
        assert await ending(proxy.http) == "fin"
        assert await ending(proxy.tcp) == "fin"
        assert await asks(before) == OK
        assert await proxy.stat(f"listener.127.0.0.1_{proxy.http}.downstream_cx_overload_reject") == 1
        assert await proxy.stat(f"listener.127.0.0.1_{proxy.http}.downstream_cx_total") == 1


async def ending(port: int) -> End:
    """How a connection ends on which nothing is sent."""
    async with Client(port) as client:
        return await client.end(2.0)


def limited(limit: int, **listener: Any) -> Edit:
    def edit(config: dict[str, Any]) -> None:
        typed = {
            "@type": TYPE + "downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": limit,
        }
        config["overload_manager"] = {"resource_monitors": [{"name": LIMIT, "typed_config": typed}]}
        config["admin"]["ignore_global_conn_limit"] = True
        config["static_resources"]["listeners"][1].update(listener)

    return edit


@both
@pytest.mark.parametrize("ignored", [True, False])
async def test_so_many_connections(kind: str, ignored: bool, tmp_path: Path, upstream: Upstream) -> None:
    edit = limited(2, ignore_global_conn_limit=ignored)
    async with Proxy(kind, tmp_path, upstream.port, edit=edit) as proxy, AsyncExitStack() as stack:
        one, two, three = [await stack.enter_async_context(Client(proxy.http)) for _ in range(3)]
        assert (await asks(one), await asks(two), await three.end()) == (OK, OK, "fin")
        async with Client(proxy.tcp) as session:
            assert await session.end(0.3) == ("open" if ignored else "fin")
        assert await proxy.stat(f"listener.127.0.0.1_{proxy.http}.downstream_global_cx_overflow") == 1
        one.reset()
        await proxy.until(f"listener.127.0.0.1_{proxy.http}.downstream_cx_active", 1)
        async with Client(proxy.http) as again:
            assert await asks(again) == OK


async def test_workers_share_the_limit(tmp_path: Path, upstream: Upstream) -> None:
    proxy = Proxy("ours", tmp_path, upstream.port, "--concurrency", "2", edit=limited(8))
    async with proxy, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(proxy.http)) for _ in range(40)]
        ends = await asyncio.gather(*(client.end(1.0) for client in clients))
        assert ends.count("open") == 8


@pytest.mark.fault(37)
async def test_a_process_without_descriptors_left_goes_on(tmp_path: Path, upstream: Upstream) -> None:
    """What cannot be accepted ends; what is there is served; and afterwards all is well."""
    proxy = Proxy("ours", tmp_path, upstream.port, descriptors=64)
    async with proxy:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(proxy.http)) for _ in range(100)]
            assert await asks(clients[0]) == OK
            assert await asks(clients[0], GET.replace(b"/local", b"/x")) == (503, UNREACHABLE, False)
            told = lambda: "no file descriptors left" in proxy.process.log()  # noqa: E731
            await asyncio.to_thread(wait_until, told, 10.0, "the log's line")
        await asyncio.to_thread(proxy.process.wait_ready, admin_ready(proxy.admin))  # it has descriptors again
        await proxy.until("http.in.downstream_cx_active", 0)
        async with Client(proxy.http) as client:
            assert await asks(client) == OK
            assert await asks(client, GET.replace(b"/local", b"/x")) == (200, b"/x", False)
        assert await proxy.stat("server.file_descriptors_exhausted") >= 1
        assert proxy.process.log().count("no file descriptors left") == 1


UNREACHABLE = b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
