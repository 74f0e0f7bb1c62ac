"""`python -m examples.grpc.greeter --port 50051 --version v1`: the server. With `--fail-first N` its first N calls end with
UNAVAILABLE."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue

from examples.grpc.service import SERVICE, decode, encode, text


class Server(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Says hello, and which version does."""

    def __init__(self, version: str, fail_first: int) -> None:
        self._version = version
        self._failures = fail_first
        self._handlers = {
            "Hello": grpc.unary_unary_rpc_method_handler(self.hello, decode, encode),
            "Count": grpc.unary_stream_rpc_method_handler(self.count, decode, encode),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect, decode, encode),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat, decode, encode),
        }

    def service(self, details: Any) -> Any:
        service, _, method = details.method.strip("/").partition("/")
        return self._handlers.get(method) if service == SERVICE else None

    async def hello(self, request: StringValue, context: Any) -> StringValue:
        if self._failures:
            self._failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if request.value == "sloth":
            await asyncio.sleep(5)
        return text(f"hello {request.value}, says {self._version}")

    async def count(self, most: StringValue, context: Any) -> AsyncIterator[StringValue]:
        for number in range(1, int(most.value) + 1):
            yield text(str(number))

    async def collect(self, words: AsyncIterator[StringValue], context: Any) -> StringValue:
        return text(" ".join([word.value async for word in words]))

    async def chat(self, words: AsyncIterator[StringValue], context: Any) -> AsyncIterator[StringValue]:
        async for word in words:
            yield text(f"{word.value}!")


async def serve(port: int, version: str, fail_first: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Server(version, fail_first),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="greeter", description=__doc__)
    parser.add_argument("--port", type=int, default=50051)
    parser.add_argument("--version", default="v1")
    parser.add_argument("--fail-first", type=int, default=0)
    given = parser.parse_args(arguments)
    asyncio.run(serve(given.port, given.version, given.fail_first))


if __name__ == "__main__":
    main()
