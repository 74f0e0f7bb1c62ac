"""A connection without sockets: `h2` at the other end, and frames written by hand."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hpack
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import PREFACE, frame
from sidecar.config.http2_model import Http2
from sidecar.http.headers import Headers
from tests.harness.h2_ends import NotingSession

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]
SMALL = Http2(initial_stream_window_size=65535, initial_connection_window_size=65535)


def server(options: Http2 | None = None) -> NotingSession:
    """With a client that has said its SETTINGS, and was answered."""
    session = NotingSession(options, server=True)
    session.begin()
    session.receive(frame(frames.SETTINGS, 0, 0))
    session.take()
    return session


def block(fields: Headers) -> bytes:
    return hpack.Encoder().encode(fields, huffman=False)


def headers(number: int, fields: Headers = GET, flags: int = frames.END_HEADERS | frames.END_STREAM) -> bytes:
    return frame(frames.HEADERS, flags, number, block(fields))


def parsed(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each frame."""
    found = []
    while data:
        length = int.from_bytes(data[:3])
        found.append((data[3], data[4], int.from_bytes(data[5:9]), data[9 : 9 + length]))
        data = data[9 + length :]
    return found


# ── with h2 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Dialogue(RuleBasedStateMachine):
    """`h2` as the client and ours as the server exchange whatever both may send; what either gets is what the other sent,
    and the windows let all of it pass."""

    @initialize(window=st.sampled_from([65535, 1 << 20]), frame_size=st.sampled_from([16384, 40000]))
    def begin(self, window: int, frame_size: int) -> None:
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.client.initiate_connection()
        self.client.update_settings({4: 1000, 5: frame_size})
        self.session = NotingSession(
            Http2(initial_stream_window_size=window, initial_connection_window_size=window), server=True
        )
        self.session.begin()
        self.preface = True
        self.sent: dict[int, bytes] = {}
        self.got: dict[int, bytes] = {}
        self.answered: dict[int, bytes] = {}
        self.trailers: dict[int, Headers] = {}
        self.open: list[int] = []
        self.exchange()

    def exchange(self) -> None:
        while True:
            data = self.client.data_to_send()
            if self.preface and data:
                data = data.removeprefix(PREFACE)
                self.preface = False
            if data:
                self.session.receive(data)
            assert self.session.violation is None, self.session.violation
            back = self.session.take()
            for event in self.client.receive_data(back):
                if isinstance(event, h2.events.DataReceived):
                    self.got[event.stream_id] = self.got.get(event.stream_id, b"") + event.data
                    self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers]
            if not data and not back:
                return

    @rule(path=st.binary(max_size=20).map(lambda data: "/" + data.hex()), body=st.booleans())
    def request(self, path: str, body: bool) -> None:
        number = self.client.get_next_available_stream_id()
        self.client.send_headers(number, [*GET[:3], (b":path", path.encode()), (b"x-id", b"1")], end_stream=not body)
        self.exchange()
        assert self.session.seen[number].head.target == path.encode()
        self.sent[number] = b""
        self.open.append(number)
        if not body:
            assert self.session.seen[number].ended

    @precondition(lambda self: self.open)
    @rule(which=st.randoms(use_true_random=False), size=st.integers(0, 40000), end=st.booleans())
    def upload(self, which, size: int, end: bool) -> None:
        number = which.choice(self.open)
        stream = self.session.seen[number]
        if stream.ended or stream.closed:
            return
        size = min(size, self.client.local_flow_control_window(number))
        data = bytes((size % 251,)) * size
        for at in range(0, size, 16384):
            self.client.send_data(number, data[at : at + 16384], pad_length=3 if size < 16000 and size else None)
            size -= 4
            if size < 0:
                break
        if end:
            self.client.end_stream(number)
        self.exchange()
        self.sent[number] += data
        assert stream.body == self.sent[number][: len(stream.body)]
        assert stream.ended == end

    @precondition(lambda self: self.open)
    @rule(which=st.randoms(use_true_random=False), size=st.integers(0, 200000), trailers=st.booleans())
    def answer(self, which, size: int, trailers: bool) -> None:
        number = which.choice(self.open)
        self.open.remove(number)
        stream = self.session.seen[number]
        data = bytes((size % 251,)) * size
        stream.send_head([(b":status", b"200"), (b"x-request-id", b"%d" % size)], False)
        stream.send_data(data, not trailers)
        if trailers:
            stream.send_trailers([(b"grpc-status", b"0")])
        self.exchange()
        self.exchange()
        assert self.got.get(number, b"") == data
        assert (number in self.trailers) == trailers
        assert not stream.waiting
        assert stream.closed == stream.ended

    @precondition(lambda self: self.open)
    @rule(which=st.randoms(use_true_random=False), by_client=st.booleans())
    def reset(self, which, by_client: bool) -> None:
        number = which.choice(self.open)
        self.open.remove(number)
        if by_client:
            self.client.reset_stream(number, frames.CANCEL)
            self.exchange()
            assert self.session.seen[number].reset_by == (frames.CANCEL, "")
        else:
            self.session.seen[number].abort(frames.INTERNAL_ERROR)
            self.exchange()
        assert self.session.seen[number].closed
        assert number not in self.session.streams


TestDialogue = Dialogue.TestCase
TestDialogue.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_a_client_of_ours_and_a_server_of_h2() -> None:
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    peer.initiate_connection()
    session = NotingSession(server=False)
    session.begin()
    stream = session.open(1)
    stream.send_head([*POST, (b"te", b"trailers")], False)
    stream.send_data(b"question", True)
    events = peer.receive_data(PREFACE + session.take())
    assert [type(event).__name__ for event in events][-3:] == ["RequestReceived", "DataReceived", "StreamEnded"]
    peer.send_headers(1, [(b":status", b"200")])
    peer.send_data(1, b"answer")
    peer.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    session.receive(peer.data_to_send())
    assert stream.head.status == 200
    assert stream.body == b"answer"
    assert stream.trailers == [(b"grpc-status", b"0")]
    assert stream.closed
    assert session.violation is None


# ── flow control ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_a_peer_that_ignores_the_windows() -> None:
    session = server(SMALL)
    session.receive(headers(1, POST, frames.END_HEADERS))
    session.seen[1].pause_reading()
    session.receive(frame(frames.DATA, 0, 1, b"d" * 16384) * 4)
    assert session.violation is not None
    assert session.violation.code == frames.FLOW_CONTROL_ERROR


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


def test_a_connection_that_takes_nothing_leaves_the_data_with_the_streams() -> None:
    session = server()
    session.receive(headers(1))
    session.blocked = True
    session.seen[1].send_data(b"later", True)
    assert session.take() == b""
    session.blocked = False
    session.drain()
    assert [payload for _, _, _, payload in parsed(session.take())] == [b"later"]


# ── frames in pieces, padding, blocks in several frames ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_bytes_may_come_in_any_pieces(step: int) -> None:
    session = server()
    text = (
        headers(1, POST, frames.END_HEADERS)
        + frame(frames.DATA, frames.PADDED, 1, b"\2ab\0\0")
        + frame(frames.PING, 0, 0, b"12345678")
        + frame(frames.DATA, 0, 1, b"c" * 300)
        + frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, block([(b"x-sum", b"1")]))
    )
    for at in range(0, len(text), step):
        session.receive(text[at : at + step])
    stream = session.seen[1]
    assert session.violation is None
    assert stream.body == b"ab" + b"c" * 300
    assert stream.trailers == [(b"x-sum", b"1")]


def test_large_heads_travel_in_several_frames_both_ways() -> None:
    session = server()
    large = [*GET, (b"x-large", b"l" * 40_000)]
    text = block(large)
    session.receive(
        frame(frames.HEADERS, frames.END_STREAM, 1, text[:16384])
        + frame(frames.CONTINUATION, 0, 1, text[16384:32768])
        + frame(frames.CONTINUATION, frames.END_HEADERS, 1, text[32768:])
    )
    stream = session.seen[1]
    assert stream.head.headers == large[4:]
    assert stream.ended
    stream.send_head([(b":status", b"200"), (b"x-large", b"l" * 40_000)], True)
    sent = parsed(session.take())
    assert [(kind, flags) for kind, flags, _, _ in sent] == [
        (frames.HEADERS, frames.END_STREAM),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, frames.END_HEADERS),
    ]
    whole = hpack.Decoder(max_header_list_size=1 << 20).decode(b"".join(payload for *_, payload in sent), raw=True)
    assert len(whole[1][1]) == 40_000


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


# ── violations ────────────────────────────────────────────────────────────────────────────────────────────────────────

P, F, S, C, Z = (
    frames.PROTOCOL_ERROR,
    frames.FLOW_CONTROL_ERROR,
    frames.STREAM_CLOSED,
    frames.COMPRESSION_ERROR,
    frames.FRAME_SIZE_ERROR,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (frame(frames.DATA, 0, 0, b"x"), P),
        (frame(frames.DATA, 0, 1, b"x"), P),
        (frame(frames.HEADERS, 5, 0, block(GET)), P),
        (headers(2), P),
        (headers(3) + headers(1), S),
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
        (frame(frames.CONTINUATION, 4, 1, b""), P),
        (frame(frames.HEADERS, 0, 1, block(GET)) + frame(frames.PING, 0, 0, b"\0" * 8), P),
        (frame(frames.HEADERS, 0, 1, block(GET)) + frame(frames.CONTINUATION, 4, 3, b"x"), P),
        (frame(frames.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"), C),
        (frame(frames.HEADERS, frames.PADDED | 5, 1, b"\x40" + block(GET)), P),
        (frame(frames.HEADERS, frames.PRIORITIZED | 5, 1, b"\0\0"), Z),
        (headers(1, POST, 4) + frame(frames.DATA, frames.PADDED, 1, b"\2a"), P),
        (frame(frames.PRIORITY, 0, 0, b"\0" * 5), P),
        (frame(frames.PRIORITY, 0, 1, b"\0" * 4), Z),
        (frame(frames.DATA, 0, 1, b"d" * 16385), Z),
        (headers(1, POST, 4) + frame(frames.HEADERS, 4, 1, block([(b"x-a", b"1")])), P),
    ],
)
def test_violations_that_end_the_connection(text: bytes, code: int) -> None:
    session = server()
    session.receive(text + frame(frames.PING, 0, 0, b"unheard!"))
    assert session.violation is not None
    assert session.violation.code == code
    kind, _, _, payload = parsed(session.take())[-1]
    assert kind == frames.GOAWAY
    assert int.from_bytes(payload[4:8]) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (frames.window_update(1, 0), P),
        (frames.window_update(1, (1 << 31) - 1), F),
        (frame(frames.DATA, 1, 1, b"") + frame(frames.DATA, 0, 1, b"x"), S),
        (frame(frames.DATA, 1, 1, b"") + frame(frames.HEADERS, 5, 1, block([(b"x-a", b"1")])), S),
    ],
)
def test_violations_that_end_a_stream(text: bytes, code: int) -> None:
    session = server()
    session.receive(headers(1, POST, frames.END_HEADERS) + text + frame(frames.PING, 0, 0, b"go on ok"))
    assert session.violation is None
    sent = parsed(session.take())
    assert (frames.RST_STREAM, 0, 1, code.to_bytes(4)) in sent
    assert sent[-1] == (frames.PING, frames.ACK, 0, b"go on ok")
    assert session.seen[1].reset_by is not None


def test_malformed_messages_end_their_stream_alone_where_that_is_configured() -> None:
    session = server(Http2(stream_error_on_invalid_http_message=True))
    session.receive(headers(1, [*GET, (b"X-Upper", b"1")]) + headers(3))
    assert session.violation is None
    assert parsed(session.take()) == [(frames.RST_STREAM, 0, 1, P.to_bytes(4))]
    assert session.seen[3].ended


@pytest.mark.parametrize(("told", "flags"), [(b"3", 1), (b"1", 0)])
def test_a_body_of_another_length_than_told_ends_its_stream(told: bytes, flags: int) -> None:
    session = server()
    session.receive(headers(1, [*POST, (b"content-length", told)], 4) + frame(frames.DATA, flags, 1, b"ab"))
    assert session.violation is None
    assert (frames.RST_STREAM, 0, 1, b"\0\0\0\1") in parsed(session.take())


def test_what_comes_late_for_a_stream_that_we_reset_is_dropped() -> None:
    session = server(SMALL)
    session.receive(headers(1, POST, frames.END_HEADERS))
    session.seen[1].abort(frames.CANCEL)
    late = frame(frames.DATA, 0, 1, b"d" * 16384) * 2
    session.receive(late + frames.window_update(1, 5) + frame(frames.HEADERS, 5, 1, block([(b"x-a", b"1")])))
    assert session.violation is None
    assert (frames.WINDOW_UPDATE, 0, 0, (32768).to_bytes(4)) in parsed(session.take())


def test_unknown_frames_and_settings_are_ignored() -> None:
    session = server()
    session.receive(frame(0x77, 0xFF, 5, b"what") + frame(frames.SETTINGS, 0, 0, b"\x77\x77\0\0\0\1"))
    assert session.violation is None
    assert parsed(session.take()) == [(frames.SETTINGS, frames.ACK, 0, b"")]


def test_settings_come_first() -> None:
    session = NotingSession(server=True)
    session.begin()
    session.receive(headers(1))
    assert session.violation is not None


# ── floods ────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_what_was_taken_does_not_count() -> None:
    session = server()
    for _ in range(5):
        session.receive(frame(frames.PING, 0, 0, b"12345678") * 900)
        assert len(parsed(session.take())) == 900
    assert session.violation is None
