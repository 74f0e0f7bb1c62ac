"""Workloads by their xDS streams: seen by others, missed when lost, kept when it is we who are gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mesh.node import Node, ServicePort
from tests.integration.control_plane.support import ControlPlane, endpoints, proxy

REVIEWS = Node("sidecar", "127.0.1.2", "reviews-1", service="reviews", ports=(ServicePort(9080),))
CLIENT = Node("sidecar", "127.0.1.3", "client")
CLUSTER = "outbound|9080||reviews.default.svc.cluster.local"


async def until(plane: ControlPlane, expected: dict[str, tuple[bool, bool]]) -> None:
    await asyncio.to_thread(plane.until, lambda: plane.workloads() == expected, f"workloads {expected}")


async def test_a_lost_workload_is_unhealthy_and_then_gone(tmp_path: Path) -> None:
    flags = ("--lost-grace", "0.3", "--removal-grace", "0.3")
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path, *flags) as plane:
        async with proxy(plane.xds, REVIEWS), proxy(plane.xds, REVIEWS):
            await until(plane, {"127.0.1.2": (True, True)})
        await until(plane, {"127.0.1.2": (False, False)})
        await until(plane, {})


async def test_others_are_told_at_once(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path, "--lost-grace", "0.2") as plane:
        other = Node("sidecar", "127.0.1.4", "reviews-2", service="reviews", ports=(ServicePort(9080),))
        async with proxy(plane.xds, REVIEWS), proxy(plane.xds, CLIENT) as stream:
            await until(plane, {"127.0.1.2": (True, True), "127.0.1.3": (True, True)})
            versions = endpoints(stream, CLUSTER)
            both = [("127.0.1.2", 15006, True), ("127.0.1.4", 15006, True)]
            assert await anext(versions) in ([both[0]], [])
            async with proxy(plane.xds, other):
                while await anext(versions) != both:
                    pass
            assert await anext(versions) == [both[0], ("127.0.1.4", 15006, False)]


async def test_a_restart_of_ours_withdraws_nobody(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path, "--lost-grace", "0.2") as plane:
        async with proxy(plane.xds, REVIEWS):
            await until(plane, {"127.0.1.2": (True, True)})
            await asyncio.sleep(0)
            plane.kill()
        plane.start()
        assert plane.workloads() == {"127.0.1.2": (False, True)}
        async with proxy(plane.xds, CLIENT) as stream:
            assert await anext(endpoints(stream, CLUSTER)) == [("127.0.1.2", 15006, True)]
        plane.process.stop()
        plane.start()
        # Nor does an orderly end, in which every stream ends before we do.
        assert plane.workloads()["127.0.1.2"] == (False, True)
