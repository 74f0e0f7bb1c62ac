"""ratings over gRPC, `bookinfo.Ratings/Get`: the number of a product → its reviewers' stars, as server and as client.

Messages are protobuf's own (Int64Value, Struct), so that nothing has to be generated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
from aiohttp import web
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import Int64Value

from examples.bookinfo.service import CALL_TIMEOUT_SECONDS, UnavailableError, forwarded

SCHEME: Final = "grpc://"
SERVICE: Final = "bookinfo.Ratings"
METHOD: Final = "Get"
# Headers that are not text in gRPC, or that its libraries set themselves.
NOT_METADATA: Final = frozenset(("grpc-trace-bin", "user-agent"))
# What to tell a caller that speaks HTTP (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
HTTP_STATUS: Final = {grpc.StatusCode.DEADLINE_EXCEEDED: 504, grpc.StatusCode.NOT_FOUND: 404}

Find = Callable[[int], Mapping[str, int]]


class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """The server's side; `find` gives a product's ratings."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._get = grpc.unary_unary_rpc_method_handler(self.get, Int64Value.FromString, Struct.SerializeToString)

    def service(self, details: Any) -> Any:
        return self._get if details.method == f"/{SERVICE}/{METHOD}" else None

    async def get(self, request: Int64Value, context: Any) -> Struct:
        answer = Struct()
        answer.update(self._find(request.value))
        return answer


def serving(find: Find, address: str, port: int) -> Callable[[web.Application], AsyncIterator[None]]:
    """A `cleanup_ctx` that serves gRPC as long as the app serves HTTP."""

    async def context(app: web.Application) -> AsyncIterator[None]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Handler(find),))
        server.add_insecure_port(f"{address}:{port}")
        await server.start()
        yield
        await server.stop(1.0)

    return context


class Client:
    """The caller's side. gRPC's library reads `grpc_proxy`: that is how the sidecar gets the calls."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._get = self._channel.unary_unary(f"/{SERVICE}/{METHOD}", Int64Value.SerializeToString, Struct.FromString)

    async def get(
        self, number: int, headers: Mapping[str, str], seconds: float = CALL_TIMEOUT_SECONDS
    ) -> dict[str, int]:
        """The ratings of a product; UnavailableError where there is no answer within `seconds`."""
        metadata = [(name, text) for name, text in forwarded(headers).items() if name not in NOT_METADATA]
        try:
            answer = await self._get(Int64Value(value=number), metadata=metadata, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            reason = f"ratings: {error.code().name}: {error.details()}"
            raise UnavailableError(reason, HTTP_STATUS.get(error.code(), 503)) from error
        return {name: int(stars) for name, stars in answer.items()}

    async def close(self) -> None:
        await self._channel.close()
