"""What the peer says of a connection and its streams, without sockets."""

from __future__ import annotations

import pytest

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import frame
from tests.harness.h2_ends import GET, NotingSession, block, headers, parsed, server

P, F, Z = frames.PROTOCOL_ERROR, frames.FLOW_CONTROL_ERROR, frames.FRAME_SIZE_ERROR


def test_settings_change_the_windows_of_open_streams() -> None:
    session = server()
    session.receive(headers(1))
    session.receive(frame(frames.SETTINGS, 0, 0, b"\0\4\0\0\0\5"))
    session.take()
    stream = session.seen[1]
    stream.send_data(b"0123456789", True)
    assert [payload for _, _, _, payload in parsed(session.take())] == [b"01234"]
    session.receive(frame(frames.SETTINGS, 0, 0, b"\0\4\0\0\0\0"))
    assert stream.send_window == -5
    session.receive(frame(frames.SETTINGS, 0, 0, b"\0\4\0\0\1\0"))
    assert [payload for kind, _, _, payload in parsed(session.take()) if kind == frames.DATA] == [b"56789"]


def test_settings_come_first() -> None:
    session = NotingSession(server=True)
    session.begin()
    session.receive(headers(1))
    assert session.violation is not None


def test_unknown_frames_and_settings_are_ignored() -> None:
    session = server()
    session.receive(frame(0x77, 0xFF, 5, b"what") + frame(frames.SETTINGS, 0, 0, b"\x77\x77\0\0\0\1"))
    assert session.violation is None
    assert parsed(session.take()) == [(frames.SETTINGS, frames.ACK, 0, b"")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (frame(frames.RST_STREAM, 0, 1, b"\0\0\0\0"), P),
        (frame(frames.RST_STREAM, 0, 0, b"\0\0\0\0"), P),
        (headers(1) + frame(frames.RST_STREAM, 0, 1, b"\0\0\0"), Z),
        (frame(frames.SETTINGS, 0, 1), P),
        (frame(frames.SETTINGS, frames.ACK, 0, b"\0" * 6), Z),
        (frame(frames.SETTINGS, 0, 0, b"\0" * 5), Z),
        (frame(frames.SETTINGS, 0, 0, b"\0\2\0\0\0\2"), P),
        (frame(frames.SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), F),
        (frame(frames.SETTINGS, 0, 0, b"\0\5\0\0\0\1"), P),
        (frame(frames.SETTINGS, 0, 0, b"\0\x08\0\0\0\2"), P),
        (frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + block(GET)), P),
        (frame(frames.PING, 0, 1, b"\0" * 8), P),
        (frame(frames.PING, 0, 0, b"\0" * 7), Z),
        (frame(frames.GOAWAY, 0, 1, b"\0" * 8), P),
        (frame(frames.GOAWAY, 0, 0, b"\0" * 7), Z),
        (frames.window_update(0, 0), P),
        (frames.window_update(1, 1), P),
        (frame(frames.WINDOW_UPDATE, 0, 0, b"\0"), Z),
        (frames.window_update(0, (1 << 31) - 1), F),
        (frame(frames.PRIORITY, 0, 0, b"\0" * 5), P),
        (frame(frames.PRIORITY, 0, 1, b"\0" * 4), Z),
    ],
)
def test_frames_that_end_the_connection(text: bytes, code: int) -> None:
    session = server()
    session.receive(text + frame(frames.PING, 0, 0, b"unheard!"))
    assert session.violation is not None
    assert session.violation.code == code
    kind, _, _, payload = parsed(session.take())[-1]
    assert kind == frames.GOAWAY
    assert int.from_bytes(payload[4:8]) == code
