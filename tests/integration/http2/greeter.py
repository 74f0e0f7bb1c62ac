"""A gRPC service of all four kinds, without generated code: messages are UTF-8 text.

The method `fail` of the request's text says how a call ends: `fail:14:why` aborts with that status, `slow:2` answers after
so many seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

SERVICE = "test.Greeter"


def encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()  # grpc.aio asks twice for a unary response


def decode(data: bytes) -> str:
    return data.decode()


class Greeter(grpc.GenericRpcHandler):
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures = 0  # so many calls are still to fail with UNAVAILABLE
        self._handlers = {
            "Say": grpc.unary_unary_rpc_method_handler(self.say, decode, encode),
            "Count": grpc.unary_stream_rpc_method_handler(self.count, decode, encode),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect, decode, encode),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat, decode, encode),
        }

    def service(self, details: Any) -> Any:
        service, _, method = details.method.strip("/").partition("/")
        return self._handlers.get(method) if service == SERVICE else None

    async def _begin(self, text: str, context: Any) -> None:
        self.calls += 1
        word, _, rest = text.partition(":")
        if self.failures:
            self.failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if word == "fail":
            code, _, why = rest.partition(":")
            status = next(each for each in grpc.StatusCode if each.value[0] == int(code))
            await context.abort(status, why)
        if word == "slow":
            await asyncio.sleep(float(rest))

    async def say(self, text: str, context: Any) -> str:
        await self._begin(text, context)
        return f"hello {text}"

    async def count(self, text: str, context: Any) -> AsyncIterator[str]:
        await self._begin(text, context)
        for number in range(int(text)):
            yield str(number)

    async def collect(self, texts: AsyncIterator[str], context: Any) -> str:
        self.calls += 1
        return ",".join([text async for text in texts])

    async def chat(self, texts: AsyncIterator[str], context: Any) -> AsyncIterator[str]:
        self.calls += 1
        async for text in texts:
            yield f"you said {text}"


async def serve(greeter: Greeter, port: int) -> grpc.aio.Server:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((greeter,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server


class Client:
    """The four kinds of calls on a channel."""

    def __init__(self, channel: Any) -> None:
        def path(method: str) -> str:
            return f"/{SERVICE}/{method}"

        self.say = channel.unary_unary(path("Say"), encode, decode)
        self.count = channel.unary_stream(path("Count"), encode, decode)
        self.collect = channel.stream_unary(path("Collect"), encode, decode)
        self.chat = channel.stream_stream(path("Chat"), encode, decode)
