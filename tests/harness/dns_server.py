"""A small DNS server that does what its zone says: answers, stays silent, dawdles, fails, lies about room; and keeps count.

    async with DnsServer() as dns:
        dns.zone["app.test"] = Answer("127.0.0.1", "::1", ttl=30)
        dns.zone["dead.test"] = Drop()
        ...
        assert dns.count("dead.test", "AAAA") == 0

UDP and TCP on one port. A name that is not in the zone does not exist. The zone may change at any time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from tests.harness.ports import free_port

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
_TYPES: Final = {1: "A", 28: "AAAA"}
_HEADER: Final = struct.Struct("!6H")
_QUERY_RESPONSE, _TRUNCATED, _RECURSION = 0x8000, 0x0200, 0x0180


@dataclass(frozen=True, slots=True)
class Answer:
    """These addresses, each under its type; none of the type that is asked for: an empty answer."""

    addresses: tuple[str, ...]
    ttl: int

    def __init__(self, *addresses: str, ttl: int = 0) -> None:
        object.__setattr__(self, "addresses", addresses)
        object.__setattr__(self, "ttl", ttl)


@dataclass(frozen=True, slots=True)
class Fail:
    """An answer that is only a response code."""

    code: int


@dataclass(frozen=True, slots=True)
class Drop:
    """No answer at all."""


@dataclass(frozen=True, slots=True)
class Delay:
    """What `then` says, later."""

    seconds: float
    then: Answer | Fail


@dataclass(frozen=True, slots=True)
class Truncated:
    """Over UDP only that there is more; over TCP the answer."""

    over_tcp: Answer


@dataclass(frozen=True, slots=True)
class ByType:
    """One thing for A, another for AAAA."""

    a: Answer | Fail | Drop | Delay
    aaaa: Answer | Fail | Drop | Delay


Behaviour = Answer | Fail | Drop | Delay | Truncated | ByType


class DnsServer:
    """`queries` are the (name, type, transport) of every question so far, in order."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.port = free_port(address)
        self.zone: dict[str, Behaviour] = {}
        self.queries: list[tuple[str, str, str]] = []
        self._awaited: dict[str, asyncio.Event] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), (self.address, self.port))
        self._tcp = await asyncio.start_server(self._serve, self.address, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._udp is not None
        assert self._tcp is not None
        self._udp.close()
        self._tcp.close()

    def count(self, name: str, kind: str = "") -> int:
        """How often a name was asked for, of one type or of any."""
        return sum(1 for asked, of, _ in self.queries if asked == name and kind in ("", of))

    @property
    def counts(self) -> Counter[str]:
        return Counter(name for name, _, _ in self.queries)

    async def until_asked(self, *names: str) -> None:
        """Until each of them has been asked for once more."""
        for name in names:
            self._awaited.setdefault(name, asyncio.Event()).clear()
        await asyncio.gather(*(self._awaited[name].wait() for name in names))

    @property
    def resolver(self) -> dict[str, Any]:
        """An Envoy `typed_dns_resolver_config` that asks this server alone."""
        socket_address = {"address": self.address, "port_value": self.port}
        return {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [{"socket_address": socket_address}],
                "dns_resolver_options": {"no_default_search_domain": True},
            },
        }

    def asked(self, query: bytes, transport: str, reply: Callable[[bytes], None]) -> None:
        """Answers one message, now or later or not."""
        name, number, question = _question(query)
        kind = _TYPES.get(number, str(number))
        self.queries.append((name, kind, transport))
        if name in self._awaited:
            self._awaited[name].set()
        behaviour = self.zone.get(name, Fail(NXDOMAIN))
        if isinstance(behaviour, ByType):
            behaviour = behaviour.aaaa if kind == "AAAA" else behaviour.a
        if isinstance(behaviour, Truncated):
            if transport == "udp":
                reply(_response(query, question, NOERROR, _TRUNCATED))
                return
            behaviour = behaviour.over_tcp
        match behaviour:
            case Answer():
                reply(_answer(query, question, kind, behaviour))
            case Fail(code):
                reply(_response(query, question, code))
            case Delay(seconds, then):
                message = (
                    _answer(query, question, kind, then)
                    if isinstance(then, Answer)
                    else _response(query, question, then.code)
                )
                asyncio.get_running_loop().call_later(seconds, reply, message)
            case Drop():
                pass

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                query = await reader.readexactly(size)
                self.asked(query, "tcp", lambda data: writer.write(struct.pack("!H", len(data)) + data))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.asked(data, "udp", lambda reply: self._transport.sendto(reply, addr))


def _question(query: bytes) -> tuple[str, int, bytes]:
    """The name, the type and the bytes of a message's only question."""
    labels, at = [], _HEADER.size
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode("ascii"))
        at += 1 + size
    (number,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels).lower(), number, query[_HEADER.size : at + 5]


def _response(query: bytes, question: bytes, code: int, flags: int = 0, records: tuple[bytes, ...] = ()) -> bytes:
    (number,) = struct.unpack_from("!H", query)
    head = _HEADER.pack(number, _QUERY_RESPONSE | _RECURSION | flags | code, 1, len(records), 0, 0)
    return head + question + b"".join(records)


def _answer(query: bytes, question: bytes, kind: str, answer: Answer) -> bytes:
    version = 6 if kind == "AAAA" else 4
    number = 28 if kind == "AAAA" else 1
    found = [each for each in map(ipaddress.ip_address, answer.addresses) if each.version == version]
    records = tuple(
        struct.pack("!3HIH", 0xC00C, number, 1, answer.ttl, len(each.packed)) + each.packed
        for each in found
        if kind in ("A", "AAAA")
    )
    return _response(query, question, NOERROR, records=records)
