"""Protocol tests that read as dialogues: what a protocol receives, and what it does about it, in order, without sockets.

    play(
        protocol,
        got(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"),
        sent(b"HTTP/1.1 404 Not Found\\r\\n"),
        closed(),
    )

What the protocol did between two things that it was told has to be said in full: an act that is not expected fails the
dialogue as well as one that does not come. Adjacent writes count as one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# ── what the protocol is told ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Told:
    """Something from outside: `act` does it to the protocol."""

    words: str
    act: Callable[[asyncio.Protocol], object]


def got(*parts: bytes) -> Told:
    """Bytes from the peer, each part in a call of its own."""

    def act(protocol: asyncio.Protocol) -> None:
        for part in parts:
            protocol.data_received(part)

    return Told(f"got {b''.join(parts)!r}", act)


def byte_by_byte(data: bytes) -> Told:
    return got(*(data[at : at + 1] for at in range(len(data))))


def eof() -> Told:
    """FIN from the peer."""
    return Told("eof", lambda protocol: protocol.eof_received())


def lost(error: Exception | None = None) -> Told:
    """The connection is gone."""
    return Told("lost", lambda protocol: protocol.connection_lost(error))


def blocked() -> Told:
    """The peer reads too slowly: writing has to pause."""
    return Told("blocked", lambda protocol: protocol.pause_writing())


def unblocked() -> Told:
    return Told("unblocked", lambda protocol: protocol.resume_writing())


def meanwhile(words: str, act: Callable[[], object]) -> Told:
    """Something else happens: a clock moves, the other side of a proxy answers."""
    return Told(words, lambda protocol: act())


# ── what the protocol does ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Did:
    """An act of the protocol; `data` for writes."""

    words: str
    data: bytes | re.Pattern[bytes] = b""

    def __str__(self) -> str:
        if self.words != "sent":
            return self.words
        return f"sent {self.data!r}" if isinstance(self.data, bytes) else f"sent what matches {self.data.pattern!r}"

    def is_met_by(self, done: Did) -> bool:
        if self.words != done.words or not isinstance(done.data, bytes):
            return False
        if isinstance(self.data, bytes):
            return self.data == done.data
        return self.data.fullmatch(done.data) is not None


def sent(data: bytes | re.Pattern[bytes]) -> Did:
    """Wrote exactly these bytes, or bytes that the pattern matches in full."""
    return Did("sent", data)


def closed() -> Did:
    return Did("closed")


def aborted() -> Did:
    return Did("aborted")


def ended() -> Did:
    """Sent FIN and goes on reading."""
    return Did("ended")


def paused() -> Did:
    """Stopped reading."""
    return Did("paused")


def resumed() -> Did:
    return Did("resumed")


# ── the stage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class FakeTransport(asyncio.Transport):
    """Writes down what a protocol does. Reading that is paused twice, or resumed twice, counts once, as with a real one."""

    def __init__(
        self, peer: tuple[str, int] = ("127.0.0.1", 40000), own: tuple[str, int] = ("127.0.0.1", 8080)
    ) -> None:
        super().__init__({"peername": peer, "sockname": own, "socket": None})
        self.acts: list[Did] = []
        self._closing = False
        self._reading = True

    def write(self, data: Any) -> None:
        if self._closing or not data:
            return
        if self.acts and self.acts[-1].words == "sent" and isinstance(self.acts[-1].data, bytes):
            data = self.acts.pop().data + bytes(data)  # type: ignore[operator]
        self.acts.append(Did("sent", bytes(data)))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self.acts.append(ended())

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.acts.append(closed())

    def abort(self) -> None:
        self._closing = True
        self.acts.append(aborted())

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self.acts.append(paused())

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self.acts.append(resumed())

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """A fake is never full: `blocked` says when."""


def play(protocol: asyncio.Protocol, *dialogue: Told | Did, transport: FakeTransport | None = None) -> FakeTransport:
    """Plays the dialogue and checks it; AssertionError shows both sides up to where they part. A protocol that goes on
    from an earlier dialogue is given its `transport`, else it gets a connection."""
    if transport is None:
        transport = FakeTransport()
        protocol.connection_made(transport)
    story: list[str] = []
    expected: list[Did] = []
    for line in dialogue:
        if isinstance(line, Did):
            expected.append(line)
            continue
        _compare(story, expected, transport)
        expected = []
        story.append(f"  → {line.words}")
        line.act(protocol)
    _compare(story, expected, transport)
    return transport


def _compare(story: list[str], expected: Sequence[Did], transport: FakeTransport) -> None:
    """What was done since the last time against what was expected."""
    done, transport.acts = transport.acts, []
    if len(done) == len(expected) and all(one.is_met_by(other) for one, other in zip(expected, done, strict=True)):
        story.extend(f"  ← {act}" for act in done)
        return
    lines = [*story, *(f"- ← {act}" for act in expected), *(f"+ ← {act}" for act in done)]
    raise AssertionError("the dialogue went another way (- expected, + happened):\n" + "\n".join(lines))
