"""Frames that cost their sender nothing, as a session counts them."""

from __future__ import annotations

import pytest

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import frame
from tests.harness.h2_ends import GET, POST, block, headers, parsed, server


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (frame(frames.PING, 0, 0, b"12345678") * 1001, "outbound_control_frames_flood"),
        (frame(frames.SETTINGS, 0, 0) * 1001, "outbound_control_frames_flood"),
        (headers(1, POST, 4) + frame(frames.DATA, 0, 1) * 2, "inbound_empty_frames_flood"),
        (
            frame(frames.HEADERS, 0, 1, block(GET)) + frame(frames.CONTINUATION, 0, 1) * 2,
            "inbound_empty_frames_flood",
        ),
        (frame(frames.PRIORITY, 0, 1, b"\0" * 5) * 101, "inbound_priority_frames_flood"),
        (frames.window_update(0, 1) * 6, "inbound_window_update_frames_flood"),
        (
            frame(frames.HEADERS, 0, 1, block(GET)) + frame(frames.CONTINUATION, 0, 1, b"c" * 16384) * 8,
            "headers_too_large",
        ),
    ],
)
def test_floods(text: bytes, detail: str) -> None:
    session = server()
    session.receive(text)
    assert session.violation is not None
    assert session.violation.detail == f"http2.{detail}"
    assert session.violation.code == frames.ENHANCE_YOUR_CALM


def test_what_was_taken_does_not_count() -> None:
    session = server()
    for _ in range(5):
        session.receive(frame(frames.PING, 0, 0, b"12345678") * 900)
        assert len(parsed(session.take())) == 900
    assert session.violation is None
