"""The greeter's methods, as a server implements and a client calls them. Messages are protobuf's own StringValue, so that
nothing has to be generated."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.wrappers_pb2 import StringValue

SERVICE: Final = "examples.Greeter"


def text(value: str) -> StringValue:
    return StringValue(value=value)


encode: Final = StringValue.SerializeToString
decode: Final = StringValue.FromString


class Greeter:
    """A client's view of the service on a channel."""

    def __init__(self, channel: Any) -> None:
        def path(method: str) -> str:
            return f"/{SERVICE}/{method}"

        self.hello = channel.unary_unary(path("Hello"), encode, decode)
        self.count = channel.unary_stream(path("Count"), encode, decode)
        self.collect = channel.stream_unary(path("Collect"), encode, decode)
        self.chat = channel.stream_stream(path("Chat"), encode, decode)
