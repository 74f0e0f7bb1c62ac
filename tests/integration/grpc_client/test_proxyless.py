from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.node import Node
from tests.integration.control_plane.support import ControlPlane

CALLER = Path(__file__).with_name("caller.py")
SECONDS = 30

SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: greeter}}
spec:
  hosts: [greeter.example.com]
  ports: [{{number: 50051, name: grpc, protocol: GRPC}}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints:
  - {{address: 127.0.0.1, ports: {{grpc: {v1}}}, labels: {{version: v1}}}}
  - {{address: 127.0.0.1, ports: {{grpc: {v2}}}, labels: {{version: v2}}}}
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: greeter}
spec:
  host: greeter.example.com
  trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}, connectionPool: {http: {http2MaxRequests: 100}}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter}
spec:
  hosts: [greeter.example.com]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    timeout: 5s
    route: [{destination: {host: greeter.example.com, subset: v2}}]
  - match: [{headers: {end-user: {prefix: test-}}}]
    fault: {abort: {grpcStatus: ABORTED, percentage: {value: 100}}}
    route: [{destination: {host: greeter.example.com}}]
  - route: [{destination: {host: greeter.example.com, subset: v1}}]
"""


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path) as plane:
        yield plane


@asynccontextmanager
async def greeter(name: str) -> AsyncIterator[int]:
    """A server without a proxy, on a port of its own."""

    async def greet(request: bytes, context: Any) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    handlers = {"Greet": grpc.unary_unary_rpc_method_handler(greet)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def call(plane: ControlPlane, target: str, *users: str) -> list[str]:
    """What a client of its own gets for one call per user."""
    node = Node("sidecar", "127.0.0.1", "caller", generator="grpc")
    server = {
        "server_uri": f"127.0.0.1:{plane.xds}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    bootstrap = {"xds_servers": [server], "node": node.to_xds()}
    env = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap), "GRPC_VERBOSITY": "NONE"}
    done = subprocess.run(
        [sys.executable, str(CALLER), target],
        input="".join(f"{user}\n" for user in users),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def test_a_static_service_entry_is_called_without_a_proxy(plane: ControlPlane) -> None:
    async with greeter("v1") as v1, greeter("v2") as v2:
        assert plane.apply(SERVICE.format(v1=v1, v2=v2)).status == 200
        users = ["anybody"] * 12
        answers = Counter(await asyncio.to_thread(call, plane, "xds:///greeter.example.com:50051", *users))
        # In turns (gRPC's Python has no least request), once it is connected to both.
        assert sum(answers.values()) == 12
        assert min(answers["v1"], answers["v2"]) >= 3


async def test_the_rules_of_virtual_services_hold_without_a_proxy(plane: ControlPlane) -> None:
    async with greeter("v1") as v1, greeter("v2") as v2:
        assert plane.apply(SERVICE.format(v1=v1, v2=v2)).status == 200
        assert plane.apply(RULES).status == 200
        target = "xds:///greeter.example.com:50051"
        answers = await asyncio.to_thread(call, plane, target, "jason", "mary", "test-1", "jason", "mary")
        assert answers == ["v2", "v1", "ABORTED", "v2", "v1"]
