"""A control plane that does what a test tells it: speaks delta or state of the world over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from mesh.xds import any_of
from sidecar.xds.wire import DELTA_METHOD, SOTW_METHOD
from tests.harness.ports import free_port

SECONDS = 10.0


@dataclass(slots=True)
class Stream:
    """One client's stream: what it sent, in order, and how to send to it."""

    delta: bool
    received: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    outgoing: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    nonce: int = 0

    async def next(self, type_url: str) -> Any:
        """The next request, which must be of this type."""
        message = await asyncio.wait_for(self.received.get(), SECONDS)
        assert message.type_url == type_url, f"expected {type_url}, got {message}"
        return message

    def push(
        self, type_url: str, resources: Mapping[str, Any], removed: tuple[str, ...] = (), version: str = ""
    ) -> str:
        """Sends a response; its nonce. Resources by name; the version of each is its nonce unless told."""
        self.nonce += 1
        nonce = f"n{self.nonce}"
        version = version or nonce
        if self.delta:
            response = discovery_pb2.DeltaDiscoveryResponse(type_url=type_url, nonce=nonce, removed_resources=removed)
            for name, message in resources.items():
                each = response.resources.add(name=name, version=version)
                each.resource.CopyFrom(any_of(message))
        else:
            response = discovery_pb2.DiscoveryResponse(type_url=type_url, nonce=nonce, version_info=version)
            response.resources.extend(any_of(message) for message in resources.values())
        self.outgoing.put_nowait(response)
        return nonce

    def end(self) -> None:
        """Closes the stream from the server's side."""
        self.outgoing.put_nowait(None)

    async def acked(self, type_url: str, nonce: str) -> Any:
        """The next request, which must accept that response."""
        message = await self.next(type_url)
        assert message.response_nonce == nonce, message
        assert not message.HasField("error_detail"), message.error_detail
        return message

    async def nacked(self, type_url: str, nonce: str) -> str:
        """The next request, which must refuse that response; the reason."""
        message = await self.next(type_url)
        assert message.response_nonce == nonce, message
        assert message.HasField("error_detail"), message
        return str(message.error_detail.message)


class ControlPlane:
    """A server on a port of its own. Streams come out of `stream()` in the order in which clients open them."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()
        self._server: Any = None

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Handlers(self._serve),))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)

    async def stream(self) -> Stream:
        """The next stream that a client opens."""
        return await asyncio.wait_for(self._streams.get(), SECONDS)

    async def _serve(self, delta: bool, context: Any) -> None:
        stream = Stream(delta)
        self._streams.put_nowait(stream)
        reader = asyncio.get_running_loop().create_task(_read(context, stream))
        try:
            while (response := await stream.outgoing.get()) is not None:
                await context.write(response)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


async def _read(context: Any, stream: Stream) -> None:
    """Until the client closes its half; then the server ends the stream, as control planes do."""
    while (message := await context.read()) is not grpc.aio.EOF:
        stream.received.put_nowait(message)
    stream.end()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, serve: Callable[[bool, Any], Awaitable[None]]) -> None:
        self._serve = serve

    def service(self, details: Any) -> Any:
        if details.method not in (DELTA_METHOD, SOTW_METHOD):
            return None
        delta = details.method == DELTA_METHOD
        request = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest

        async def behave(_: Any, context: Any) -> None:
            await self._serve(delta, context)

        return grpc.stream_stream_rpc_method_handler(
            behave,
            request_deserializer=request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
