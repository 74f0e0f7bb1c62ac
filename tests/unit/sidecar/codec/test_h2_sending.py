"""What a connection sends, without sockets: windows, turns, credit, and peers that take nothing."""

from __future__ import annotations

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import frame
from sidecar.config.http2_model import Http2
from tests.harness.h2_ends import POST, SMALL, headers, parsed, server


def test_no_stream_waits_for_another_ones_window() -> None:
    session = server()
    session.receive(headers(1) + headers(3))
    slow, quick = session.seen[1], session.seen[3]
    session.send_window = 1 << 20
    slow.send_data(b"s" * 200_000, True)
    quick.send_data(b"q" * 1000, True)
    sent = parsed(session.take())
    assert sum(len(payload) for _, _, number, payload in sent if number == 1) == 65535
    assert [payload for _, _, number, payload in sent if number == 3] == [b"q" * 1000]
    assert slow.held_up == [True]
    session.receive(frames.window_update(1, 200_000))
    assert sum(len(payload) for _, _, _, payload in parsed(session.take())) == 200_000 - 65535
    assert slow.closed
    assert slow.held_up == [True]  # it is over: nobody has more for it


def test_the_connections_window_is_shared_in_turns() -> None:
    session = server()
    session.receive(headers(1) + headers(3) + frames.window_update(1, 1 << 20) + frames.window_update(3, 1 << 20))
    for number in (1, 3):
        session.seen[number].send_data(b"d" * 100_000, True)
    session.take()
    session.receive(frames.window_update(0, 65536))
    turns = [number for _, _, number, payload in parsed(session.take()) if payload]
    assert sorted(turns) == [1, 1, 3, 3]
    assert turns[0] != turns[1]


def test_credit_is_given_when_half_a_window_was_passed_on_and_not_while_held_up() -> None:
    session = server(SMALL)
    session.receive(headers(1, POST, frames.END_HEADERS))
    stream = session.seen[1]
    data = frame(frames.DATA, 0, 1, b"d" * 16384)
    session.receive(data)
    assert session.take() == b""
    session.receive(data)
    assert parsed(session.take()) == [
        (frames.WINDOW_UPDATE, 0, 1, (32768).to_bytes(4)),
        (frames.WINDOW_UPDATE, 0, 0, (32768).to_bytes(4)),
    ]
    stream.pause_reading()
    session.receive(data + data)
    assert session.take() == b""
    stream.resume_reading()
    assert len(parsed(session.take())) == 2


def test_a_stream_that_ends_while_held_up_gives_its_share_of_the_connection_back() -> None:
    session = server(SMALL)
    session.receive(headers(1, POST, frames.END_HEADERS))
    session.seen[1].pause_reading()
    session.receive(frame(frames.DATA, 0, 1, b"d" * 16384) * 3)
    session.seen[1].abort(frames.CANCEL)
    assert (frames.WINDOW_UPDATE, 0, 0, (49152).to_bytes(4)) in parsed(session.take())


def test_a_connection_that_takes_nothing_leaves_the_data_with_the_streams() -> None:
    session = server()
    session.receive(headers(1))
    session.blocked = True
    session.seen[1].send_data(b"later", True)
    assert session.take() == b""
    session.blocked = False
    session.drain()
    assert [payload for _, _, _, payload in parsed(session.take())] == [b"later"]


def test_trailers_wait_for_the_body_before_them() -> None:
    session = server()
    session.receive(headers(1))
    stream = session.seen[1]
    stream.send_data(b"d" * 70_000, False)
    stream.send_trailers([(b"grpc-status", b"0")])
    assert all(kind == frames.DATA for kind, *_ in parsed(session.take()))
    session.receive(frames.window_update(0, 10_000) + frames.window_update(1, 10_000))
    assert [kind for kind, *_ in parsed(session.take())] == [frames.DATA, frames.HEADERS]
    assert stream.closed


def test_frames_that_nobody_takes_are_bounded() -> None:
    session = server(Http2(max_outbound_frames=50))
    session.receive(headers(1))
    stream = session.seen[1]
    stream.send_head([(b":status", b"200")], False)
    for _ in range(60):
        stream.send_data(b"d" * 1024, False)
    assert session.floods.overflow == "http2.outbound_frames_flood"
    session.receive(frame(frames.PING, 0, 0, b"12345678"))
    assert session.violation is None  # before anybody has tried to write it
    session.judge_unsent()
    assert session.violation is not None
    assert session.violation.code == frames.ENHANCE_YOUR_CALM


def test_frames_that_were_taken_after_all_are_forgiven() -> None:
    session = server(Http2(max_outbound_frames=50))
    session.receive(headers(1))
    for _ in range(60):
        session.seen[1].send_data(b"d" * 1024, False)
    session.take()
    session.judge_unsent()
    assert session.violation is None


def test_small_pieces_of_a_stream_go_out_as_one_frame_also_when_others_come_between() -> None:
    session = server()
    session.receive(headers(1) + headers(3))
    for _ in range(300):
        session.seen[1].send_data(b"a", False)
        session.seen[3].send_data(b"b", False)
    session.seen[1].send_data(b"", True)
    assert parsed(session.take()) == [
        (frames.DATA, frames.END_STREAM, 1, b"a" * 300),
        (frames.DATA, 0, 3, b"b" * 300),
    ]
    session.seen[3].send_data(b"c", True)  # what was taken is not touched any more
    assert parsed(session.take()) == [(frames.DATA, frames.END_STREAM, 3, b"c")]


def test_small_pieces_that_wait_go_out_in_large_frames() -> None:
    session = server()
    session.receive(headers(1))
    session.blocked = True
    data = bytes(number % 251 for number in range(40_000))
    for at in range(0, len(data), 2):
        session.seen[1].send_data(data[at : at + 2], False)
    session.seen[1].send_data(b"", True)
    session.blocked = False
    session.drain()
    sent = parsed(session.take())
    assert b"".join(payload for *_, payload in sent) == data
    assert [len(payload) for *_, payload in sent] == [16384, 16384, 40_000 - 2 * 16384]
    assert sent[-1][1] == frames.END_STREAM
