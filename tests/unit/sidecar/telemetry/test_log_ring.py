from __future__ import annotations

from sidecar.telemetry.log_ring import RING_BYTES, RING_LINES, LogRing


def test_what_came_later_is_given_in_its_order() -> None:
    ring = LogRing()
    ring.add(1.0, [b"a\n", b"b\n"])
    ring.add(2.0, [b"c \xff\n"])
    assert [line.text for line in ring.after(0.0)] == ["a", "b", "c \ufffd"]
    assert [(line.at, line.text) for line in ring.after(1.0)] == [(2.0, "c \ufffd")]
    assert ring.after(2.0) == []


def test_it_is_bounded_in_lines_and_in_bytes() -> None:
    ring = LogRing()
    for at in range(10):
        ring.add(at, [b"x\n"] * RING_LINES)
    assert len(ring.after(-1)) == RING_LINES
    ring.add(11, [b"y" * RING_BYTES, b"z\n"])
    ring.add(12, [b"last\n"])
    assert [line.text for line in ring.after(-1)] == ["last"]
