"""A dynamic forward proxy: hosts that requests name, looked up as they come. Ours beside a real Envoy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.harness.dns_server import Answer, Drop, Fail
from tests.harness.process import http_get
from tests.harness.upstream import Upstream
from tests.integration.cases.wire import hello
from tests.integration.dns.proxies import SIDES, Proxy, proxy

SERVFAIL = 2
TYPES = "type.googleapis.com/envoy.extensions"
MAX_HOSTS = 4


def cache(**fields: Any) -> dict[str, Any]:
    return {
        "name": "cache",
        "dns_lookup_family": "V4_ONLY",
        "max_hosts": MAX_HOSTS,
        "dns_query_timeout": "1s",
        **fields,
    }


def cluster(settings: dict[str, Any]) -> dict[str, Any]:
    typed = {"@type": f"{TYPES}.clusters.dynamic_forward_proxy.v3.ClusterConfig", "dns_cache_config": settings}
    return {
        "name": "dynamic",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "1s",
        "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": typed},
        "metadata": {"filter_metadata": {"test": {"domains": ["*"]}}},
    }


def look_up(settings: dict[str, Any]) -> dict[str, Any]:
    typed = {"@type": f"{TYPES}.filters.http.dynamic_forward_proxy.v3.FilterConfig", "dns_cache_config": settings}
    return {"name": "dynamic", "typed_config": typed}


def with_server(side: str, folder: Path, zone: dict[str, Any], **fields: Any) -> Any:
    settings = cache(**fields)
    return proxy(side, folder, [cluster(settings)], zone, filters=[look_up(settings)])


async def stats(side: Proxy, name: str) -> int:
    _, text = await asyncio.to_thread(http_get, side.admin, f"/stats?filter=^dns_cache.cache.{name}$")
    return int(text.split(": ")[1])


@pytest.mark.parametrize("side", SIDES)
async def test_names_that_requests_ask_for(side: str, tmp_path: Path) -> None:
    zone = {
        "app.test": Answer("127.0.0.1", ttl=60),
        "other.test": Answer("127.0.0.1", ttl=60),
        "broken.test": Fail(SERVFAIL),
        "silent.test": Drop(),
    }
    async with Upstream() as upstream, with_server(side, tmp_path, zone) as found:
        assert await found.get(f"app.test:{upstream.port}") == 200
        assert await found.get(f"app.test:{upstream.port}") == 200
        assert found.dns.count("app.test", "A") == 1  # it is kept
        assert await found.get(f"other.test:{upstream.port}") == 200
        assert await found.get(f"127.0.0.1:{upstream.port}") == 200  # nothing to look up
        assert await found.get("broken.test") == 503
        assert await found.get("silent.test") == 503
        assert await stats(found, "host_added") >= MAX_HOSTS
        assert await found.get("nosuch.test") == 503
        assert len(upstream.requests) == 4


@pytest.mark.parametrize("side", SIDES)
async def test_an_address_that_changes(side: str, tmp_path: Path) -> None:
    """The record's time to live, but not less than the least, says when it is asked for again."""
    zone = {"app.test": Answer("127.0.0.1", ttl=1)}
    async with Upstream() as upstream, with_server(side, tmp_path, zone, dns_min_refresh_rate="1s") as found:
        assert await found.get(f"app.test:{upstream.port}") == 200
        before = await stats(found, "host_address_changed")
        found.dns.zone["app.test"] = Answer("127.0.0.2", ttl=1)

        async def moved() -> bool:
            return await stats(found, "host_address_changed") == before + 1

        await found.until(moved, "the new address")


@pytest.mark.parametrize("side", SIDES)
async def test_a_name_that_nobody_asks_for_is_forgotten(side: str, tmp_path: Path) -> None:
    zone = {"app.test": Answer("127.0.0.1", ttl=1)}
    fields = {"dns_min_refresh_rate": "1s", "host_ttl": "1s"}
    async with Upstream() as upstream, with_server(side, tmp_path, zone, **fields) as found:
        assert await found.get(f"app.test:{upstream.port}") == 200

        async def forgotten() -> bool:
            return await stats(found, "host_removed") == 1

        await found.until(forgotten, "the name is forgotten")


async def greeted(port: int, sent: bytes) -> bytes:
    """What comes back on a connection that begins with these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(2), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("side", SIDES)
async def test_names_that_tls_asks_for(side: str, tmp_path: Path) -> None:
    """The hello is looked into, and passed on as it came."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(b"ok")
        writer.close()

    zone = {"app.test": Answer("127.0.0.1", ttl=60), "broken.test": Fail(SERVFAIL)}
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings, port = cache(), server.sockets[0].getsockname()[1]
    chain = [
        {"name": "sni", "typed_config": {"@type": f"{TYPES}.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
                                         "dns_cache_config": settings, "port_value": port}},
        {"name": "tcp", "typed_config": {"@type": f"{TYPES}.filters.network.tcp_proxy.v3.TcpProxy",
                                         "stat_prefix": "tcp", "cluster": "dynamic"}},
    ]  # fmt: skip
    async with server, proxy(side, tmp_path, [cluster(settings)], zone, network=chain) as found:
        first = hello("app.test")
        assert await greeted(found.port, first) == b"ok"
        assert await greeted(found.port, hello("app.test")) == b"ok"
        assert heard[0] == first
        assert found.dns.count("app.test", "A") == 1  # it is kept
        assert await greeted(found.port, hello("broken.test")) == b""
        assert await greeted(found.port, b"no TLS at all") == b""
        assert len(heard) == 2
