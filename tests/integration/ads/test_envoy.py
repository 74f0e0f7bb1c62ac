"""The real Envoy takes what the server sends, in both variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.upstream import Upstream
from tests.integration.ads.support import ControlPlane, Envoy, config, control_plane, envoy

VARIANTS = pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])


async def status(port: int) -> tuple[int, bytes]:
    async with Client(port) as client:
        await client.send(b"GET /x HTTP/1.1\r\nhost: web\r\n\r\n")
        response = await client.response()
    assert response is not None
    return response.status, response.body


async def started(plane: ControlPlane, proxy: Envoy) -> None:
    await proxy.ready()
    done = await plane.hub.convergence(plane.revision, 5.0)
    assert done.state == "converged"


@VARIANTS
async def test_it_is_configured_and_serves(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        plane.publish(config({"one": [upstream.port]}, port, "one"))
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            assert await status(port) == (200, b"/x")
            assert await proxy.rejections() == {}
            [known] = plane.hub.proxies()
            assert {name: s.state for name, s in known.types.items()} == dict.fromkeys(
                ("CDS", "EDS", "LDS", "RDS"), "SYNCED"
            )
