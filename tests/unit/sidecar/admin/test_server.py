from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from sidecar.admin import AdminServer, answers
from sidecar.config import model
from sidecar.telemetry.station import Telemetry
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.telemetry.trace import Span
from tests.harness.process import wait_until
from tests.harness.sockets import SYSTEM_MOST, backlogs
from tests.unit.sidecar.admin.fakes import FakeHost, FakeRuntime, reviews
from tests.unit.sidecar.telemetry.exchanges import clock, node

Client = TestClient[Any, Any]


@pytest.fixture
def runtime() -> FakeRuntime:
    made = FakeRuntime()
    made.add(reviews(), FakeHost(model.Address("10.0.0.7", 9080)))
    made.listen(
        model.Listener("virtualOutbound", model.Address("127.0.0.1", 15001), ()), model.Address("127.0.0.1", 15001)
    )
    return made


@pytest.fixture
async def telemetry() -> AsyncIterator[Telemetry]:
    made = Telemetry(Stats(), node(), asyncio.get_running_loop(), clock=clock())
    ClusterStats(made.stats, "up").complete(200, 3.0)
    yield made
    await made.close()


@pytest.fixture
async def client(runtime: FakeRuntime, telemetry: Telemetry) -> AsyncIterator[Client]:
    admin = AdminServer(runtime, telemetry, options={"concurrency": 1})
    async with TestClient(TestServer(admin.application())) as made:
        yield made


async def get(client: Client, path: str, **headers: str) -> tuple[int, str]:
    async with client.get(path, headers=headers) as response:
        return response.status, await response.text()


async def post(client: Client, path: str, **headers: str) -> tuple[int, str]:
    async with client.post(path, headers=headers) as response:
        return response.status, await response.text()


async def test_headers_are_envoys(client: Client) -> None:
    async with client.get("/ready") as response:
        assert response.headers["content-type"] == "text/plain; charset=UTF-8"
        assert response.headers["cache-control"] == "no-cache, max-age=0"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["server"] == "envoy"


async def test_ready(client: Client, runtime: FakeRuntime) -> None:
    assert await get(client, "/ready") == (200, "LIVE\n")
    runtime.ready, runtime.ready_reason = False, "waiting for\nclusters"
    async with client.get("/ready") as response:
        assert (response.status, await response.text()) == (503, "PRE_INITIALIZING\n")
        assert response.headers["x-mesh-ready-reason"] == "waiting for clusters"
    runtime.ready = True
    assert await get(client, "/ready") == (200, "LIVE\n")


async def test_health_can_be_made_to_fail(client: Client) -> None:
    assert await post(client, "/healthcheck/fail") == (200, "OK\n")
    assert await get(client, "/ready") == (503, "DRAINING\n")
    assert await post(client, "/healthcheck/ok") == (200, "OK\n")
    assert await get(client, "/ready") == (200, "LIVE\n")


@pytest.mark.parametrize(
    "path",
    ["/quitquitquit", "/drain_listeners", "/logging", "/reset_counters", "/reopen_logs", "/healthcheck/fail"],
)
async def test_what_changes_something_wants_a_post(client: Client, runtime: FakeRuntime, path: str) -> None:
    assert await get(client, path) == (405, "Method GET not allowed, POST required.")
    assert not runtime.ended


async def test_unknown_paths_get_help(client: Client) -> None:
    status, text = await get(client, "/nope")
    assert status == 404
    assert text.startswith("invalid path. admin commands are:\n  /: ")
    assert await get(client, "/help") == (200, text.removeprefix("invalid path. "))
    status, text = await get(client, "/")
    assert status == 200
    assert '<a href="/clusters">' in text
    assert 'action="/quitquitquit" method="post"' in text


async def test_clusters(client: Client) -> None:
    _, text = await get(client, "/clusters")
    assert "outbound|9080||reviews::10.0.0.7:9080::rq_total::40\n" in text
    assert "outbound|9080||reviews::added_via_api::true\n" in text
    _, text = await get(client, "/clusters?format=json")
    (status,) = json.loads(text)["cluster_statuses"]
    assert status["name"] == "outbound|9080||reviews"
    assert await get(client, "/clusters?filter=nope") == (200, "")
    assert (await get(client, "/clusters?format=xml"))[0] == 400
    assert (await get(client, "/clusters?filter=%5B"))[0] == 400


async def test_listeners(client: Client) -> None:
    assert await get(client, "/listeners") == (200, "virtualOutbound::127.0.0.1:15001\n")
    _, text = await get(client, "/listeners?format=json")
    assert json.loads(text)["listener_statuses"][0]["name"] == "virtualOutbound"


async def test_stats(client: Client) -> None:
    _, text = await get(client, "/stats?filter=upstream_rq_200")
    assert text == "cluster.up.upstream_rq_200: 1\n"
    _, text = await get(client, "/stats?format=json&usedonly&filter=upstream_rq_200")
    assert json.loads(text)["stats"][0] == {"name": "cluster.up.upstream_rq_200", "value": 1}
    assert await get(client, "/stats?format=xml") == (400, "usage: /stats?format=(json|prometheus|text)\n")
    _, text = await get(client, "/stats?filter=server.live")
    assert text == "server.live: 1\n"


async def test_prometheus(client: Client) -> None:
    for path in ("/stats/prometheus", "/stats?format=prometheus"):
        _, text = await get(client, path)
        assert 'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="up"} 1' in text
    async with client.get(
        "/stats/prometheus", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    ) as found:
        assert found.headers["content-type"].startswith("application/openmetrics-text")
        assert (await found.text()).endswith("# EOF\n")
    _, text = await get(client, "/stats/prometheus?usedonly&filter=upstream_rq_200")
    assert text.count("\n") == 3


async def test_a_scraper_may_ask_for_gzip(runtime: FakeRuntime, telemetry: Telemetry) -> None:
    admin = AdminServer(runtime, telemetry)
    address = await admin.start(model.Address("127.0.0.1", 0))
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        url = f"http://{address}/stats/prometheus"
        async with session.get(url, headers={"Accept-Encoding": "gzip"}) as response:
            assert response.headers["content-encoding"] == "gzip"
            assert b"envoy_cluster_upstream_rq" in gzip.decompress(await response.read())
        async with session.get(url, headers={"Accept-Encoding": "identity"}) as response:
            assert "content-encoding" not in response.headers
    await admin.close()


@pytest.mark.fault(25)
async def test_as_many_may_wait_to_be_accepted_as_the_system_allows(runtime: FakeRuntime, telemetry: Telemetry) -> None:
    admin = AdminServer(runtime, telemetry)
    await admin.start(model.Address("127.0.0.1", 0))
    assert backlogs(admin._runner) == [SYSTEM_MOST]
    await admin.close()


async def test_counters_are_reset(client: Client, runtime: FakeRuntime) -> None:
    assert await post(client, "/reset_counters") == (200, "OK\n")
    assert runtime.did == ["reset_counters"]


async def test_server_info(client: Client) -> None:
    _, text = await get(client, "/server_info")
    found = json.loads(text)
    assert found["state"] == "LIVE"
    assert found["uptime_current_epoch"] == "0s"
    assert found["command_line_options"] == {"concurrency": 1}
    assert found["node"]["id"] == "sidecar~1~a.b~c"


async def test_drain_and_quit(client: Client, runtime: FakeRuntime) -> None:
    assert await post(client, "/drain_listeners?graceful&inboundonly") == (200, "OK\n")
    assert await post(client, "/drain_listeners") == (200, "OK\n")
    assert await post(client, "/drain_listeners?skip_exit") == (200, "OK\n")
    assert runtime.drained == [(True, True, False), (False, False, False), (False, False, True)]
    assert (await post(client, "/drain_listeners?gracefully"))[0] == 400
    assert await post(client, "/quitquitquit") == (200, "OK\n")
    assert runtime.ended


async def test_logging(client: Client) -> None:
    status, text = await post(client, "/logging")
    assert status == 200
    assert text.startswith("active loggers:\n  root: ")
    assert (await post(client, "/logging?level=loud"))[0] == 400


async def test_memory_and_certs(client: Client) -> None:
    assert "allocated" in json.loads((await get(client, "/memory"))[1])
    assert json.loads((await get(client, "/certs"))[1]) == {"certificates": []}


async def test_traces_newest_first(client: Client, telemetry: Telemetry) -> None:
    for number in range(5):
        telemetry.spans.add(Span(f"s{number}", "CLIENT", f"t{number % 2}", "", "", 1, 2, {"a": 1}, False))
    _, text = await get(client, "/traces?limit=2")
    assert [span["name"] for span in json.loads(text)["spans"]] == ["s4", "s3"]
    _, text = await get(client, "/traces?trace_id=t1")
    assert [span["name"] for span in json.loads(text)["spans"]] == ["s3", "s1"]
    assert (await get(client, "/traces?limit=x"))[0] == 400


async def test_breakers(client: Client, telemetry: Telemetry) -> None:
    telemetry.on_breaker("c", "10.0.0.7:9080", "open", "why")
    found = json.loads((await get(client, "/breakers"))[1])
    assert found["breakers"] == []
    assert found["events"][0]["reason"] == "why"


async def test_config_dump(client: Client) -> None:
    status, text = await get(client, "/config_dump?resource=static_clusters")
    assert (status, json.loads(text)) == (200, {"configs": []})
    assert (await get(client, "/config_dump?what=x"))[0] == 400
    assert (await get(client, "/config_dump?resource=x"))[0] == 404


async def test_pages_with_little_to_tell(client: Client, runtime: FakeRuntime) -> None:
    assert await get(client, "/hot_restart_version") == (200, "disabled")
    assert json.loads((await get(client, "/runtime"))[1]) == {"layers": [], "entries": {}}
    assert json.loads((await get(client, "/init_dump"))[1]) == {}
    runtime.ready, runtime.ready_reason = False, "no listeners yet"
    [waits] = json.loads((await get(client, "/init_dump"))[1])["unready_targets_dumps"]
    assert waits == {"name": "server", "target_names": ["no listeners yet"]}
    assert (await get(client, "/contention"))[0] == 200
    assert (await get(client, "/stats/recentlookups"))[0] == 200
    assert (await get(client, "/heap_dump"))[0] == 501
    assert (await post(client, "/cpuprofiler?enable=y"))[0] == 501
    assert (await get(client, "/cpuprofiler"))[0] == 405
    assert await post(client, "/runtime_modify?a=b") == (503, "No admin layer specified\n")


async def test_logs_are_reopened(client: Client, runtime: FakeRuntime) -> None:
    assert await post(client, "/reopen_logs") == (200, "OK\n")
    assert runtime.did == ["reopen_logs"]


async def test_workers_are_looked_at_before_they_are_shown_and_after_a_change(
    client: Client, runtime: FakeRuntime
) -> None:
    await get(client, "/ready")
    assert runtime.looked == []
    await get(client, "/clusters")
    await post(client, "/reopen_logs")
    assert runtime.looked == [("clusters",), ()]


# ── who may ask ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:15000", 200),
        ("localhost:15000", 200),
        ("localhost", 200),
        ("[::1]:15000", 200),
        ("[::1]", 200),
        ("productpage:15000", 200),
        ("productpage.default.svc.cluster.local:15000", 200),
        ("evil.example.com:15000", 403),
        ("127.0.0.1.evil.example.com", 403),
    ],
)
async def test_public_names_are_refused(client: Client, host: str, status: int) -> None:
    assert (await get(client, "/config_dump", Host=host))[0] == status
    assert (await get(client, "/ready", Host=host))[0] == 200
    assert (await get(client, "/stats/prometheus", Host=host))[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost:15000", 200), ("https://evil.example.com", 403), ("null", 403)]
)
async def test_other_sites_cannot_change_anything(
    client: Client, runtime: FakeRuntime, origin: str, status: int
) -> None:
    assert (await post(client, "/quitquitquit", Host="localhost:15000", Origin=origin))[0] == status
    assert runtime.ended is (status == 200)


# ── slow readers ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_that_stops_is_let_go(
    runtime: FakeRuntime, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WRITE_TIMEOUT", 0.05)
    for number in range(300):
        ClusterStats(telemetry.stats, f"{number:04}" + "x" * 200)
    admin = AdminServer(runtime, telemetry)
    address = await admin.start(model.Address("127.0.0.1", 0))
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((address.host, address.port))
        reader.sendall(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.to_thread(wait_until, lambda: len(admin.connections) == 1, 5, "the connection")
        await asyncio.to_thread(wait_until, lambda: not admin.connections, 5, "its end")
    await admin.close()
