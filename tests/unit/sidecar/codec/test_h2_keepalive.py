"""When a connection asks whether its peer is there, and when it gives it up."""

from __future__ import annotations

import pytest

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_keepalive import Keepalives
from sidecar.config.http2_model import Keepalive
from tests.harness.h2_ends import NotingSession, parsed
from tests.harness.stage import ManualLoop

ASKING = Keepalive(5.0, 2.0, 0.0)


class Asking(NotingSession):
    """Answers are given by the test."""

    def __init__(self, config: Keepalive, loop: ManualLoop) -> None:
        super().__init__(server=True)
        self.gone = 0
        self.keepalives = Keepalives(self, config, loop)  # type: ignore[arg-type]

    def on_silence(self) -> None:
        self.gone += 1

    def pings(self) -> list[bytes]:
        return [payload for kind, _, _, payload in parsed(self.take()) if kind == frames.PING]


def test_it_asks_every_interval_and_waits_for_the_answer(loop: ManualLoop) -> None:
    session = Asking(ASKING, loop)
    loop.advance(4.9)
    assert session.pings() == []
    loop.advance(0.2)
    (data,) = session.pings()
    session.keepalives.answered(data)
    loop.advance(4.9)
    assert session.pings() == []
    loop.advance(0.2)
    assert session.pings() == [data]
    loop.advance(1.8)
    assert session.gone == 0
    loop.advance(0.3)
    assert session.gone == 1
    assert loop.timers == []


def test_whatever_comes_puts_the_end_off(loop: ManualLoop) -> None:
    session = Asking(ASKING, loop)
    loop.advance(5.0)
    for _ in range(5):
        loop.advance(1.5)
        session.keepalives.heard()
    assert session.gone == 0
    assert len(session.pings()) == 1  # one is out at a time
    loop.advance(2.1)
    assert session.gone == 1


def test_a_strange_answer_is_none(loop: ManualLoop) -> None:
    session = Asking(ASKING, loop)
    loop.advance(5.0)
    session.keepalives.answered(b"whatever")
    loop.advance(2.1)
    assert session.gone == 1


@pytest.mark.parametrize(("silence", "asks"), [(2.9, False), (3.0, True)])
def test_ahead_of_a_stream_after_silence(loop: ManualLoop, silence: float, asks: bool) -> None:
    session = Asking(Keepalive(0.0, 2.0, 0.0, idle_interval=3.0), loop)
    loop.advance(silence)
    session.keepalives.before_stream()
    assert bool(session.pings()) is asks


def test_a_connection_that_ends_asks_no_more(loop: ManualLoop) -> None:
    session = Asking(ASKING, loop)
    session.keepalives.cancel()
    assert loop.timers == []
    loop.advance(100.0)
    assert (session.pings(), session.gone) == ([], 0)
