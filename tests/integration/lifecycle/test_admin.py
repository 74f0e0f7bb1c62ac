"""The admin port's JSON beside the real Envoy's, of the same configuration after the same requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.upstream import Upstream
from tests.integration.lifecycle.proxy import GET, Proxy

# What differs by nature: when, how much, whose build; and what Envoy says of itself in its node.
_OWN = ("last_updated", "node", "version", "uptime_current_epoch", "uptime_all_epochs")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """Envoy and ours, each after one request to its upstream."""
    async with Upstream(free_port()) as upstream:
        envoy, ours = (Proxy(kind, tmp_path, upstream.port) for kind in ("envoy", "ours"))
        async with envoy, ours:
            for proxy in (envoy, ours):
                async with Client(proxy.http) as client:
                    await client.send(GET.replace(b"/local", b"/x"))
                    assert await client.response()
            yield envoy, ours


async def page(proxy: Proxy, path: str) -> Any:
    text = await proxy.get(path)
    for port, word in ((proxy.http, "HTTP"), (proxy.tcp, "TCP"), (proxy.admin, "ADMIN")):
        text = text.replace(f'"port_value": {port}', f'"port_value": "{word}"')
    return comparable(json.loads(text))


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items() if key not in _OWN}
    return [comparable(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "path",
    [
        "/certs",
        "/listeners?format=json",
        "/clusters?format=json",
        "/runtime",
        "/init_dump",
        "/stats?format=json&filter=%5Ehttp.in.downstream_rq_(total%7C2xx)$",
        "/stats?format=json&type=Gauges&filter=%5Eserver.(live%7Cstate%7Cconcurrency)$",
        "/config_dump?resource=static_clusters",
        "/config_dump?resource=static_listeners&mask=listener.name,listener.address",
        "/config_dump?resource=static_route_configs",
        "/config_dump?mask=bootstrap.static_resources",
        "/config_dump?mask=static_clusters",
        "/config_dump?include_eds&resource=static_endpoint_configs&mask=endpoint_config.cluster_name",
    ],
)
async def test_the_same(pair: tuple[Proxy, Proxy], path: str) -> None:
    envoy, ours = pair
    assert await page(ours, path) == await page(envoy, path)


@pytest.mark.parametrize("path", ["/memory", "/server_info"])
async def test_the_same_names(pair: tuple[Proxy, Proxy], path: str) -> None:
    envoy, ours = [await page(proxy, path) for proxy in pair]
    assert set(ours) == set(envoy)


async def test_options_have_envoys_names(pair: tuple[Proxy, Proxy]) -> None:
    envoy, ours = [(await page(proxy, "/server_info"))["command_line_options"] for proxy in pair]
    differing = {name for name, value in ours.items() if name in envoy and envoy[name] != value}
    assert differing == {"log_format", "config_path"}
    assert set(ours) - set(envoy) == {"termination_drain", "state_dir"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/quitquitquit"),
        ("POST", "/runtime_modify?a=b"),
        ("GET", "/config_dump?resource=nope"),
        ("GET", "/config_dump?resource=static_clusters&mask=nope"),
        ("GET", "/stats?filter=("),
        ("GET", "/stats?type=Nope"),
        ("GET", "/stats?histogram_buckets=nope"),
        ("POST", "/logging?level=nope"),
        ("POST", "/heapprofiler?enable=y"),
    ],
)
async def test_the_same_status(pair: tuple[Proxy, Proxy], method: str, path: str) -> None:
    envoy, ours = [await proxy.status(path, method) for proxy in pair]
    assert ours == envoy
