"""gRPC over HTTP/2: what its messages and statuses say beyond HTTP's.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.http.headers import Header, get

# A message's prefix: whether it is compressed, and its length.
PREFIX: Final = 5

# gRPC status → the HTTP status that it amounts to, as Envoy has it.
_HTTP_STATUS: Final = {
    b"0": 200,
    b"1": 499,
    b"2": 500,
    b"3": 400,
    b"4": 504,
    b"5": 404,
    b"6": 409,
    b"7": 403,
    b"8": 429,
    b"9": 400,
    b"10": 409,
    b"11": 400,
    b"12": 501,
    b"13": 500,
    b"14": 503,
    b"15": 500,
    b"16": 401,
}


def http_status(grpc_status: bytes) -> int:
    """What a gRPC status amounts to, 500 for one that there is not."""
    return _HTTP_STATUS.get(grpc_status, 500)


class MessageCounter:
    """Counts the messages of one direction, whose pieces may begin and end anywhere."""

    __slots__ = ("_left", "_prefix", "count")

    def __init__(self) -> None:
        self.count = 0
        self._prefix = b""  # the beginning of a prefix whose end has not come yet
        self._left = 0  # bytes of the message in progress still to come

    def feed(self, data: bytes) -> None:
        if self._prefix:
            data = self._prefix + data
            self._prefix = b""
        at, size, left = 0, len(data), self._left
        while left < size - at:
            at += left
            if size - at < PREFIX:
                self._prefix = data[at:]
                self._left = 0
                return
            self.count += 1
            left = data[at + 1] << 24 | data[at + 2] << 16 | data[at + 3] << 8 | data[at + 4]
            at += PREFIX
        self._left = left - (size - at)


class GrpcCall:
    """What is noted of a call while it goes on."""

    __slots__ = ("requests", "responses")

    def __init__(self) -> None:
        self.requests = MessageCounter()
        self.responses = MessageCounter()


def outcome(status: int, fields: Sequence[Header]) -> int:
    """The HTTP status that an answer amounts to which ends with these fields: its own where they say nothing."""
    told = get(fields, b"grpc-status")
    return status if told is None else http_status(told)
