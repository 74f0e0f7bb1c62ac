"""The real Envoy takes what the server sends, in both variants."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener

from control_plane.ads.hub import unpacked
from mesh.xds import CLUSTER, LISTENER, ROUTE
from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.upstream import Upstream
from tests.integration.ads.support import (
    ControlPlane,
    Envoy,
    config,
    control_plane,
    eds_cluster,
    envoy,
    eventually,
    listener,
    routes,
)

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


@VARIANTS
async def test_new_endpoints_are_used(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as first, Upstream() as second:
        plane.publish(config({"one": [first.port]}, port, "one"))
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            pushed = dict(plane.metrics.values)
            await plane.converged(config({"one": [second.port]}, port, "one"))
            assert await status(port) == (200, b"/x")
            assert (len(first.requests), len(second.requests)) == (0, 1)
            changed = {name for name, value in plane.metrics.values.items() if value != pushed.get(name)}
            assert changed == {"pushed.eds", "sent", "converged"}


@VARIANTS
async def test_a_cluster_without_endpoints_stalls_nothing(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane:
        plane.publish(config({"one": [], "two": []}, port, "one"))
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await proxy.ready(seconds=5)
            assert await status(port) == (503, b"no healthy upstream")


@VARIANTS
async def test_a_changed_cluster_does_not_stay_warming(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        built = config({"one": [upstream.port], "two": [upstream.port]}, port, "one")
        plane.publish(built)
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            changed = {**built, CLUSTER: {**built[CLUSTER], "one": eds_cluster("one", "2s")}}
            await plane.converged(changed, seconds=5)
            assert await proxy.stat("cluster_manager.warming_clusters") == 0
            clusters = {c["name"]: c["connect_timeout"] for c in unpacked(plane.hub.proxy_config("web-1", "clusters"))}
            assert clusters == {"one": "2s", "two": "1s"}
            assert await proxy.stat("cluster_manager.cluster_modified") == 1
            assert await status(port) == (200, b"/x")


@VARIANTS
async def test_a_bad_listener_is_reported_and_the_rest_goes_on(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        good = config({"one": [upstream.port]}, port, "one")
        plane.publish(good)
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            bad = Listener(name="bad")
            bad.address.socket_address.address = "127.0.0.1"
            bad.address.socket_address.port_value = free_port()
            bad.filter_chains.add().filters.add(name="nobody knows this")
            with_bad = {**good, LISTENER: {**good[LISTENER], "bad": bad}}
            refused = await plane.hub.convergence(plane.publish(with_bad), 10.0)
            assert refused.state == "nacked"
            [nack] = refused.nacks
            assert (nack.type, nack.resource, nack.proxy) == ("LDS", "bad", plane.hub.proxies()[0].id)
            assert "nobody knows this" in nack.message
            [known] = plane.hub.proxies()
            assert known.types["LDS"].state == "NACKED"
            assert "nobody knows this" in known.types["LDS"].error

            routed = {**with_bad, ROUTE: {"web": routes("web", "missing")}}
            await plane.converged(routed)
            assert (await status(port))[0] == 503
            await plane.converged(good)
            assert plane.hub.proxies()[0].types["LDS"].state == "SYNCED"
            assert await status(port) == (200, b"/x")


@VARIANTS
async def test_a_rejected_cluster_holds_back_the_routes_to_it(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        good = config({"one": [upstream.port]}, port, "one")
        plane.publish(good)
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            bad = config({"two": [upstream.port]}, port, "two")
            bad[CLUSTER]["two"].lb_policy = 6  # CLUSTER_PROVIDED is not for EDS
            refused = await plane.hub.convergence(plane.publish(bad), 10.0)
            assert refused.state == "nacked"
            assert {(nack.type, nack.resource) for nack in refused.nacks} >= {("CDS", "two")}
            assert await status(port) == (200, b"/x")
            await plane.converged(config({"two": [upstream.port]}, port, "two"))
            assert await status(port) == (200, b"/x")


@VARIANTS
async def test_a_listener_takes_over_the_address_of_another(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        built = config({"one": [upstream.port]}, port, "one")
        plane.publish(built)
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            await plane.converged({**built, LISTENER: {"other": listener("other", port, "web")}})
            assert await proxy.rejections() == {}
            assert await status(port) == (200, b"/x")


@VARIANTS
async def test_it_reconnects_soon_and_keeps_what_it_has(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    xds_port = free_port()
    async with Upstream() as upstream:
        built = config({"one": [upstream.port], "two": [upstream.port]}, port, "one")
        async with control_plane(f"127.0.0.1:{xds_port}") as plane:
            plane.publish(built)
            async with envoy(xds_port, delta, tmp_path) as proxy:
                await started(plane, proxy)
                await plane.server.stop()
                assert plane.registry.events == [("connected", "web-1")]
                assert await status(port) == (200, b"/x")
                async with control_plane(f"127.0.0.1:{xds_port}") as again:
                    again.publish({**built, CLUSTER: {**built[CLUSTER], "one": eds_cluster("one", "3s")}})
                    await eventually(again.hub.proxies, 4.0, "reconnect")
                    await eventually(lambda: synced(again), 5.0, "everything in sync")
                    assert await proxy.stat("cluster_manager.warming_clusters") == 0
                    assert await proxy.rejections() == {}
                    assert await status(port) == (200, b"/x")


def synced(plane: ControlPlane) -> bool:
    [known] = plane.hub.proxies()
    return {status.state for status in known.types.values()} == {"SYNCED"}


class Load:
    """Requests one after the other on a few kept-alive connections, for as long as the block lasts."""

    def __init__(self, port: int, connections: int = 3) -> None:
        self._port = port
        self._connections = connections
        self._stop = False
        self.statuses: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        self._running = asyncio.gather(*(self._client() for _ in range(self._connections)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop = True
        await self._running

    async def _client(self) -> None:
        async with Client(self._port) as client:
            while not self._stop:
                await client.send(b"GET /x HTTP/1.1\r\nhost: web\r\n\r\n")
                response = await client.response()
                self.statuses[response.status if response is not None else 0] += 1
                await asyncio.sleep(0.001)


@VARIANTS
async def test_no_request_is_lost_while_clusters_and_routes_are_switched(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        plane.publish(config({"v0": [upstream.port]}, port, "v0"))
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            async with Load(port) as load:
                for step in range(1, 51):
                    name = f"v{step}"
                    await plane.converged(config({name: [upstream.port]}, port, name))
                    await eventually(lambda wanted=step * 20: load.statuses.total() > wanted, 5.0, "requests")
            assert set(load.statuses) == {200}, load.statuses
            assert await proxy.rejections() == {}
            assert await proxy.stat("cluster_manager.active_clusters") == 2  # the last one, and xds


@VARIANTS
async def test_no_request_is_lost_when_changes_overtake_each_other(delta: bool, tmp_path: Path) -> None:
    port = free_port()
    async with control_plane() as plane, Upstream() as upstream:
        plane.publish(config({"v0": [upstream.port]}, port, "v0"))
        async with envoy(plane.server.port, delta, tmp_path) as proxy:
            await started(plane, proxy)
            async with Load(port) as load:
                for step in range(1, 51):
                    name = f"v{step % 7}"
                    plane.publish(config({name: [upstream.port]}, port, name))
                    await asyncio.sleep(0.004 * (step % 5))
                done = await plane.hub.convergence(plane.revision, 10.0)
            assert done.state == "converged"
            assert set(load.statuses) == {200}, load.statuses
            assert await proxy.rejections() == {}
