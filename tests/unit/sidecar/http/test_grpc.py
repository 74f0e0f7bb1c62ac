from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.grpc import MessageCounter


@given(
    lengths=st.lists(st.sampled_from([0, 1, 4, 5, 6, 300]), max_size=6),
    cuts=st.lists(st.integers(0, 12), max_size=40),
)
def test_messages_are_counted_wherever_their_pieces_begin_and_end(lengths: list[int], cuts: list[int]) -> None:
    stream = b"".join(b"\0" + length.to_bytes(4) + b"\xff" * length for length in lengths)
    counter = MessageCounter()
    at = 0
    for cut in cuts:
        counter.feed(stream[at : at + cut])
        at += cut
    counter.feed(stream[at:])
    assert counter.count == len(lengths)
