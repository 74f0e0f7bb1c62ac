"""A control-plane process on free ports, and those who talk to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from google.protobuf.json_format import ParseDict

from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT
from tests.harness.process import Process, wait_until

START_SECONDS = 60.0  # a second where nothing else runs
STREAM = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_SERVING = re.compile(
    r"serving: xds 127\.0\.0\.1:(\d+) api http://127\.0\.0\.1:(\d+) metrics http://127\.0\.0\.1:(\d+)/"
)


class Answer(NamedTuple):
    status: int
    body: Any


class ControlPlane:
    """`mesh-control-plane`, as a context manager; `kill` and `start` it again at will."""

    def __init__(self, store: str, folder: Path, *flags: str) -> None:
        self._store = store
        self._folder = folder
        self._flags = flags
        self._runs = 0
        self.process: Process = None  # type: ignore[assignment]  # there is one between __enter__ and __exit__
        self.xds = self.http = self.metrics = 0

    def start(self) -> None:
        addresses = [word for name in ("xds", "http", "metrics") for word in (f"--{name}-address", self._address(name))]
        self._runs += 1
        self.process = Process(
            command("--store", self._store, *addresses, *self._flags), self._folder / f"{self._runs}.log"
        )

        def serving() -> re.Match[str] | None:
            return _SERVING.search(self.process.log_path.read_text())

        self.process.wait_ready(serving, START_SECONDS)
        found = serving()
        assert found
        self.xds, self.http, self.metrics = map(int, found.groups())

    def _address(self, name: str) -> str:
        return f"127.0.0.1:{getattr(self, name)}"

    def kill(self) -> None:
        """kill -9."""
        self.process.signal(signal.SIGKILL)
        self.process.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"content-type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        finally:
            connection.close()

    def apply(self, text: str, name: str = "test.yaml") -> Answer:
        return self.call("POST", "/api/v1/apply", {"files": [{"name": name, "text": text}]})

    def documents(self) -> list[Any]:
        return [item["document"] for item in self.call("GET", "/api/v1/resources").body["items"]]

    def workloads(self) -> dict[str, tuple[bool, bool]]:
        """Address → (connected, healthy)."""
        items = self.call("GET", "/api/v1/workloads").body["items"]
        return {item["address"]: (item["connected"], item["healthy"]) for item in items}

    def until(self, check: Any, what: str, seconds: float = 10.0) -> None:
        wait_until(check, seconds, what)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from control_plane.app import main; main()", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A run that is to end by itself."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)


@asynccontextmanager
async def proxy(port: int, node: Node) -> AsyncIterator[Any]:
    """A state-of-the-world xDS stream of `node` that has asked for its clusters; it answers nothing more."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.stream_stream(
            STREAM,
            request_serializer=DiscoveryRequest.SerializeToString,
            response_deserializer=DiscoveryResponse.FromString,
        )
        stream = method()
        request = ParseDict({"node": node.to_xds(), "type_url": CLUSTER}, DiscoveryRequest())
        await stream.write(request)
        yield stream
        stream.cancel()


async def endpoints(stream: Any, cluster: str) -> AsyncIterator[list[tuple[str, int, bool]]]:
    """Acknowledges everything, asks for the endpoints of one cluster, and yields each version of them: address, port,
    healthy."""
    asked = False
    while True:
        async with asyncio.timeout(15):
            response = await stream.read()
        await stream.write(
            DiscoveryRequest(
                type_url=response.type_url,
                version_info=response.version_info,
                response_nonce=response.nonce,
                resource_names=[cluster] if response.type_url == ENDPOINT else [],
            )
        )
        if not asked:
            asked = True
            await stream.write(DiscoveryRequest(type_url=ENDPOINT, resource_names=[cluster]))
        if response.type_url == ENDPOINT:
            yield [_endpoint(packed) for packed in response.resources for packed in _endpoints(packed)]


def _endpoints(packed: Any) -> list[Any]:
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

    message = ClusterLoadAssignment.FromString(packed.value)
    return [endpoint for locality in message.endpoints for endpoint in locality.lb_endpoints]


def _endpoint(message: Any) -> tuple[str, int, bool]:
    address = message.endpoint.address.socket_address
    return address.address, address.port_value, message.health_status in (0, 1)
