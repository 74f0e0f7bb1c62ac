"""The ADS client against a control plane on a real socket, in both protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from sidecar.bootstrap import load
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
