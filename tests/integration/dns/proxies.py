"""A proxy with a DNS server of its own, and the same for Envoy beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.harness.dns_server import DnsServer
from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.ports import free_port
from tests.harness.process import POLL_SECONDS, Process, admin_ready, http_get
from tests.harness.sidecar import sidecar_command

Fields = Mapping[str, Any]
REFRESH = "0.4s"
SIDES = ("envoy", "ours")
TLS_INSPECTOR = {
    "name": "tls_inspector",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
}


def cluster(name: str, *names: str, port: int = 80, **fields: Any) -> dict[str, Any]:
    """A DNS cluster of these names, looked up often."""
    endpoints = [{"endpoint": {"address": {"socket_address": {"address": each, "port_value": port}}}} for each in names]
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "dns_lookup_family": "V4_ONLY",
        "dns_refresh_rate": REFRESH,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        **fields,
    }


class Proxy:
    """One running proxy; `dns` is the server that it asks."""

    def __init__(self, dns: DnsServer, admin: int, port: int) -> None:
        self.dns = dns
        self.admin = admin
        self.port = port

    async def stats(self, name: str) -> dict[str, int]:
        """A cluster's counters and gauges, without the prefix."""
        prefix = f"cluster.{name}."
        _, text = await asyncio.to_thread(http_get, self.admin, f"/stats?filter=^cluster\\.{name}\\.")
        pairs = (line.split(": ") for line in text.splitlines() if line.startswith(prefix) and "P0" not in line)
        return {key.removeprefix(prefix): int(value) for key, value in pairs if value.isdigit()}

    async def hosts(self, name: str) -> set[str]:
        """The cluster's addresses."""
        _, text = await asyncio.to_thread(http_get, self.admin, "/clusters?format=json")
        statuses = (each for each in json.loads(text)["cluster_statuses"] if each["name"] == name)
        found = (host["address"]["socket_address"] for each in statuses for host in each.get("host_statuses", ()))
        return {f"{each['address']}:{each['port_value']}" for each in found}

    async def until(self, check: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
        """Until the coroutine function `check` says so."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not await check():
            assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {seconds:g} s"
            await asyncio.sleep(POLL_SECONDS)

    async def until_hosts(self, name: str, *wanted: str, seconds: float = 20.0) -> None:
        async def there() -> bool:
            return await self.hosts(name) == set(wanted)

        await self.until(there, f"hosts of {name} {wanted}", seconds)

    async def until_looked_up(self, name: str, times: int) -> None:
        """Until the cluster's names were answered (or not) so many times more."""
        before = await self.stats(name)
        ends = ("update_success", "update_failure")

        async def done() -> bool:
            after = await self.stats(name)
            return sum(after[each] - before[each] for each in ends) >= times

        await self.until(done, f"{times} look-ups for {name}")

    async def get(self, host: str) -> int:
        """The status of a request for that host."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()


def _config(
    clusters: Sequence[Fields],
    resolver: Fields,
    admin: int,
    port: int,
    filters: Sequence[Fields],
    network: Sequence[Fields],
) -> dict[str, Any]:
    hosts = [
        {
            "name": each["name"],
            "domains": each.get("metadata", {}).get("filter_metadata", {}).get("test", {}).get("domains")
            or [each["name"]],
            "routes": [_route(each["name"])],
        }
        for each in clusters
    ]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"name": "routes", "virtual_hosts": hosts},
        "http_filters": [
            *filters,
            {
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    return {
        "admin": {"address": _address(admin)},
        "typed_dns_resolver_config": resolver,
        "static_resources": {
            "clusters": list(clusters),
            "listeners": [
                {
                    "name": "all",
                    "address": _address(port),
                    "filter_chains": [{"filters": list(network) or [{"name": "http", "typed_config": manager}]}],
                    "listener_filters": [TLS_INSPECTOR] if network else [],
                }
            ],
        },
    }


def _route(name: str) -> Fields:
    return {"match": {"prefix": "/"}, "route": {"cluster": name}}


def _address(port: int) -> Fields:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def proxy(
    side: str,
    folder: Path,
    clusters: Sequence[Fields],
    zone: Mapping[str, Any],
    *more: str,
    edit: Fields | None = None,
    filters: Sequence[Fields] = (),
    network: Sequence[Fields] = (),
) -> AsyncIterator[Proxy]:
    """A proxy with these clusters, reached by their names as hosts, once it is ready; or with these `network` filters, which
    know of TLS what its hello says."""
    admin, port = free_port(), free_port()
    async with DnsServer() as dns:
        dns.zone.update(zone)
        path = folder / f"{side}.yaml"
        path.write_text(
            yaml.safe_dump({**_config(clusters, dns.resolver, admin, port, filters, network), **(edit or {})})
        )
        command = (
            envoy_command(envoy_binary(), path, "-l", "error") if side == "envoy" else sidecar_command(path, *more)
        )
        with Process(command, folder / f"{side}.log") as process:
            await asyncio.to_thread(process.wait_ready, admin_ready(admin))
            yield Proxy(dns, admin, port)
