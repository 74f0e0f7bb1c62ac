"""Workers behind a control plane: one stream for all of them, and a change reaches each."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST
from tests.harness.ports import free_port
from tests.harness.process import Process, admin_ready, http_get, wait_until
from tests.harness.sidecar import sidecar_command
from tests.harness.upstream import Upstream, reply
from tests.integration.lifecycle.test_workers import CONNECTIONS, ask, children
from tests.integration.xds_client.ads import ControlPlane
from tests.integration.xds_client.resources import answering, by_vhds, cluster, endpoints, listener, routes
from tests.integration.xds_client.test_client import BOOTSTRAP


def bootstrap(folder: Path, plane: int, admin: int) -> Path:
    where = f"admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}\n"
    path = folder / "bootstrap.yaml"
    path.write_text(BOOTSTRAP.format(kind="DELTA_GRPC", port=plane) + where)
    return path


async def answers(port: int) -> set[bytes]:
    """What so many connections get."""
    return set(await asyncio.gather(*(ask(port) for _ in range(CONNECTIONS))))


async def test_changes_reach_all_workers_and_those_that_come_later(tmp_path: Path) -> None:
    admin, port, taken = free_port(), free_port(), free_port()
    async with ControlPlane() as plane, Upstream(free_port()) as one, Upstream(free_port()) as two:
        one.reset([reply(body=b"one")])
        two.reset([reply(body=b"two")])
        command = sidecar_command(bootstrap(tmp_path, plane.port, admin), "--concurrency", "2", "--state-dir", "")
        process = Process(command, tmp_path / "log")
        try:
            stream = await plane.stream()
            await stream.next(CLUSTER)
            await stream.acked(CLUSTER, stream.push(CLUSTER, {"a": cluster("a")}))
            await stream.next(ENDPOINT)
            await stream.acked(ENDPOINT, stream.push(ENDPOINT, {"a": endpoints("a", one.port)}))
            await stream.next(LISTENER)
            listeners = stream.push(LISTENER, {"out": listener("out", "r", port)})
            await stream.next(ROUTE)
            await stream.acked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a")}))
            await stream.acked(LISTENER, listeners)
            await asyncio.to_thread(process.wait_ready, admin_ready(admin))
            assert await answers(port) == {b"one"}

            await stream.acked(ENDPOINT, stream.push(ENDPOINT, {"a": endpoints("a", two.port)}))
            assert await answers(port) == {b"two"}
            assert plane._streams.empty()
            _, stats = await asyncio.to_thread(http_get, admin, "/stats?filter=control_plane.connected_state")
            assert stats == "control_plane.connected_state: 1\n"

            async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", taken):
                refused = stream.push(LISTENER, {"bad": listener("bad", "r", taken)})
                assert "cannot bind" in await stream.nacked(LISTENER, refused)

            victim = min(children(process.pid))
            os.kill(victim, signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: victim not in children(process.pid), 10.0, "its end")
            assert await answers(port) == {b"two"}
            await asyncio.to_thread(wait_until, lambda: len(children(process.pid)) == 2, 10.0, "another worker")
            assert await answers(port) == {b"two"}

            # Virtual hosts one by one: a worker is told of the one that has changed.
            await stream.acked(ROUTE, stream.push(ROUTE, {"r": by_vhds("r")}))
            await stream.next(VIRTUAL_HOST)
            hosts = {"r/all": answering("r/all", "three"), "r/other": answering("r/other", "other", "other")}
            await stream.acked(VIRTUAL_HOST, stream.push(VIRTUAL_HOST, hosts))
            assert await answers(port) == {b"three"}
            changed = {"r/all": answering("r/all", "four")}
            await stream.acked(VIRTUAL_HOST, stream.push(VIRTUAL_HOST, changed, removed=("r/other",)))
            assert await answers(port) == {b"four"}
        finally:
            await asyncio.to_thread(process.stop)
