"""What gRPC says beyond HTTP: its messages in any pieces, and its statuses."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.grpc import GrpcCall, MessageCounter, http_status, outcome

MESSAGES = st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=12)


def framed(compressed: bool, message: bytes) -> bytes:
    return bytes((compressed,)) + len(message).to_bytes(4) + message


@given(MESSAGES, st.lists(st.integers(0, 1000), max_size=20))
def test_messages_are_counted_however_their_bytes_come(messages: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    text = b"".join(framed(*message) for message in messages)
    counter = MessageCounter()
    for start, end in pairwise(sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})):
        counter.feed(text[start:end])
    assert counter.count == len(messages)


def test_a_message_counts_from_its_whole_prefix_on() -> None:
    counter = MessageCounter()
    counter.feed(framed(False, b"abc")[:4])
    assert counter.count == 0
    counter.feed(framed(False, b"abc")[4:6])
    assert counter.count == 1
    counter.feed(b"bc" + framed(True, b"")[:3])
    assert counter.count == 1
    counter.feed(framed(True, b"")[3:])
    assert counter.count == 2


def test_both_directions_are_counted_apart() -> None:
    call = GrpcCall()
    call.requests.feed(framed(False, b"a") * 2)
    call.responses.feed(framed(False, b"b"))
    assert (call.requests.count, call.responses.count) == (2, 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], 207),  # an answer that says nothing of gRPC
        ([(b"grpc-status", b"0")], 200),
        ([(b"x-a", b"1"), (b"grpc-status", b"14")], 503),
        ([(b"grpc-status", b"5")], 404),
        ([(b"grpc-status", b"17")], 500),
        ([(b"grpc-status", b"nonsense")], 500),
    ],
)
def test_what_an_answer_amounts_to(fields: list[tuple[bytes, bytes]], expected: int) -> None:
    assert outcome(207, fields) == expected


def test_every_status_of_grpc_has_its_http_status() -> None:
    assert [http_status(b"%d" % code) // 100 for code in range(17)] == [
        2,
        4,
        5,
        4,
        5,
        4,
        4,
        4,
        4,
        4,
        4,
        4,
        5,
        5,
        5,
        5,
        4,
    ]
