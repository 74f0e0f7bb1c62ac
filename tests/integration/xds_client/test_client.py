"""The ADS client against a control plane on a real socket, in both protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from sidecar.bootstrap import load
from sidecar.telemetry.stats import Stats
from sidecar.xds.client import AdsClient
from tests.integration.xds_client.ads import ControlPlane, Stream
from tests.integration.xds_client.resources import cluster, endpoints, listener, routes
from tests.integration.xds_client.target import RecordingTarget

BOOTSTRAP = """
node: {{id: sidecar~127.0.1.5~a.default~default.svc.cluster.local, cluster: a.default, metadata: {{SERVICE: a, N: 3}}}}
dynamic_resources:
  cds_config: {{ads: {{}}, resource_api_version: V3, initial_fetch_timeout: 0s}}
  lds_config: {{ads: {{}}, resource_api_version: V3, initial_fetch_timeout: 0s}}
  ads_config:
    api_type: {kind}
    transport_api_version: V3
    grpc_services:
    - envoy_grpc:
        cluster_name: xds
        retry_policy: {{retry_back_off: {{base_interval: 0.02s, max_interval: 0.05s}}}}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds
      endpoints:
      - lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]
"""

BOTH = pytest.mark.parametrize("kind", ["DELTA_GRPC", "GRPC"])
Start = Callable[..., AdsClient]


@pytest.fixture
async def target() -> RecordingTarget:
    return RecordingTarget()


@pytest.fixture
async def start(target: RecordingTarget) -> AsyncIterator[Start]:
    """Starts a client for a port; all of them end with the test."""
    async with AsyncExitStack() as stack:

        def begin(kind: str, port: int, state: Path | None = None) -> AdsClient:
            tasks = TaskOwner("test")
            client = AdsClient(load("", BOOTSTRAP.format(kind=kind, port=port)), target, tasks, state=state)
            client.start()
            stack.push_async_callback(tasks.close)
            stack.push_async_callback(client.close)
            return client

        yield begin


async def first_round(stream: Stream) -> None:
    """Brings up a proxy with one cluster, one listener and one route configuration."""
    await stream.next(CLUSTER)
    nonce = stream.push(CLUSTER, {"a": cluster("a")})
    await stream.acked(CLUSTER, nonce)
    await stream.next(ENDPOINT)
    nonce = stream.push(ENDPOINT, {"a": endpoints("a", 9080)})
    await stream.acked(ENDPOINT, nonce)
    await stream.next(LISTENER)
    listeners = stream.push(LISTENER, {"out": listener("out", "r")})
    await stream.next(ROUTE)
    nonce = stream.push(ROUTE, {"r": routes("r", "a")})
    await stream.acked(ROUTE, nonce)
    await stream.acked(LISTENER, listeners)


@BOTH
async def test_first_round(kind: str, target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await first_round(stream)
        await target.until(lambda: target.ready, "ready")
    assert target.calls == [
        "cluster xds",
        "endpoints a",
        "cluster a",
        "routes r",
        "listener out",
        "initialized",
    ]


@BOTH
async def test_the_node_is_in_the_first_message_only(kind: str, target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        first = await stream.next(CLUSTER)
        assert first.node.id == "sidecar~127.0.1.5~a.default~default.svc.cluster.local"
        assert dict(first.node.metadata) == {"SERVICE": "a", "N": 3}
        stream.push(CLUSTER, {})
        assert not (await stream.next(CLUSTER)).HasField("node")


@BOTH
async def test_one_bad_resource_is_named_and_the_others_are_taken(
    kind: str, target: RecordingTarget, start: Start
) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await stream.next(CLUSTER)
        static = {"type": "STATIC", "eds_cluster_config": None}
        good, bad = cluster("good", **static), cluster("bad", **static, lb_policy="LOAD_BALANCING_POLICY_CONFIG")
        reason = await stream.nacked(CLUSTER, stream.push(CLUSTER, {"good": good, "bad": bad}))
        assert reason == "bad: lb_policy: LOAD_BALANCING_POLICY_CONFIG is not implemented"
        assert set(target.clusters) == {"xds", "good"}
        await stream.next(LISTENER)
        await stream.acked(CLUSTER, stream.push(CLUSTER, {"good": good, "bad": cluster("bad", **static)}))
        assert set(target.clusters) == {"xds", "good", "bad"}


@BOTH
async def test_a_bad_change_leaves_what_was_there(kind: str, target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await first_round(stream)
        reason = await stream.nacked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a", vhost_header="x")}))
        assert reason == "r: vhost_header: is not implemented"
        assert target.routes["r"].virtual_hosts
        await stream.acked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a", ignore_port_in_host_matching=True)}))
        assert target.routes["r"].ignore_port_in_host


@BOTH
async def test_a_listener_that_cannot_be_bound(kind: str, target: RecordingTarget, start: Start) -> None:
    """The refusal comes when its routes are there, and still answers the response that brought it."""
    target.cannot_bind.add("out")
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await stream.next(CLUSTER)
        await stream.acked(CLUSTER, stream.push(CLUSTER, {}))
        await stream.next(LISTENER)
        listeners = stream.push(LISTENER, {"out": listener("out", "r")})
        await stream.next(ROUTE)
        await stream.acked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a")}))
        assert await stream.nacked(LISTENER, listeners) == "out: cannot bind 127.0.0.1:0: Address already in use"
        assert target.listeners == {}
        assert target.ready


@BOTH
async def test_a_changed_cluster_serves_at_once(kind: str, target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await first_round(stream)
        await stream.acked(CLUSTER, stream.push(CLUSTER, {"a": cluster("a", connect_timeout="3s")}))
        assert target.clusters["a"].connect_timeout == 3.0
        await stream.acked(ENDPOINT, stream.push(ENDPOINT, {"a": endpoints("a", 9080)}))


@BOTH
async def test_a_new_cluster_waits_for_its_endpoints(kind: str, target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await first_round(stream)
        await stream.acked(CLUSTER, stream.push(CLUSTER, {"a": cluster("a"), "b": cluster("b")}))
        request = await stream.next(ENDPOINT)
        assert "b" not in target.clusters
        names = request.resource_names_subscribe if kind == "DELTA_GRPC" else request.resource_names
        assert list(names) == (["b"] if kind == "DELTA_GRPC" else ["a", "b"])
        await stream.acked(ENDPOINT, stream.push(ENDPOINT, {"b": endpoints("b", 1)}))
        assert target.calls[-2:] == ["endpoints b", "cluster b"]


@BOTH
async def test_removal(kind: str, target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start(kind, plane.port)
        stream = await plane.stream()
        await first_round(stream)
        nonce = stream.push(LISTENER, {}, removed=("out",))
        await stream.acked(LISTENER, nonce)
        await stream.next(ROUTE)  # no longer asked for
        assert target.calls[-2:] == ["no listener out", "no routes r"]
        await stream.acked(CLUSTER, stream.push(CLUSTER, {}, removed=("a",)))
        await stream.next(ENDPOINT)
        assert target.calls[-1] == "no cluster a"
        assert set(target.clusters) == {"xds"}


async def test_reconnects_and_says_what_it_has(target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start("DELTA_GRPC", plane.port)
        stream = await plane.stream()
        await first_round(stream)
        stream.end()
        stream = await plane.stream()
        for type_url, name in ((CLUSTER, "a"), (ENDPOINT, "a"), (LISTENER, "out"), (ROUTE, "r")):
            request = await stream.next(type_url)
            assert dict(request.initial_resource_versions).keys() == {name}
            assert request.response_nonce == ""
            assert request.HasField("node") == (type_url == CLUSTER)
        calls = len(target.calls)
        await stream.acked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a", ignore_port_in_host_matching=True)}))
        assert target.calls[calls:] == ["routes r"]


async def test_reconnects_in_state_of_the_world(target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start("GRPC", plane.port)
        stream = await plane.stream()
        await first_round(stream)
        stream.end()
        stream = await plane.stream()
        for type_url, names in ((CLUSTER, []), (ENDPOINT, ["a"]), (LISTENER, []), (ROUTE, ["r"])):
            request = await stream.next(type_url)
            assert list(request.resource_names) == names
            assert (request.version_info != "", request.response_nonce) == (True, "")


async def test_finds_a_control_plane_that_comes_back(target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        port = plane.port
        start("DELTA_GRPC", port)
        await first_round(await plane.stream())
    async with ControlPlane(port) as plane:
        stream = await plane.stream()
        assert dict((await stream.next(CLUSTER)).initial_resource_versions).keys() == {"a"}


async def test_starts_from_the_disk_and_follows_when_the_control_plane_is_back(
    target: RecordingTarget, start: Start, tmp_path: Path
) -> None:
    state = tmp_path / "kept"
    async with ControlPlane() as plane:
        port = plane.port
        client = start("DELTA_GRPC", port, state)
        await first_round(await plane.stream())
        await target.until(lambda: target.ready, "ready")
        await client.close()
    target.__init__()  # type: ignore[misc]  # a new process
    start("DELTA_GRPC", port, state)
    await target.until(lambda: target.ready, "ready from the disk")
    assert target.calls == ["cluster xds", "endpoints a", "cluster a", "routes r", "listener out", "initialized"]
    async with ControlPlane(port) as plane:
        stream = await plane.stream()
        assert dict((await stream.next(CLUSTER)).initial_resource_versions).keys() == {"a"}
        for type_url in (ENDPOINT, LISTENER, ROUTE):
            await stream.next(type_url)
        await stream.acked(CLUSTER, stream.push(CLUSTER, {"b": cluster("b")}, removed=("a",)))
        await stream.next(ENDPOINT)
        await stream.acked(ENDPOINT, stream.push(ENDPOINT, {"b": endpoints("b", 1)}))
        assert set(target.clusters) == {"xds", "b"}


async def test_a_silent_control_plane_does_not_hold_up_the_start(
    target: RecordingTarget, start: Start, tmp_path: Path
) -> None:
    """It accepts the stream and says nothing: what is kept serves, and the stream is opened anew to say so."""
    state = tmp_path / "kept"
    async with ControlPlane() as plane:
        client = start("DELTA_GRPC", plane.port, state)
        await first_round(await plane.stream())
        await client.close()
        target.__init__()  # type: ignore[misc]
        start("DELTA_GRPC", plane.port, state)
        silent = await plane.stream()
        assert dict((await silent.next(CLUSTER)).initial_resource_versions) == {}
        await target.until(lambda: target.ready, "ready from the disk")
        stream = await plane.stream()
        assert dict((await stream.next(CLUSTER)).initial_resource_versions).keys() == {"a"}


async def test_a_damaged_file_is_no_reason_not_to_start(
    target: RecordingTarget, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "kept"
    state.write_bytes(b"mesh-xds-1\nnonsense")
    async with ControlPlane() as plane:
        start("DELTA_GRPC", plane.port, state)
        stream = await plane.stream()
        async with asyncio.timeout(5):
            while "damaged" not in caplog.text:  # noqa: ASYNC110  (a log has no event to wait for)
                await asyncio.sleep(0.01)
        await first_round(stream)
    assert target.ready


async def test_a_state_folder_that_cannot_be_written(
    target: RecordingTarget, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    async with ControlPlane() as plane:
        client = start("DELTA_GRPC", plane.port, tmp_path / "file" / "kept")
        await first_round(await plane.stream())
        await client.close()
    assert "cannot be kept" in caplog.text


async def test_counts_what_it_took(target: RecordingTarget) -> None:
    stats, tasks = Stats(), TaskOwner("test")
    async with ControlPlane() as plane:
        bootstrap = load("", BOOTSTRAP.format(kind="DELTA_GRPC", port=plane.port))
        client = AdsClient(bootstrap, target, tasks, stats=stats)
        client.start()
        stream = await plane.stream()
        await first_round(stream)
        bad = cluster("a", type="STATIC", eds_cluster_config=None, lb_policy="LOAD_BALANCING_POLICY_CONFIG")
        await stream.nacked(CLUSTER, stream.push(CLUSTER, {"a": bad}))
        assert client.connected
        await client.close()
    await tasks.close()
    assert stats.counter("cluster_manager.cds.update_success").value == 1
    assert stats.counter("cluster_manager.cds.update_rejected").value == 1
    assert stats.counter("listener_manager.lds.update_attempt").value == 1


async def test_many_routes_are_compiled_beside_the_loop(target: RecordingTarget, start: Start) -> None:
    async with ControlPlane() as plane:
        start("DELTA_GRPC", plane.port)
        stream = await plane.stream()
        await first_round(stream)
        big = routes("r", "a")
        for number in range(3000):
            big.virtual_hosts[0].routes.add(match={"path": f"/{number:020}"}, route={"cluster": "a"})
        assert big.ByteSize() > 64 * 1024
        await stream.acked(ROUTE, stream.push(ROUTE, {"r": big}))
        assert len(target.routes["r"].virtual_hosts[0].routes) == 3001


async def test_a_mistake_in_the_data_plane_is_a_refusal(
    target: RecordingTarget, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that one response sets off must not end the configuration for good."""

    def fail(_: object) -> None:
        raise RuntimeError("a mistake")

    async with ControlPlane() as plane:
        start("DELTA_GRPC", plane.port)
        stream = await plane.stream()
        await first_round(stream)
        monkeypatch.setattr(target, "set_routes", fail)
        assert "RuntimeError: a mistake" in await stream.nacked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a")}))
        monkeypatch.undo()
        await stream.acked(ROUTE, stream.push(ROUTE, {"r": routes("r", "a")}))


async def test_a_response_beyond_all_measure_ends_the_stream_and_changes_nothing(
    target: RecordingTarget, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sidecar.xds.client.MAX_RESPONSE", 100_000)
    async with ControlPlane() as plane:
        start("DELTA_GRPC", plane.port)
        stream = await plane.stream()
        await first_round(stream)
        await target.until(lambda: target.ready, "ready")
        before = list(target.calls)
        stream.push(CLUSTER, {"b": cluster("b", alt_stat_name="x" * 200_000)})
        again = await plane.stream()
        await again.next(CLUSTER)
        assert target.calls == before
    assert "larger than max" in caplog.text
