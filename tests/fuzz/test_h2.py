"""Frames that are well-formed, nearly so or not at all, thrown at both ends of HTTP/2: they answer with frames, end the
connection by a GOAWAY, or go on; and the bytes may come in any pieces."""

from __future__ import annotations

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import frame
from tests.fuzz.h2 import broken
from tests.fuzz.h2_subjects import Client, Server

HEAD = hpack.Encoder().encode(
    [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x-a", "1")], huffman=True
)
STATUS = hpack.Encoder().encode([(":status", "200"), ("x-a", "1")], huffman=True)
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
HEADS = st.sampled_from([1, 3, 5]).map(lambda number: frame(frames.HEADERS, 4, number, STATUS))
BYTES = st.lists(st.one_of(FRAMES, FRAMES, REQUESTS, REQUESTS, st.binary(max_size=20)), max_size=15).map(b"".join)
ANSWERS = st.lists(st.one_of(FRAMES, FRAMES, HEADS, HEADS, st.binary(max_size=20)), max_size=15).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(BYTES, st.lists(st.integers(0, 10_000), max_size=6))
def test_a_server_answers_whatever_comes(text: bytes, cuts: list[int]) -> None:
    assert broken(Server(), text, cuts) == ""


@settings(max_examples=300, deadline=None)
@given(ANSWERS, st.lists(st.integers(0, 10_000), max_size=6))
def test_a_client_takes_whatever_comes(text: bytes, cuts: list[int]) -> None:
    assert broken(Client(), text, cuts) == ""
