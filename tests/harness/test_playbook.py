from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.harness.playbook import (
    Did,
    Told,
    aborted,
    blocked,
    byte_by_byte,
    closed,
    ended,
    eof,
    got,
    lost,
    meanwhile,
    paused,
    play,
    resumed,
    sent,
    unblocked,
)


class Shout(asyncio.Protocol):
    """Answers lines in capitals; `bye` closes, `die` aborts; pauses reading while it cannot write."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            if line == b"bye":
                self.transport.close()
            elif line == b"die":
                self.transport.abort()
            else:
                self.transport.write(line.upper())
                self.transport.write(b"\n")

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        self.transport.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


def test_a_dialogue_that_holds() -> None:
    shout = Shout()
    play(
        shout,
        got(b"hel", b"lo\n"),
        sent(b"HELLO\n"),
        byte_by_byte(b"a\nb\n"),
        sent(b"A\nB\n"),
        blocked(),
        paused(),
        blocked(),
        unblocked(),
        resumed(),
        eof(),
        ended(),
        got(b"bye\n"),
        closed(),
        got(b"too late\n"),
        lost(),
    )
    assert shout.lost


def test_patterns_other_events_and_going_on() -> None:
    shout = Shout()
    seen: list[str] = []
    transport = play(
        shout, got(b"id 42\n"), sent(re.compile(rb"ID \d+\n")), meanwhile("a clock", lambda: seen.append("x"))
    )
    play(shout, got(b"die\n"), aborted(), transport=transport)
    assert seen == ["x"]


@pytest.mark.parametrize(
    ("dialogue", "shown"),
    [
        ((got(b"a\n"), sent(b"B\n")), ["  → got b'a\\n'", "- ← sent b'B\\n'", "+ ← sent b'A\\n'"]),
        ((got(b"a\n"),), ["+ ← sent b'A\\n'"]),
        ((got(b"a"), sent(b"A\n")), ["- ← sent b'A\\n'"]),
        ((got(b"a\n"), sent(b"A\n"), closed()), ["- ← closed"]),
        ((got(b"a\n"), sent(re.compile(rb"\d"))), ["- ← sent what matches b'\\\\d'"]),
        ((closed(), got(b"bye\n")), ["- ← closed"]),
    ],
)
def test_a_dialogue_that_does_not_hold_is_shown(dialogue: tuple[Told | Did, ...], shown: list[str]) -> None:
    with pytest.raises(AssertionError) as failed:
        play(Shout(), *dialogue)
    for line in shown:
        assert line in str(failed.value)
