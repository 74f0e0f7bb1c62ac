"""The aggregated discovery service on grpc.aio: state-of-the-world and delta streams, bytes in and out of the hub."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

from control_plane.ads.admission import LocalAddresses, NodeError, RequestError, check_address
from control_plane.ads.hub import PushHub
from control_plane.ads.push import Variant
from control_plane.ads.stream import ProxyStream
from control_plane.ads.wire import METHODS, SERVICE, read_node, read_request, request_reader
from control_plane.registry.groups import GroupError
from mesh.node import Node
from mesh.tasks import TaskOwner

log = logging.getLogger(__name__)

OPTIONS: Final = (
    # Clients ping as often as they like: a keepalive of 2 s would otherwise cost them the stream after 8 s.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A proxy whose machine is gone says nothing: ask. The ping's own time-out, 60 s if not set, is what counts; a proxy
    # that is merely busy with a large configuration has to answer in it.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # After a restart everybody comes at once, and who comes last waits; thrown out after 30 s it would come yet again.
    ("grpc.server_max_unrequested_time_in_server", 300),
    # A second control plane on the same port is an error, not a colleague.
    ("grpc.so_reuseport", 0),
    # 10,000 routes are more than 4 MB.
    ("grpc.max_send_message_length", -1),
    # A client's largest request: all the names and versions that it has from an earlier stream.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)


class AdsServer:
    """Serves `hub` on `address` (HOST:PORT; port 0 takes a free one, `port` tells which)."""

    def __init__(
        self,
        hub: PushHub,
        address: str,
        local_addresses: LocalAddresses = LocalAddresses.SAME_HOST,
        join: Callable[[Node], Node] = lambda node: node,
    ) -> None:
        """`join` makes a node what it is in the mesh: a member of its group. It raises GroupError."""
        self._hub = hub
        self._address = address
        self._local_addresses = local_addresses
        self._join = join
        self._server: Any = None
        self._readers = TaskOwner("ads read")
        self.port = 0

    async def start(self) -> None:
        """Raises RuntimeError when the address cannot be bound."""
        self._server = grpc.aio.server(options=OPTIONS)
        handlers = {
            name: grpc.stream_stream_rpc_method_handler(
                functools.partial(self._serve, variant), request_deserializer=request_reader(variant)
            )
            for variant, name in METHODS.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._server.add_insecure_port(self._address)
        await self._server.start()

    async def stop(self, grace: float | None = None) -> None:
        """Ends the hub, every stream, and after `grace` seconds what is left of them."""
        await self._hub.close()
        await self._readers.close()
        await self._server.stop(grace)

    async def _serve(self, variant: Variant, _requests: Any, context: Any) -> None:
        message = await context.read()
        if message is grpc.aio.EOF:
            return
        try:
            node = read_node(message, variant)
            check_address(node, context.peer(), self._local_addresses)
            node = self._join(node)
        except NodeError as error:
            log.warning("refused a stream from %s: %s", context.peer(), error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except GroupError as error:
            log.warning("refused a stream from %s: %s", context.peer(), error)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        stream = self._hub.join(node, variant, functools.partial(_write, context))
        tasks = TaskOwner(f"ads {node.id}")
        writer = tasks.start(stream.run(), "write")
        # In a task of its own, which `stop` can end: the stream then ends as it should, and not as a failed call.
        reader = self._readers.start(self._read(stream, variant, [message], context), node.id)
        del message  # of a client that comes back it has all names and versions: not to be kept as long as the stream
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            self._hub.leave(stream)
            await tasks.close()
        refused = reader.result() if reader.done() and not reader.cancelled() and not reader.exception() else None
        if refused is not None:
            log.warning("ended the stream of %s: %s", stream.id, refused)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))

    async def _read(self, stream: ProxyStream, variant: Variant, first: list[Any], context: Any) -> RequestError | None:
        """Passes requests on until the client ends the stream, or one of them is refused: returns why. `first` has been read
        already; it is taken out."""
        message = first.pop()
        while message is not grpc.aio.EOF:
            try:
                self._hub.received(stream, read_request(message, variant))
            except RequestError as error:
                return error
            message = None  # a large one is not held while we wait for the next
            message = await context.read()
        return None


async def _write(context: Any, data: bytes) -> None:
    """ConnectionError when the client has gone meanwhile."""
    try:
        await context.write(data)
    except grpc.aio.BaseError as error:
        raise ConnectionError("the client is gone") from error
