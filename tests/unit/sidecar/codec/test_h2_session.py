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
from tests.harness.h2_ends import GET, POST, SMALL, NotingSession, block, headers, parsed, server

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


def test_a_peer_that_ignores_the_windows() -> None:
    session = server(SMALL)
    session.receive(headers(1, POST, frames.END_HEADERS))
    session.seen[1].pause_reading()
    session.receive(frame(frames.DATA, 0, 1, b"d" * 16384) * 4)
    assert session.violation is not None
    assert session.violation.code == frames.FLOW_CONTROL_ERROR


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
        (frame(frames.CONTINUATION, 4, 1, b""), P),
        (frame(frames.HEADERS, 0, 1, block(GET)) + frame(frames.PING, 0, 0, b"\0" * 8), P),
        (frame(frames.HEADERS, 0, 1, block(GET)) + frame(frames.CONTINUATION, 4, 3, b"x"), P),
        (frame(frames.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"), C),
        (frame(frames.HEADERS, frames.PADDED | 5, 1, b"\x40" + block(GET)), P),
        (frame(frames.HEADERS, frames.PRIORITIZED | 5, 1, b"\0\0"), Z),
        (headers(1, POST, 4) + frame(frames.DATA, frames.PADDED, 1, b"\2a"), P),
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
