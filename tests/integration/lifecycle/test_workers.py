"""`--concurrency N`: several processes, seen from outside as one proxy."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.process import wait_until
from tests.harness.upstream import Upstream
from tests.integration.lifecycle.proxy import GET, Proxy

UP = GET.replace(b"/local", b"/x")
CONNECTIONS = 24


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream(free_port()) as running:
        yield running


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxy]:
    async with Proxy("ours", tmp_path, upstream.port, "--concurrency", "2", "--drain-strategy", "immediate") as running:
        yield running


def children(pid: int) -> set[int]:
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def serving(proxy: Proxy) -> int:
    """How many processes listen at the HTTP port."""
    sockets = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(fields[1] == f"0100007F:{proxy.http:04X}" and fields[3] == "0A" for fields in sockets)


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def until(check: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, check, 10.0, what)


async def ask(port: int, data: bytes = GET) -> bytes:
    async with Client(port) as client:
        await client.send(data)
        answer = await client.response()
        assert answer is not None
        assert answer.status == 200
        return answer.body


async def many(proxy: Proxy) -> None:
    """So many connections that every worker had some."""
    await asyncio.gather(*(ask(proxy.http, UP) for _ in range(CONNECTIONS)))


async def test_statistics_are_those_of_all_workers(proxy: Proxy, upstream: Upstream) -> None:
    assert len(children(proxy.process.pid)) == 2
    await many(proxy)
    assert await proxy.stat("http.in.downstream_rq_total") == CONNECTIONS
    assert await proxy.stat("cluster.up.upstream_rq_2xx") == CONNECTIONS
    assert await proxy.stat("cluster.up.membership_total") == 1
    assert await proxy.stat("listener_manager.total_listeners_active") == 2
    assert await proxy.stat("server.concurrency") == 2
    assert await proxy.stat("cluster.up.upstream_cx_active") == upstream.connections
    prometheus = await proxy.get("/stats/prometheus")
    assert f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="up"}} {CONNECTIONS}\n' in prometheus
    assert re.search(
        r'istio_requests_total\{.*reporter="destination".*\} %d\n'.replace("%d", str(CONNECTIONS)), prometheus
    )
    assert f'envoy_http_downstream_rq_time_count{{envoy_http_conn_manager_prefix="in"}} {CONNECTIONS}\n' in prometheus
    [cluster] = json.loads(await proxy.get("/clusters?format=json"))["cluster_statuses"]
    stats = {stat["name"]: stat.get("value") for stat in cluster["host_statuses"][0]["stats"]}
    assert stats["rq_total"] == str(CONNECTIONS)
    assert "listeners" in await proxy.get("/config_dump?include_eds")
    assert json.loads(await proxy.get("/memory"))["allocated"]
    await proxy.post("/reset_counters")
    assert await proxy.stat("http.in.downstream_rq_total") == 0


async def test_lines_of_one_log_stay_whole(proxy: Proxy) -> None:
    await asyncio.gather(*(many(proxy) for _ in range(4)))
    lines = await proxy.lines(4 * CONNECTIONS)
    assert set(lines) == {"HTTP/1.1 200 - via_upstream"}
    proxy.log.rename(proxy.log.with_suffix(".old"))
    await proxy.post("/reopen_logs")
    await many(proxy)
    assert len(await proxy.lines(CONNECTIONS)) == CONNECTIONS


async def test_a_worker_that_dies_is_replaced(proxy: Proxy) -> None:
    await proxy.post("/healthcheck/fail")
    before = children(proxy.process.pid)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: victim not in children(proxy.process.pid) and serving(proxy) == 2, "another worker")
    assert re.search(r"worker \d ended \(signal 9\)", proxy.process.log())
    for _ in range(CONNECTIONS):
        async with Client(proxy.http) as client:
            await client.send(GET)
            answer = await client.response()
            assert answer is not None
            assert answer.closes  # the new one knows, too, that health checks are to fail


async def test_drains_and_levels_reach_all(proxy: Proxy) -> None:
    assert "sidecar.runtime: debug" in await proxy.post("/logging?sidecar.runtime=debug")
    await proxy.post("/drain_listeners?skip_exit")
    for _ in range(CONNECTIONS):
        async with Client(proxy.http) as client:
            await client.send(GET)
            answer = await client.response()
            assert answer is not None
            assert answer.closes
    await proxy.post("/drain_listeners")
    await until(lambda: serving(proxy) == 0, "closed ports")


async def test_sigterm_ends_all_with_their_requests(proxy: Proxy, upstream: Upstream) -> None:
    async with Client(proxy.http) as busy, Client(proxy.http) as idle:
        await busy.send(GET.replace(b"/local", b"/delay/0.5"))
        await upstream.wait_for_requests(1)
        pids = children(proxy.process.pid)
        proxy.process.signal(signal.SIGTERM)
        assert await idle.end() == "fin"
        answer = await busy.response()
        assert answer is not None
        assert answer.body == b"slow"
        assert await asyncio.to_thread(proxy.process.wait) == 0
    assert gone(pids)


async def test_workers_end_with_their_supervisor(proxy: Proxy) -> None:
    pids = children(proxy.process.pid)
    proxy.process.signal(signal.SIGKILL)
    await until(lambda: gone(pids), "the workers' end")


@pytest.mark.parametrize("problem", ["port", "log"])
async def test_what_no_worker_could_do_is_refused(tmp_path: Path, upstream: Upstream, problem: str) -> None:
    def spoil(config: dict[str, object]) -> None:
        text = json.dumps(config)
        old = str(tmp_path / "access.log") if problem == "log" else "never"
        config.update(json.loads(text.replace(old, "/nowhere/at/all")))

    proxy = Proxy("ours", tmp_path, upstream.port, "--concurrency", "2", edit=spoil)
    if problem == "port":
        await asyncio.to_thread(proxy.process.stop)
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", proxy.http)
        proxy = Proxy("ours", tmp_path, upstream.port, "--concurrency", "2", edit=lambda c: at_port(c, server))
    assert await asyncio.to_thread(proxy.process.wait) == 1
    wanted = "cannot open the access log" if problem == "log" else "cannot bind"
    assert wanted in proxy.process.log()


def at_port(config: dict[str, object], server: asyncio.Server) -> None:
    port = server.sockets[0].getsockname()[1]
    config["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = port  # type: ignore[index]
