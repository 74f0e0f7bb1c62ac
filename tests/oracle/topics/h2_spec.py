"""What RFC 9113 and RFC 7541 ask of a server, section by section, frame by frame.

A row says what the client sends and what has to come of it: the connection ends, the stream does, or nothing is wrong and
the next request is answered. It is pinned at Envoy where Envoy does so, and ours has to do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import hpack

from tests.harness.client import Fields
from tests.harness.h2_wire import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    settings,
    window_update,
)
from tests.oracle.case import Case, Read, Up, Wait, Write, h2_cluster
from tests.oracle.h2_case import HOST, Block, Data, H2Action, Over, Pairs, Quiet, Request, Send, UntilEnd

UP = {"": h2_cluster()}
BOTH = END_STREAM | END_HEADERS
LARGEST = (1 << 31) - 1
PSEUDO: Pairs = ((":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", "/"))
POST: Pairs = ((":method", "POST"), *PSEUDO[1:])
OPEN = Request(method="POST", end=False)  # a stream that goes on

# What comes of it.
CONNECTION, FINE, ENVOYS = "the connection ends", "nothing", "what Envoy makes of it"


# What of it is left to chance: how much is answered, or sent to the host, before the end. Envoy often ends a connection
# without a word, ours says why (RFC 9113 §5.4.1 wants a GOAWAY).
IGNORED = {
    CONNECTION: ("log", "h2up", "h2[", "h2.goaway"),
    ENVOYS: ("log", "h2up", "h2.goaway"),
    FINE: ("h2up[0].connection", "h2up[0].reset"),
}


class Row(NamedTuple):
    outcome: str
    steps: tuple[H2Action, ...]
    settings: tuple[tuple[int, int], ...] = ()


def block(*more: tuple[str, str], table: bytes = b"") -> bytes:
    """A request's block for the host that has all of these cases' requests, after the bytes of `table`."""
    fields: Fields = [(":method", "GET"), (":scheme", "http"), (":authority", "h2spec.test"), (":path", "/"), *more]
    plain = [hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields]
    return table + bytes(hpack.Encoder().encode(plain, huffman=False))


def sent(*parts: Frame | bytes) -> Send:
    return Send(parts)


def head(flags: int = BOTH, stream: int = 1, data: bytes | None = None) -> Frame:
    return Frame(HEADERS, flags, stream, block() if data is None else data)


def field(name: bytes, value: bytes, *, huffman: bool = False) -> bytes:
    """A literal field that is not indexed; the value's string as it is."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value) | (0x80 if huffman else 0),)) + value


PING_FRAME = Frame(PING, 0, 0, b"h2spec!!")
LATE = Quiet(0.15)
ENDED = (Request(), Over())

ROWS: dict[str, Row] = {
    # ── 4 frames ──
    "4.1 unknown frame type": Row(FINE, (sent(Frame(0x16, 0, 0, b"\0" * 8), PING_FRAME), LATE)),
    "4.1 undefined flags": Row(FINE, (sent(Frame(PING, 0x16, 0, b"h2spec!!")), LATE)),
    "4.1 reserved bit": Row(FINE, (sent(bytes(PING_FRAME)[:5] + b"\x80\0\0\0h2spec!!"), LATE)),
    "4.2 DATA of 16384 octets": Row(FINE, (OPEN, Data(b"x" * 16384, end=True), Over())),
    "4.2 DATA larger than the frame size": Row(CONNECTION, (OPEN, sent(Frame(DATA, END_STREAM, 1, b"x" * 16385)))),
    "4.2 HEADERS larger than the frame size": Row(CONNECTION, (sent(head(data=block(("x", "y" * 16385)))),)),
    "4.3 invalid header block fragment": Row(CONNECTION, (sent(head(data=b"\x82\x87\x84\x41\x8a\x08\x9d\x5c")),)),
    "4.3 PRIORITY within a header block": Row(
        CONNECTION, (sent(head(0), Frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"), Frame(CONTINUATION, END_HEADERS, 1)),)
    ),
    "4.3 HEADERS of another stream within a header block": Row(CONNECTION, (sent(head(0), head(BOTH, 3)),)),
    # ── 5.1 stream states ──
    "5.1 idle DATA": Row(CONNECTION, (sent(Frame(DATA, END_STREAM, 1, b"x")),)),
    "5.1 idle RST_STREAM": Row(CONNECTION, (sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),)),
    "5.1 idle WINDOW_UPDATE": Row(CONNECTION, (sent(window_update(1, 100)),)),
    "5.1 idle CONTINUATION": Row(CONNECTION, (sent(Frame(CONTINUATION, END_HEADERS, 1, block())),)),
    "5.1 half-closed DATA": Row(ENVOYS, (Request("/delay"), Data(b"x", end=True), Over())),
    "5.1 half-closed HEADERS": Row(ENVOYS, (Request("/delay"), Block((("x", "y"),)), Over())),
    "5.1 half-closed CONTINUATION": Row(
        CONNECTION, (Request("/delay"), sent(Frame(CONTINUATION, END_HEADERS, 1, field(b"x", b"y"))))
    ),
    "5.1 closed by RST_STREAM, then DATA": Row(
        ENVOYS, (OPEN, LATE, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), Data(b"x", end=True), LATE)
    ),
    "5.1 closed by RST_STREAM, then HEADERS": Row(
        ENVOYS, (OPEN, LATE, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), Block((("x", "y"),)), UntilEnd(0.5))
    ),
    "5.1 closed by RST_STREAM, then CONTINUATION": Row(
        CONNECTION,
        (OPEN, LATE, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), Frame(CONTINUATION, END_HEADERS, 1, b""))),
    ),
    "5.1 closed DATA": Row(ENVOYS, (*ENDED, Data(b"x", end=True), UntilEnd(0.5))),
    "5.1 closed HEADERS": Row(ENVOYS, (*ENDED, Block(PSEUDO), UntilEnd(0.5))),
    "5.1 closed CONTINUATION": Row(CONNECTION, (*ENDED, sent(Frame(CONTINUATION, END_HEADERS, 1, b"")))),
    "5.1 closed WINDOW_UPDATE": Row(FINE, (*ENDED, sent(window_update(1, 10)), LATE)),
    "5.1 closed RST_STREAM": Row(FINE, (*ENDED, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), LATE)),
    "5.1 closed PRIORITY": Row(FINE, (*ENDED, sent(Frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")), LATE)),
    "5.1.1 even number": Row(CONNECTION, (sent(head(BOTH, 2)),)),
    "5.1.1 lower number than the last": Row(ENVOYS, (Request(stream=5), Over((5,)), Block(PSEUDO, 3), UntilEnd(0.5))),
    "5.1.1 numbers left out": Row(FINE, (Request(stream=7), Over((7,)))),
    "5.3 PRIORITY that depends on itself": Row(ENVOYS, (sent(Frame(PRIORITY, 0, 3, b"\0\0\0\3\x10")), LATE)),
    "5.3 HEADERS that depend on themselves": Row(
        ENVOYS, (sent(head(BOTH | PRIORITIZED, 1, b"\0\0\0\1\x10" + block())), UntilEnd(0.4))
    ),
    "5.4.1 a connection error ends the connection": Row(CONNECTION, (sent(Frame(PING, 0, 3, b"h2spec!!")),)),
    "5.5 unknown frame on a stream": Row(FINE, (OPEN, sent(Frame(0xFF, 0xFF, 1, b"x")), Data(b"", end=True), Over())),
    "5.5 unknown frame within a header block": Row(
        CONNECTION, (sent(head(0), Frame(0xFF, 0, 0, b"x"), Frame(CONTINUATION, END_HEADERS, 1)),)
    ),
    # ── 6.1 DATA ──
    "6.1 DATA": Row(FINE, (OPEN, Data(b"hello", end=True), Over())),
    "6.1 padded DATA": Row(FINE, (OPEN, sent(Frame(DATA, PADDED | END_STREAM, 1, b"\2hello\0\0")), Over())),
    "6.1 on stream 0": Row(CONNECTION, (sent(Frame(DATA, 0, 0, b"x")),)),
    "6.1 padding as long as the payload": Row(
        CONNECTION, (OPEN, sent(Frame(DATA, PADDED | END_STREAM, 1, b"\x06hello")))
    ),
    "6.1 padded and empty": Row(CONNECTION, (OPEN, sent(Frame(DATA, PADDED | END_STREAM, 1, b"")))),
    # ── 6.2 HEADERS ──
    "6.2 HEADERS": Row(FINE, ENDED),
    "6.2 padded HEADERS": Row(FINE, (sent(head(BOTH | PADDED, 1, b"\2" + block() + b"\0\0")), Over())),
    "6.2 prioritized HEADERS": Row(FINE, (sent(head(BOTH | PRIORITIZED, 1, b"\x80\0\0\0\x10" + block())), Over())),
    "6.2 on stream 0": Row(CONNECTION, (sent(head(BOTH, 0)),)),
    "6.2 padding too long": Row(CONNECTION, (sent(head(BOTH | PADDED, 1, b"\xff" + block())),)),
    "6.2 prioritized and too short": Row(CONNECTION, (sent(head(BOTH | PRIORITIZED, 1, b"\0\0")),)),
    # ── 6.3 PRIORITY ──
    "6.3 PRIORITY": Row(FINE, (sent(Frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")), LATE)),
    "6.3 on stream 0": Row(ENVOYS, (sent(Frame(PRIORITY, 0, 0, b"\0\0\0\0\x10")), UntilEnd(0.5))),
    "6.3 of four octets": Row(ENVOYS, (sent(Frame(PRIORITY, 0, 1, b"\0\0\0\0")), UntilEnd(0.5))),
    # ── 6.4 RST_STREAM ──
    "6.4 RST_STREAM": Row(FINE, (OPEN, LATE, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), LATE)),
    "6.4 on stream 0": Row(CONNECTION, (sent(Frame(RST_STREAM, 0, 0, b"\0\0\0\x08")),)),
    "6.4 of three octets": Row(CONNECTION, (OPEN, LATE, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0")))),
    # ── 6.5 SETTINGS ──
    "6.5 SETTINGS": Row(FINE, (sent(settings({3: 100})), LATE)),
    "6.5 ACK with a payload": Row(CONNECTION, (sent(Frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0")),)),
    "6.5 on a stream": Row(CONNECTION, (sent(Frame(SETTINGS, 0, 1, b"\0\3\0\0\0\x64")),)),
    "6.5 of three octets": Row(CONNECTION, (sent(Frame(SETTINGS, 0, 0, b"\0\3\0")),)),
    "6.5.2 ENABLE_PUSH of 2": Row(CONNECTION, (sent(settings({2: 2})),)),
    "6.5.2 INITIAL_WINDOW_SIZE too large": Row(CONNECTION, (sent(settings({4: 1 << 31})),)),
    "6.5.2 MAX_FRAME_SIZE too small": Row(CONNECTION, (sent(settings({5: 16383})),)),
    "6.5.2 MAX_FRAME_SIZE too large": Row(CONNECTION, (sent(settings({5: 1 << 24})),)),
    "6.5.2 unknown setting": Row(FINE, (sent(settings({0xFF: 1})), LATE)),
    "6.5.2 ENABLE_CONNECT_PROTOCOL of 2": Row(ENVOYS, (sent(settings({8: 2})), UntilEnd(0.5))),
    "6.5.3 the last of several values counts": Row(
        FINE,
        (
            sent(Frame(SETTINGS, 0, 0, b"\0\4\0\0\0\x64\0\4\0\0\0\1")),
            Request("/x"),
            Quiet(0.2),
            sent(window_update(1, 9)),
            Over(),
        ),
    ),
    # ── 6.6 to 6.8 ──
    "6.6 PUSH_PROMISE of a client": Row(
        CONNECTION, (sent(Frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block())),)
    ),
    "6.7 PING": Row(FINE, (sent(PING_FRAME), LATE)),
    "6.7 ACK is not answered": Row(FINE, (sent(Frame(PING, ACK, 0, b"invalid!"), PING_FRAME), LATE)),
    "6.7 on a stream": Row(CONNECTION, (sent(Frame(PING, 0, 1, b"h2spec!!")),)),
    "6.7 of six octets": Row(CONNECTION, (sent(Frame(PING, 0, 0, b"h2spec")),)),
    "6.8 GOAWAY": Row(FINE, (sent(Frame(GOAWAY, 0, 0, b"\0" * 8)), LATE)),
    "6.8 on a stream": Row(CONNECTION, (sent(Frame(GOAWAY, 0, 1, b"\0" * 8)),)),
    # ── 6.9 WINDOW_UPDATE ──
    "6.9 WINDOW_UPDATE": Row(FINE, (sent(window_update(0, 1)), LATE)),
    "6.9 of zero": Row(CONNECTION, (sent(window_update(0, 0)),)),
    "6.9 of zero on a stream": Row(ENVOYS, (OPEN, LATE, sent(window_update(1, 0)), UntilEnd(0.5))),
    "6.9 of three octets": Row(CONNECTION, (sent(Frame(WINDOW_UPDATE, 0, 0, b"\0\0\1")),)),
    "6.9.1 the connection's window too large": Row(
        CONNECTION, (sent(window_update(0, LARGEST), window_update(0, LARGEST)),)
    ),
    "6.9.1 a stream's window too large": Row(
        ENVOYS, (OPEN, LATE, sent(window_update(1, LARGEST), window_update(1, LARGEST)), UntilEnd(0.5))
    ),
    "6.9.1 a window of one octet": Row(FINE, (Request("/x"), Quiet(0.2), sent(window_update(1, 1)), Over()), ((4, 1),)),
    "6.9.2 a window that opens by SETTINGS": Row(
        FINE, (Request("/x"), Quiet(0.2), sent(settings({4: 100})), Over()), ((4, 0),)
    ),
    "6.9.2 a window that becomes negative": Row(
        FINE,
        (
            Request("/abcdef"),
            Quiet(0.2),
            sent(settings({4: 2})),
            Quiet(0.2),
            sent(window_update(1, 2)),
            Quiet(0.2),
            sent(window_update(1, 10)),
            Over(),
        ),
        ((4, 3),),
    ),
    "6.9.2 windows too large by SETTINGS": Row(
        ENVOYS,
        (
            OPEN,
            LATE,
            sent(window_update(1, LARGEST - 65535), settings({4: 65536})),
        ),
    ),
    # ── 6.10 CONTINUATION ──
    "6.10 CONTINUATION": Row(
        FINE,
        (
            sent(
                head(END_STREAM),
                Frame(CONTINUATION, 0, 1, field(b"a", b"b")),
                Frame(CONTINUATION, END_HEADERS, 1, field(b"c", b"d")),
            ),
            Over(),
        ),
    ),
    "6.10 another frame in between": Row(
        CONNECTION, (sent(head(END_STREAM), PING_FRAME, Frame(CONTINUATION, END_HEADERS, 1, b"")),)
    ),
    "6.10 on stream 0": Row(CONNECTION, (sent(head(END_STREAM), Frame(CONTINUATION, END_HEADERS, 0, b"")),)),
    "6.10 after HEADERS that ended": Row(
        CONNECTION, (sent(head(END_HEADERS), Frame(CONTINUATION, END_HEADERS, 1, b"")),)
    ),
    "6.10 after a CONTINUATION that ended": Row(
        CONNECTION,
        (
            sent(
                head(0),
                Frame(CONTINUATION, END_HEADERS, 1, field(b"a", b"b")),
                Frame(CONTINUATION, END_HEADERS, 1, b""),
            ),
        ),
    ),
    "6.10 after DATA": Row(
        CONNECTION, (sent(head(END_HEADERS), Frame(DATA, 0, 1, b"x"), Frame(CONTINUATION, END_HEADERS, 1, b"")),)
    ),
    # ── 7 error codes ──
    "7 GOAWAY with an unknown code": Row(FINE, (sent(Frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\xff")), LATE)),
    "7 RST_STREAM with an unknown code": Row(FINE, (OPEN, LATE, sent(Frame(RST_STREAM, 0, 1, b"\0\0\0\xff")), LATE)),
    # ── 8 messages ──
    "8.1 trailers": Row(FINE, (OPEN, Data(b"x"), Block((("x-a", "b"),)), Over())),
    "8.1 HEADERS twice without an end": Row(ENVOYS, (OPEN, LATE, Block((("x-a", "b"),), end=False), UntilEnd(0.5))),
    "8.1 HEAD": Row(FINE, (Request(method="HEAD"), Over())),
    "8.1 OPTIONS of everything": Row(FINE, (Request("*", method="OPTIONS"), Over())),
    "8.2 a name in upper case": Row(ENVOYS, (Block((*PSEUDO, ("X-A", "b"))), UntilEnd(0.5))),
    "8.2 a name with a space": Row(ENVOYS, (Block((*PSEUDO, ("x a", "b"))), UntilEnd(0.5))),
    "8.2 a value with a line end": Row(ENVOYS, (Block((*PSEUDO, ("x-a", "b\r\nc"))), UntilEnd(0.5))),
    "8.2.2 connection": Row(ENVOYS, (Block((*PSEUDO, ("connection", "keep-alive"))), UntilEnd(0.5))),
    "8.2.2 transfer-encoding": Row(ENVOYS, (Block((*PSEUDO, ("transfer-encoding", "chunked"))), UntilEnd(0.5))),
    "8.2.2 te other than trailers": Row(ENVOYS, (Block((*PSEUDO, ("te", "trailers, deflate;q=0.5"))), UntilEnd(0.5))),
    "8.3 unknown pseudo-header field": Row(ENVOYS, (Block((*PSEUDO, (":test", "ok"))), UntilEnd(0.5))),
    "8.3 a response's pseudo-header field": Row(ENVOYS, (Block((*PSEUDO, (":status", "200"))), UntilEnd(0.5))),
    "8.3 pseudo-header field in trailers": Row(ENVOYS, (OPEN, LATE, Block(((":method", "GET"),)), UntilEnd(0.5))),
    "8.3 pseudo-header field after another": Row(
        ENVOYS, (Block((*PSEUDO[:3], ("x-a", "b"), PSEUDO[3])), UntilEnd(0.5))
    ),
    "8.3.1 empty path": Row(ENVOYS, (Block((*PSEUDO[:3], (":path", ""))), UntilEnd(0.5))),
    **{
        f"8.3.1 no {name[1:]}": Row(ENVOYS, (Block(tuple(f for f in PSEUDO if f[0] != name)), UntilEnd(0.5)))
        for name in (":method", ":scheme", ":path")
    },
    **{
        f"8.3.1 {name[1:]} twice": Row(ENVOYS, (Block((*PSEUDO, (name, value))), UntilEnd(0.5)))
        for name, value in PSEUDO
        if name != ":authority"
    },
    "8.6 content-length and less DATA": Row(
        ENVOYS, (Block((*POST, ("content-length", "4")), end=False), Data(b"abc", end=True), UntilEnd(0.5))
    ),
    "8.6 content-length and more DATA": Row(
        ENVOYS, (Block((*POST, ("content-length", "2")), end=False), Data(b"a"), Data(b"bc", end=True), UntilEnd(0.5))
    ),
    "8.6 content-length and no DATA": Row(ENVOYS, (Block((*POST, ("content-length", "4"))), UntilEnd(0.5))),
    "8.5 CONNECT with a path": Row(ENVOYS, (Block(((":method", "CONNECT"), *PSEUDO[1:])), UntilEnd(0.5))),
    # ── RFC 7541 ──
    "hpack 2.3.3 an index beyond the tables": Row(CONNECTION, (sent(head(data=block() + b"\xc6")),)),
    "hpack 4.2 a table size within the block": Row(CONNECTION, (sent(head(data=block() + b"\x20")),)),
    "hpack 5.2 padding of more than 7 bits": Row(
        CONNECTION, (sent(head(data=block() + field(b"x", b"\x1f\xff\xff", huffman=True))),)
    ),
    "hpack 5.2 padding of zeros": Row(CONNECTION, (sent(head(data=block() + field(b"x", b"\x18", huffman=True))),)),
    "hpack 5.2 the end of a string within it": Row(
        CONNECTION, (sent(head(data=block() + field(b"x", b"\xff\xff\xff\xff", huffman=True))),)
    ),
    "hpack 6.1 index 0": Row(CONNECTION, (sent(head(data=block() + b"\x80")),)),
    "hpack 6.3 a table larger than allowed": Row(CONNECTION, (sent(head(data=block(table=b"\x3f\xe2\x1f"))),)),
    "hpack 6.3 a table of nothing": Row(FINE, (sent(head(data=block(table=b"\x20"))), Over())),
    "hpack 5.1 a number that is too long": Row(CONNECTION, (sent(head(data=b"\xff" + b"\xff" * 12 + block())),)),
    "hpack a block that ends within a string": Row(CONNECTION, (sent(head(data=block() + b"\0\5ab")),)),
}

# 5.1.2: more streams than are allowed at a time.
TOO_MANY = (*(Request("/delay", stream=stream, method="POST", end=False) for stream in (1, 3, 5)), Over((5,)))

# 3.4: what is no preface, over a connection that has nothing else; the bytes of HTTP/1 are read as such where they may be.
GREETINGS = {
    "the preface alone": PREFACE,
    "another method": b"PRI2 * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "half of it, then something else": PREFACE[:18] + b"XX\r\n\r\n",
    "no SETTINGS behind it": PREFACE + bytes(PING_FRAME),
    "an acknowledgement behind it": PREFACE + bytes(Frame(SETTINGS, ACK)),
    "a request behind it": PREFACE + bytes(head()),
    "SETTINGS alone": bytes(settings({})),
}


def name(words: str) -> str:
    kept = "".join(each if each.isalnum() else "_" for each in words.lower())
    return "h2spec_" + "_".join(filter(None, kept.split("_")))


def row(words: str, found: Row) -> Case:
    ends = found.outcome == CONNECTION
    expect = {CONNECTION: {"client.end": "over"}, FINE: {"client.end": "open"}}.get(found.outcome, {})
    steps: Sequence[H2Action] = (*found.steps, UntilEnd(1.5)) if ends else found.steps
    return Case(
        name(words),
        h2=steps,
        clusters=UP,
        h2_settings=dict(found.settings),
        expect=expect,
        ignore=IGNORED[found.outcome],
    )


CASES = (
    *(row(words, found) for words, found in ROWS.items()),
    Case(
        "h2spec_5_1_2_more_streams_than_allowed",
        h2=TOO_MANY,
        clusters=UP,
        hcm={"http2_protocol_options": {"max_concurrent_streams": 2}},
        expect={"h2[5].reset": 7},
        ignore=("log", "h2up"),
        end="skip",
    ),
    *(
        Case(
            name(f"3.4 {words} {'found out' if codec == 'AUTO' else codec}"),
            actions=[Write(data), *([Read()] if codec == "HTTP1" else [Wait(0.3)])],
            clusters={"": Up()},
            hcm={"codec_type": codec, "delayed_close_timeout": "0.1s"},
            end="wait",
            ignore=("log", "client.tunnel"),
            logs=0,
        )
        for codec in ("HTTP1", "HTTP2", "AUTO")
        for words, data in GREETINGS.items()
    ),
)
