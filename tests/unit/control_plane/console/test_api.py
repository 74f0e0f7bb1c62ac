"""The HTTP API on a store in memory, with made-up proxies."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from prometheus_client import CollectorRegistry

from control_plane.ads.effect import Effects
from control_plane.ads.hub import UnknownProxyError
from control_plane.ads.origins import Origins
from control_plane.ads.status import Convergence, Nack, ProxyStatus, TypeStatus
from control_plane.console import body, server
from control_plane.console.plane import Plane
from control_plane.console.server import api, metrics_app
from control_plane.metrics import ControlMetrics
from control_plane.registry.workload import Workload
from control_plane.sources.database import MEMORY
from control_plane.sources.source import Event
from control_plane.sources.sqlite import SqliteSource
from control_plane.store import texts
from control_plane.store.store import ConfigStore
from control_plane.world import MeshConfig, World
from mesh.clock import SystemClock
from mesh.node import Node
from mesh.xds import any_of
from tests.unit.control_plane.samples import route, text

PROXY = ProxyStatus(
    "id-1", "web-1", "default", "web", "sidecar", "127.0.1.2", True, 17.0, {"CDS": TypeStatus("SYNCED")}
)


class Hub:
    """Knows one proxy."""

    def proxies(self) -> list[ProxyStatus]:
        return [PROXY]

    def proxy_config(self, proxy: str, type_name: str) -> list[bytes]:
        if proxy not in ("id-1", "web-1"):
            raise UnknownProxyError(f"no connected proxy {proxy}")
        return [any_of(Cluster(name=type_name)).SerializeToString()]

    def effects(self, world: World) -> Effects:
        return Effects([], world, Origins())

    async def convergence(self, revision: int, timeout: float) -> Convergence:  # noqa: ASYNC109
        return Convergence(revision, "nacked", 2, 1, timeout, (Nack("id-1", "LDS", "in", "no such filter"),))


class Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body

    @property
    def errors(self) -> list[str]:
        return [error["message"] for error in self.body["errors"]]


class Api:
    def __init__(self, client: Any, subject: Plane) -> None:
        self.client = client
        self.subject = subject

    async def call(self, method: str, path: str, body: Any = None, **other: Any) -> Answer:
        async with self.client.request(method, path, json=body, **other) as response:
            return Answer(response.status, await response.json())

    async def apply(self, *documents: Any, **other: Any) -> Answer:
        return await self.call(
            "POST", "/api/v1/apply", {"files": [{"name": "a.yaml", "text": text(*documents)}], **other}
        )


@pytest.fixture
async def console() -> AsyncIterator[Api]:
    source = SqliteSource(MEMORY)
    await source.open()
    metrics = ControlMetrics(CollectorRegistry(), "1.0")
    lost = Workload(Node("sidecar", "127.0.1.3", "api-1", service="api", labels={"app": "api"}), False, False, 5.0)
    store = ConfigStore(source, lambda: [lost], lambda *_: None, metrics, MeshConfig(), SystemClock())
    await store.start()
    subject = Plane(store, Hub(), lambda: [lost], metrics, "1.0", 1.0)
    async with TestClient(TestServer(api(subject))) as client:
        yield Api(client, subject)
    store.stop()
    await source.close()


async def test_apply_get_and_delete(console: Api) -> None:
    answer = await console.apply(route("a"), route("b"))
    findings = answer.body.pop("findings")
    assert [(each["code"], each["resource"], each["line"]) for each in findings] == [
        ("IST0101", "a", 12),
        ("IST0101", "b", 26),
    ]
    assert (answer.status, answer.body) == (
        200,
        {
            "revision": 1,
            "results": [
                {"kind": "VirtualService", "namespace": "default", "name": "a", "action": "created"},
                {"kind": "VirtualService", "namespace": "default", "name": "b", "action": "created"},
            ],
        },
    )
    answer = await console.call("GET", "/api/v1/resources?kind=VirtualService&name=a")
    assert answer.body["revision"] == 1
    (item,) = answer.body["items"]
    assert (item["revision"], item["document"]) == (1, route("a"))
    answer = await console.call("DELETE", "/api/v1/resources/VirtualService/default/a")
    assert [result["action"] for result in answer.body["results"]] == ["deleted"]
    answer = await console.call("DELETE", "/api/v1/resources/VirtualService/default/a")
    assert (answer.status, answer.errors) == (404, ["there is no VirtualService/default/a"])
    files = {"files": [{"name": "a.yaml", "text": text(route("a"), route("b"))}]}
    answer = await console.call("POST", "/api/v1/delete", files)
    assert [result["action"] for result in answer.body["results"]] == ["not found", "deleted"]
    assert (await console.call("POST", "/api/v1/delete", files)).status == 404


async def test_a_dry_run(console: Api) -> None:
    answer = await console.apply(route("a"), dry_run=True)
    assert (answer.body["revision"], answer.body["results"][0]["action"]) == (0, "created")
    assert (await console.call("GET", "/api/v1/resources")).body["items"] == []


async def test_refused_files_get_every_problem_with_its_place(console: Api) -> None:
    bad = {**route("a"), "spec": {"hosts": ["a"], "teleport": 1}}
    answer = await console.apply(route("b"), bad)
    assert answer.status == 422
    (error,) = answer.body["errors"]
    assert (error["file"], error["field"]) == ("a.yaml", "spec.teleport")
    assert error["line"] > 1
    assert (await console.call("GET", "/api/v1/resources")).body == {"revision": 0, "items": []}


async def test_diff(console: Api) -> None:
    await console.apply(route("a"))
    body = {"files": [{"name": "a.yaml", "text": text(route("a", "v2"))}]}
    (found,) = (await console.call("POST", "/api/v1/diff", body)).body["diffs"]
    assert found["name"] == "a"
    assert "+        subset: v2" in found["diff"]


async def test_history_and_rollback(console: Api) -> None:
    await console.apply(route("a"))
    await console.apply(route("a", "v2"))
    await console.call("DELETE", "/api/v1/resources/VirtualService/default/a")
    items = (await console.call("GET", "/api/v1/history?limit=2")).body["items"]
    assert [(item["revision"], item["action"], item["document"]) for item in items] == [
        (3, "deleted", None),
        (2, "configured", route("a", "v2")),
    ]
    answer = await console.call("POST", "/api/v1/rollback", {"revision": 2})
    assert (answer.body["revision"], answer.body["results"][0]["action"]) == (4, "created")
    answer = await console.call("POST", "/api/v1/rollback", {"revision": 99})
    assert (answer.status, answer.errors) == (404, ["there is no revision 99; the latest is 4"])


async def test_watch_tells_the_past_and_the_future(console: Api) -> None:
    await console.apply(route("a"))
    async with console.client.get("/api/v1/watch?since=0") as response, asyncio.timeout(5):
        first = json.loads(await response.content.readline())
        assert first == {"revision": 1, "action": "created", "document": route("a")}
        await console.apply(route("a", "v2"))
        assert json.loads(await response.content.readline())["document"] == route("a", "v2")
        await console.call("DELETE", "/api/v1/resources/VirtualService/default/a")
        gone = json.loads(await response.content.readline())
        assert (gone["action"], gone["document"]["metadata"]["name"]) == ("deleted", "a")


async def test_watch_without_a_revision_begins_now(console: Api) -> None:
    await console.apply(route("a"))
    async with console.client.get("/api/v1/watch") as response, asyncio.timeout(5):
        await console.apply(route("b"))
        assert json.loads(await response.content.readline())["revision"] == 2


async def test_proxies_and_workloads(console: Api) -> None:
    connected, lost = sorted(
        (await console.call("GET", "/api/v1/proxies")).body["items"], key=lambda item: not item["connected"]
    )
    assert (connected["id"], connected["types"]["CDS"]["state"]) == ("id-1", "SYNCED")
    assert (lost["name"], lost["connected"], lost["since"], lost["types"]) == ("api-1", False, 5.0, {})
    (workload,) = (await console.call("GET", "/api/v1/workloads")).body["items"]
    assert workload == {
        "id": lost["id"],
        "name": "api-1",
        "service": "api",
        "group": "",
        "namespace": "default",
        "address": "127.0.1.3",
        "labels": {"app": "api"},
        "healthy": False,
        "connected": False,
        "state": "lost",
        "problem": "",
        "probe": "",
        "joined": 0.0,
        "since": 5.0,
        "beat": 5.0,
    }


async def test_the_status_of_resources(console: Api) -> None:
    later = route("b")
    later["spec"]["hosts"] = ["a"]
    await console.apply(route("a"), later)
    answer = await console.call("GET", "/api/v1/status/resources?kind=VirtualService")
    first, second = answer.body["items"]
    assert (first["name"], first["summary"], first["concerned"]) == ("a", "accepted", 0)
    assert second["shadowed_by"] == ["VirtualService default/a"]
    assert second["summary"] == "shadowed by VirtualService default/a"
    assert "IST0109" in [found["code"] for found in second["findings"]]
    one = await console.call("GET", "/api/v1/status/resources?kind=VirtualService&name=b")
    assert one.body["items"] == [second]


async def test_an_analysis_changes_nothing(console: Api) -> None:
    files = [{"name": "a.yaml", "text": text(route("a")) + "---\n{}\n"}]
    answer = await console.call("POST", "/api/v1/analyze", {"files": files})
    found = {(each["code"], each["reference"]) for each in answer.body["findings"]}
    assert any(code == "IST0106" for code, _ in found)
    assert any(code == "IST0101" and place.startswith("a.yaml:") for code, place in found)
    assert (await console.call("GET", "/api/v1/resources")).body["items"] == []


async def test_the_configuration_of_a_proxy(console: Api) -> None:
    answer = await console.call("GET", "/api/v1/proxies/web-1/config?type=clusters")
    assert answer.body == {"items": [{"name": "clusters"}]}
    answer = await console.call("GET", "/api/v1/proxies/other/config?type=clusters")
    assert (answer.status, answer.errors) == (404, ["no connected proxy other"])
    answer = await console.call("GET", "/api/v1/proxies/web-1/config?type=secrets")
    assert (answer.status, answer.body["errors"][0]["field"]) == (400, "type")


async def test_convergence(console: Api) -> None:
    answer = await console.call("GET", "/api/v1/convergence/0?timeout=0.5")
    nack = {"proxy": "id-1", "type": "LDS", "resource": "in", "message": "no such filter"}
    assert answer.body == {
        "revision": 0,
        "state": "nacked",
        "affected": 2,
        "acked": 1,
        "seconds": 0.5,
        "nacks": [nack],
        "p50": 0.0,
        "p99": 0.0,
    }
    answer = await console.call("GET", "/api/v1/convergence/5")
    assert (answer.status, answer.errors) == (400, ["there is no revision 5 yet; the latest is 0"])


async def test_index_ready_and_status(console: Api) -> None:
    async with console.client.get("/") as response:
        assert "POST   /api/v1/apply" in await response.text()
    async with console.client.get("/readyz") as response:
        assert (response.status, await response.text()) == (200, "ready\n")
    body = (await console.call("GET", "/api/v1/status")).body
    assert (body["store"], body["revision"], body["proxies"], body["problems"]) == ("sqlite://:memory:", 0, 1, [])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/apply", [], 400),
        ("POST", "/api/v1/apply", {}, 400),
        ("POST", "/api/v1/apply", {"files": []}, 400),
        ("POST", "/api/v1/apply", {"files": ["x"]}, 400),
        ("POST", "/api/v1/apply", {"files": [{"name": 1, "text": ""}]}, 400),
        ("POST", "/api/v1/apply", {"files": [{"text": 1}]}, 400),
        ("POST", "/api/v1/apply", {"files": [{"text": ""}], "dry_run": "yes"}, 400),
        ("POST", "/api/v1/apply", {"files": [{"text": ""}], "force": True}, 400),
        ("POST", "/api/v1/apply", {"files": [{"text": "\ud800"}]}, 422),
        ("POST", "/api/v1/apply", {"files": [{"name": "x", "text": "a: &a [*a]"}]}, 422),
        ("POST", "/api/v1/rollback", {"revision": True}, 400),
        ("POST", "/api/v1/rollback", {"revision": "1"}, 400),
        ("POST", "/api/v1/rollback", {"revision": 10**30}, 404),
        ("GET", "/api/v1/history?limit=0", None, 400),
        ("GET", "/api/v1/history?limit=x", None, 400),
        ("GET", "/api/v1/history?limit=99999999999999999999", None, 400),
        ("GET", "/api/v1/watch?since=-1", None, 400),
        ("GET", "/api/v1/convergence/x", None, 400),
        ("GET", "/api/v1/convergence/0?timeout=nan", None, 400),
        ("GET", "/api/v1/nothing", None, 404),
        ("PUT", "/api/v1/apply", {}, 405),
        ("DELETE", "/api/v1/resources/a/b/%00", None, 404),
    ],
)
async def test_bad_requests_get_an_answer_in_json(console: Api, method: str, path: str, body: Any, status: int) -> None:
    answer = await console.call(method, path, body)
    assert answer.status == status, answer.body
    assert all(answer.errors)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
async def test_bodies_that_are_no_json(console: Api, data: bytes) -> None:
    headers = {"content-type": "application/json"}
    async with console.client.post("/api/v1/apply", data=data, headers=headers) as response:
        assert response.status == 400
        assert "not JSON" in (await response.json())["errors"][0]["message"]


async def test_a_body_that_is_too_large(console: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    async with TestClient(TestServer(api(console.subject))) as client:
        response = await client.post("/api/v1/apply", json={"files": [{"text": "x" * 2000}]})
        assert response.status == 413
        assert "1000 bytes is the limit" in (await response.json())["errors"][0]["message"]


async def test_web_pages_are_kept_out(console: Api) -> None:
    headers = {"content-type": "text/plain"}
    async with console.client.post("/api/v1/apply", data=b"{}", headers=headers) as response:
        assert response.status == 415
    async with console.client.get("/api/v1/resources", headers={"host": "evil.example:15080"}) as response:
        assert response.status == 421
    for name in ("localhost:1", "127.0.0.1", "[::1]:15080", "mesh.localhost"):
        async with console.client.get("/api/v1/resources", headers={"host": name}) as response:
            assert response.status == 200


async def test_an_unexpected_error_is_logged_and_answered_with_a_reference(
    console: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Hub, "proxies", lambda _self: 1 / 0)
    answer = await console.call("GET", "/api/v1/proxies")
    (message,) = answer.errors
    assert answer.status == 500
    assert "ZeroDivisionError" not in message
    reference = message.rpartition(" ")[2]
    assert reference in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_metrics() -> None:
    metrics = ControlMetrics(CollectorRegistry(), "1.0")
    metrics.pushed("cds")
    metrics.pushed("cds")
    metrics.rejected("lds")
    metrics.proxies(3)
    async with TestClient(TestServer(metrics_app(metrics))) as client:
        response = await client.get("/metrics")
        text = await response.text()
    assert response.status == 200
    assert 'pilot_xds_pushes{type="cds"} 2.0' in text
    assert 'pilot_total_xds_rejects{type="lds"} 1.0' in text
    assert 'pilot_xds{version="1.0"} 3.0' in text


@pytest.mark.fault(5)
async def test_the_metrics_are_kept_from_web_pages_as_well() -> None:
    metrics = ControlMetrics(CollectorRegistry(), "1.0")
    async with TestClient(TestServer(metrics_app(metrics, ["metrics.example.com"]))) as client:
        for host, status in (("evil.example:15014", 421), ("metrics.example.com", 200), ("control-plane:15014", 200)):
            async with client.get("/metrics", headers={"host": host}) as response:
                assert response.status == status


@pytest.mark.fault(8)
@pytest.mark.parametrize("charset", ["punycode", "utf-16", "utf-7", "idna", "no-such", "latin-1"])
async def test_bodies_in_other_codecs_are_refused_unread(console: Api, charset: str) -> None:
    data = io.BytesIO(("é" * 1_100_000).encode())
    headers = {"content-type": f"application/json; charset={charset}"}
    async with asyncio.timeout(5), console.client.post("/api/v1/apply", data=data, headers=headers) as response:
        assert response.status == 415
        assert "send UTF-8" in (await response.json())["errors"][0]["message"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8"])
async def test_bodies_that_say_that_they_are_utf_8(console: Api, charset: str) -> None:
    data = json.dumps({"files": [{"name": "a.yaml", "text": text(route("a"))}]}).encode()
    headers = {"content-type": f"application/json; charset={charset}"}
    async with console.client.post("/api/v1/apply", data=data, headers=headers) as response:
        assert response.status == 200


async def test_too_many_files_in_one_request(console: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_FILES", 1)
    answer = await console.call("POST", "/api/v1/diff", {"files": [{"text": ""}, {"text": ""}]})
    assert (answer.status, answer.errors) == (400, ["there are 2 files; 1 is the limit of one request"])


@pytest.mark.fault(10)
async def test_others_are_answered_during_a_large_diff(console: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, release = threading.Event(), threading.Event()
    real = texts.as_yaml

    def slow(document: Any) -> str:
        entered.set()
        assert release.wait(10)
        return real(document)

    monkeypatch.setattr(texts, "as_yaml", slow)
    files = {"files": [{"name": "a.yaml", "text": text(route("a"))}]}
    asking = asyncio.get_running_loop().create_task(console.call("POST", "/api/v1/diff", files))
    try:
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(entered.wait, 5)
            async with console.client.get("/readyz") as response:
                assert response.status == 200
    finally:
        release.set()
    assert (await asking).status == 200


@pytest.mark.fault(11)
async def test_watchers_are_bounded(console: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.subject.watchers, "_most", 1)
    async with console.client.get("/api/v1/watch") as first:
        assert first.status == 200
        answer = await console.call("GET", "/api/v1/watch")
        assert (answer.status, answer.errors) == (503, ["1 clients are watching or waiting already; try again later"])


@pytest.mark.fault(11)
async def test_a_watcher_is_given_a_large_revision_in_pages(console: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await console.apply(*(route(f"r{n}") for n in range(250)))
    source, asked = console.subject.store.source, []
    real = source.changes

    async def changes(since: int, limit: int, after: int = 0) -> list[Event]:
        found = await real(since, limit, after)
        asked.append(len(found))
        return found

    monkeypatch.setattr(source, "changes", changes)
    async with console.client.get("/api/v1/watch?since=0") as response, asyncio.timeout(10):
        seen = [json.loads(await response.content.readline())["document"]["metadata"]["name"] for _ in range(250)]
    assert len(set(seen)) == 250
    assert asked[:3] == [100, 100, 50]


@pytest.mark.fault(22)
async def test_what_is_warned_of_may_be_refused(console: Api) -> None:
    body = {"files": [{"name": "a.yaml", "text": text(route("a"))}], "strict": True}
    answer = await console.call("POST", "/api/v1/apply", body)
    assert answer.status == 422
    assert answer.body["errors"][0]["message"] == 'IST0101: Referenced host not found: "a"'
    assert answer.body["errors"][0]["line"] == 12
    assert (await console.call("GET", "/api/v1/resources")).body["items"] == []


async def test_kinds_of_others_may_be_passed_over(console: Api) -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {}\n"
    body = {"files": [{"name": "a.yaml", "text": job + "---\n" + text(route("a"))}]}
    assert (await console.call("POST", "/api/v1/apply", body)).status == 422
    answer = await console.call("POST", "/api/v1/apply", {**body, "skip_unknown": True})
    assert answer.status == 200
    assert answer.body["skipped"] == [
        {"file": "a.yaml", "line": 1, "message": "Job of batch/v1 is no kind of this mesh: skipped"}
    ]
    policy = job.replace("batch/v1", "security.istio.io/v1").replace("Job", "AuthorizationPolicy")
    refused = {"files": [{"name": "a.yaml", "text": policy}], "skip_unknown": True}
    assert (await console.call("POST", "/api/v1/apply", refused)).status == 422


async def test_lists_come_in_pieces_and_are_one_json_text(console: Api) -> None:
    await console.apply(*(route(f"r{n:03}") for n in range(250)))
    answer = await console.call("GET", "/api/v1/resources")
    assert answer.body["revision"] == 1
    assert [item["document"]["metadata"]["name"] for item in answer.body["items"]] == [f"r{n:03}" for n in range(250)]
    assert len((await console.call("GET", "/api/v1/history?limit=201")).body["items"]) == 201
    assert (await console.call("GET", "/api/v1/history?kind=Gateway")).body == {"items": []}
