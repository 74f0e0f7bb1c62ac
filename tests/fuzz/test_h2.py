"""Frames that are well-formed, nearly so or not at all, thrown at an HTTP/2 session: it answers with frames, ends the
connection by a GOAWAY, or goes on; and the bytes may come in any pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import frame
from tests.harness.h2_ends import NotingSession

HEAD = hpack.Encoder().encode(
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x-a", "1")], huffman=True
)
STREAMS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 2, 1 << 31])
FRAMES = st.builds(
    frame,
    st.sampled_from([*range(10), 0x77]),
    st.sampled_from([0, 1, 4, 5, 8, 9, 13, 32, 36, 0xFF]),
    STREAMS,
    st.one_of(
        st.just(b""),
        st.just(HEAD),
        st.sampled_from([b"\0\0\0\1", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"12345678", b"\0\4\0\0\0\7", b"\3abc\0\0\0"]),
        st.binary(max_size=40),
    ),
)
REQUESTS = st.sampled_from([1, 3, 5]).map(lambda number: frame(frames.HEADERS, 4, number, HEAD))
BYTES = st.lists(st.one_of(FRAMES, FRAMES, REQUESTS, REQUESTS, st.binary(max_size=20)), max_size=15).map(b"".join)


def answered(text: bytes, cuts: Sequence[int]) -> tuple[bytes, str]:
    """What a session that got the text in these pieces has sent, and what ended it."""
    session = NotingSession(server=True)
    session.begin()
    session.receive(frame(frames.SETTINGS, 0, 0))
    sent = session.take()
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        session.receive(text[start:end])
        sent += session.take()
    return sent, session.violation.detail if session.violation is not None else ""


@settings(max_examples=300, deadline=None)
@given(BYTES, st.lists(st.integers(0, 10_000), max_size=6))
def test_a_session_answers_whatever_comes(text: bytes, cuts: list[int]) -> None:
    sent, why = answered(text, cuts)
    kinds = []
    while sent:
        length = int.from_bytes(sent[:3])
        assert len(sent) >= 9 + length
        kinds.append(sent[3])
        sent = sent[9 + length :]
    assert set(kinds) <= {frames.SETTINGS, frames.WINDOW_UPDATE, frames.PING, frames.RST_STREAM, frames.GOAWAY}
    assert (kinds[-1] == frames.GOAWAY) == bool(why)


@settings(max_examples=200, deadline=None)
@given(BYTES, st.lists(st.integers(0, 10_000), max_size=6))
def test_pieces_make_no_difference(text: bytes, cuts: list[int]) -> None:
    whole, pieces = answered(text, ()), answered(text, cuts)
    assert whole[1] == pieces[1]
