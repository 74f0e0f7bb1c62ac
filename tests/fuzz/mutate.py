"""Mutations of bytes: blind ones, and ones that know what an HTTP parser trips over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

LARGEST = 200_000
TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\x7f",
    b"\xff",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"content-length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b';ext="\r\n"',
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: b\r\n",
    b" folded\r\n",
    b"CONNECT a:80 HTTP/1.1\r\n",
    b"HEAD ",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"x" * 5_000,
    b"X: y\r\n" * 120,
)


def mutate(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    """A few mutations on top of each other."""
    for _ in range(1 + int(random.expovariate(0.7))):
        data = random.choice(MUTATIONS)(data, corpus, random)
    return data[:LARGEST]


def pieces(data: bytes, random: Random) -> list[bytes]:
    """The data as it may come off the wire: whole, in a few parts, or byte by byte."""
    kind = random.random()
    if kind < 0.6 or len(data) < 2:
        return [data]
    if kind < 0.9 or len(data) > 400:
        cuts = sorted(random.randrange(1, len(data)) for _ in range(random.randint(1, 4)))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]
    return [data[at : at + 1] for at in range(len(data))]


def _at(data: bytes, random: Random) -> int:
    return random.randint(0, len(data))


def _flip(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _replace(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + random.randbytes(1) + data[at + 1 :]


def _delete(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + data[at + random.randint(1, 12) :]


def _insert_token(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    at = _at(data, random)
    return data[:at] + random.choice(TOKENS) + data[at:]


def _insert_line(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    """A token between two header lines, where it means most."""
    ends = [at + 2 for at in range(len(data)) if data.startswith(b"\r\n", at)]
    at = random.choice(ends) if ends else 0
    return data[:at] + random.choice(TOKENS) + data[at:]


def _duplicate(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    start = _at(data, random)
    end = min(len(data), start + random.randint(1, 60))
    return data[:end] + data[start:end] + data[end:]


def _truncate(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    return data[: _at(data, random)]


def _splice(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(corpus)
    return data[: _at(data, random)] + other[_at(other, random) :]


def _append(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    """Pipelining."""
    return data + random.choice(corpus)


def _number(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    """Another number in place of a digit."""
    digits = [at for at, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not digits:
        return data
    at = random.choice(digits)
    number = random.choice((b"0", b"1", b"9", b"-1", b"+1", b"00", b"0x1", b"99999999999999999999", b"1e3", b""))
    return data[:at] + number + data[at + 1 :]


MUTATIONS: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _flip,
    _replace,
    _delete,
    _insert_token,
    _insert_line,
    _duplicate,
    _truncate,
    _splice,
    _append,
    _number,
)
