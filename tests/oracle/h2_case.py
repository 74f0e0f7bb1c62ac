"""What the client of an HTTP/2 case does: whole requests, or frames one by one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.harness.h2_wire import END_HEADERS, Frame

# In fields: the virtual host of the case.
HOST = "%HOST%"
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose pseudo-header fields are the usual ones; `body` None when it ends with its head, `end` False when it
    is to go on."""

    path: str = "/"
    fields: Pairs = ()
    stream: int = 1
    method: str = "GET"
    host: str = HOST
    body: bytes | None = None
    trailers: Pairs = ()
    end: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """HEADERS with exactly these fields."""

    fields: Pairs
    stream: int = 1
    end: bool = True
    flags: int = END_HEADERS


@dataclass(frozen=True, slots=True)
class Data:
    data: bytes
    stream: int = 1
    end: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Frames and bytes as they are; several in one write."""

    parts: tuple[Frame | bytes, ...]


@dataclass(frozen=True, slots=True)
class Over:
    """Reads until these streams are over, or the connection is."""

    streams: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Reads until nothing has come for so long."""

    seconds: float = 0.3


@dataclass(frozen=True, slots=True)
class UntilEnd:
    """Reads until the connection is over."""

    seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Received:
    """Reads until the upstream has got so many requests."""

    requests: int = 1


H2Action = Request | Block | Data | Send | Over | Quiet | UntilEnd | Received


def grpc(
    path: str = "/pkg.Service/Method",
    fields: Pairs = (),
    body: bytes | None = b"\0\0\0\0\0",
    stream: int = 1,
    end: bool = True,
) -> Request:
    """A gRPC call of one message."""
    more = (("te", "trailers"), ("content-type", "application/grpc"), *fields)
    return Request(path, more, stream, "POST", body=body, end=end)
