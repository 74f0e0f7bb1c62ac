"""Frames one by one: what each violation ends, and what is no violation (RFC 9113 §4 to §6), and floods."""

from __future__ import annotations

import hpack

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
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    window_update,
)
from tests.oracle.case import Case, h2_cluster
from tests.oracle.h2_case import Data, H2Action, Over, Quiet, Request, Send, UntilEnd

UP = {"": h2_cluster()}
BOTH = END_STREAM | END_HEADERS
PRIORITY_PAYLOAD = b"\0\0\0\0\x10"


def block(host: str, method: str = "GET", *more: tuple[str, str]) -> bytes:
    """A request's block that leaves the connection's table alone."""
    fields = [(":method", method), (":scheme", "http"), (":authority", host), (":path", "/"), *more]
    plain = [hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields]
    return bytes(hpack.Encoder().encode(plain, huffman=False))


def get(name: str, stream: int = 1, flags: int = BOTH) -> Frame:
    return Frame(HEADERS, flags, stream, block(host(name)))


def host(name: str) -> str:
    return f"h2-frame-{name.replace('_', '-')}.test"


FINE: dict[str, tuple[Frame | bytes, ...]] = {
    "ping": (Frame(PING, 0, 0, b"12345678"),),
    "ping_ack_unasked": (Frame(PING, ACK, 0, b"12345678"),),
    "settings_empty": (Frame(SETTINGS),),
    "settings_unknown": (Frame(SETTINGS, 0, 0, b"\x77\x77\0\0\0\1"),),
    "metadata": (Frame(0x4D, 4, 0, b"\0\1a\1b"),),
    "unknown_type": (Frame(0x77, 0xFF, 0, b"what"),),
    "unknown_type_on_a_stream": (Frame(0x77, 0xFF, 7, b"what"),),
    "undefined_flags": (Frame(PING, 0xFE, 0, b"12345678"),),
    "priority_on_idle": (Frame(PRIORITY, 0, 7, PRIORITY_PAYLOAD),),
    "window_update": (window_update(0, 100),),
    "goaway": (Frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0"),),
    "goaway_with_text": (Frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye"),),
    "reserved_bit": (bytes(Frame(PING, 0, 0, b"12345678"))[:5] + b"\x80\0\0\0" + b"12345678",),
    "window_size_setting": (Frame(SETTINGS, 0, 0, b"\0\4\0\1\0\0"),),
    "frame_size_setting": (Frame(SETTINGS, 0, 0, b"\0\5\0\0\x40\0"),),
    "push_off": (Frame(SETTINGS, 0, 0, b"\0\2\0\0\0\0"),),
    "push_on": (Frame(SETTINGS, 0, 0, b"\0\2\0\0\0\1"),),
    "connect_protocol_setting": (Frame(SETTINGS, 0, 0, b"\0\x08\0\0\0\1"),),
}

# Each ends the connection.
WRONG: dict[str, tuple[Frame | bytes, ...]] = {
    "data_on_zero": (Frame(DATA, 0, 0, b"x"),),
    "data_on_idle": (Frame(DATA, END_STREAM, 1, b"x"),),
    "headers_on_zero": (get("headers_on_zero", 0),),
    "headers_on_even": (get("headers_on_even", 2),),
    "headers_backwards": (get("headers_backwards", 5), get("headers_backwards", 3)),
    "rst_on_zero": (Frame(RST_STREAM, 0, 0, b"\0\0\0\0"),),
    "rst_on_idle": (Frame(RST_STREAM, 0, 1, b"\0\0\0\0"),),
    "rst_of_three_bytes": (get("rst_of_three_bytes", flags=END_HEADERS), Frame(RST_STREAM, 0, 1, b"\0\0\0")),
    "settings_on_a_stream": (Frame(SETTINGS, 0, 1),),
    "settings_ack_unasked": (Frame(SETTINGS, ACK), Frame(SETTINGS, ACK)),
    "settings_ack_with_payload": (Frame(SETTINGS, ACK, 0, b"\0" * 6),),
    "settings_of_five_bytes": (Frame(SETTINGS, 0, 0, b"\0" * 5),),
    "settings_push_two": (Frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"),),
    "settings_window_too_large": (Frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"),),
    "settings_frame_too_small": (Frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"),),
    "settings_frame_too_large": (Frame(SETTINGS, 0, 0, b"\0\5\1\0\0\0"),),
    "push_promise": (Frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block("a")),),
    "ping_on_a_stream": (Frame(PING, 0, 1, b"12345678"),),
    "ping_of_seven_bytes": (Frame(PING, 0, 0, b"1234567"),),
    "goaway_on_a_stream": (Frame(GOAWAY, 0, 1, b"\0" * 8),),
    "goaway_of_seven_bytes": (Frame(GOAWAY, 0, 0, b"\0" * 7),),
    "window_update_of_three_bytes": (Frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"),),
    "window_update_on_idle": (window_update(1, 1),),
    "window_update_zero": (window_update(0, 0),),
    "window_overflow": (window_update(0, (1 << 31) - 1),),
    "continuation_alone": (Frame(CONTINUATION, END_HEADERS, 1, b""),),
    "continuation_on_zero": (Frame(CONTINUATION, END_HEADERS, 0, b""),),
    "ping_within_a_block": (get("ping_within_a_block", flags=0), Frame(PING, 0, 0, b"12345678")),
    "headers_within_a_block": (get("headers_within_a_block", flags=0), get("headers_within_a_block", 3)),
    "continuation_of_another": (get("continuation_of_another", flags=0), Frame(CONTINUATION, END_HEADERS, 3, b"")),
    "broken_block": (Frame(HEADERS, BOTH, 1, b"\xff\xff\xff\xff\xff"),),
    "index_zero": (Frame(HEADERS, BOTH, 1, b"\x80"),),
    "index_beyond_the_table": (Frame(HEADERS, BOTH, 1, b"\xff\x7f"),),
    "table_larger_than_allowed": (Frame(HEADERS, BOTH, 1, b"\x3f\xe2\x1f" + block("a")),),
    "padding_too_long": (Frame(HEADERS, BOTH | PADDED, 1, b"\x70" + block("a")[:20]),),
    "too_large_frame": (Frame(DATA, 0, 1, b"x" * 16385),),
    "priority_on_zero": (Frame(PRIORITY, 0, 0, PRIORITY_PAYLOAD),),
    "priority_of_four_bytes": (Frame(PRIORITY, 0, 1, b"\0" * 4),),
    "garbage": (b"what is this supposed to be?",),
}

# To these Envoy says nothing, ours why the connection ends (RFC 9113 §5.4.1 wants a GOAWAY).
SILENT = frozenset(
    [
        "goaway_on_a_stream",
        "headers_backwards",
        "headers_on_even",
        "headers_on_zero",
        "ping_on_a_stream",
        "priority_on_zero",
        "push_promise",
        "rst_on_idle",
        "rst_on_zero",
        "settings_ack_unasked",
        "settings_frame_too_large",
        "settings_frame_too_small",
        "settings_on_a_stream",
        "settings_push_two",
        "settings_window_too_large",
        "window_overflow",
        "window_update_on_idle",
        "window_update_zero",
    ]
)

STREAMS: dict[str, tuple[H2Action, ...]] = {
    "window_update_zero_on_a_stream": (
        Request(method="POST", end=False),
        Quiet(0.1),
        Send((window_update(1, 0),)),
        Over(),
    ),
    "window_overflow_on_a_stream": (
        Request(method="POST", end=False),
        Quiet(0.1),
        Send((window_update(1, (1 << 31) - 1),)),
        Over(),
    ),
    "data_after_the_end": (Request("/delay"), Quiet(0.1), Data(b"late"), Over()),
    "padded_data": (
        Request(method="POST", end=False),
        Send((Frame(DATA, PADDED | END_STREAM, 1, b"\4ab\0\0\0\0"),)),
        Over(),
    ),
    "padding_only": (
        Request(method="POST", end=False),
        Send((Frame(DATA, PADDED, 1, b"\2\0\0"), Frame(DATA, END_STREAM, 1, b"x"))),
        Over(),
    ),
    "reset_by_the_client": (
        Request(method="POST", end=False),
        Quiet(0.2),
        Send((Frame(RST_STREAM, 0, 1, b"\0\0\0\x08"),)),
        Quiet(0.3),
    ),
    "reset_with_no_error": (
        Request(method="POST", end=False),
        Quiet(0.2),
        Send((Frame(RST_STREAM, 0, 1, b"\0\0\0\0"),)),
        Quiet(0.3),
    ),
    "data_after_reset": (
        Request(method="POST", end=False),
        Quiet(0.2),
        Send((Frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), Frame(DATA, END_STREAM, 1, b"late"))),
        Quiet(0.3),
    ),
}
PRIORITIZED_HEADERS = "prioritized_headers"
PADDED_HEADERS = "padded_headers"
SPLIT = "head_in_three_frames"

SMALL = {"max_outbound_frames": 100, "max_outbound_control_frames": 20}
FLOODS: dict[str, tuple[H2Action, ...]] = {
    "empty_data": (Request(method="POST", end=False), Quiet(0.2), Send((Frame(DATA, 0, 1),) * 3)),
    "empty_continuations": (Send((Frame(HEADERS, 0, 1, b""), Frame(CONTINUATION, 0, 1), Frame(CONTINUATION, 0, 1))),),
    "priorities": (Send((Frame(PRIORITY, 0, 1, PRIORITY_PAYLOAD),) * 102),),
    "window_updates": (Send((window_update(0, 1),) * 30),),
    "many_continuations": (Send((Frame(HEADERS, 0, 1, b""), *(Frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 2000),) * 40)),),
}
FLOOD_STATS = (
    "http2.inbound_empty_frames_flood",
    "http2.inbound_priority_frames_flood",
    "http2.inbound_window_update_frames_flood",
)

CASES = (
    *(
        Case(f"h2_frame_{name}", h2=(Send(parts), Quiet(0.2)), clusters=UP, logs=0, stats=())
        for name, parts in FINE.items()
    ),
    *(
        Case(
            f"h2_frame_{name}",
            h2=(Send(parts), UntilEnd(1.5)),
            clusters=UP,
            ignore=("log", "h2up", *(("h2.goaway",) if name in SILENT else ())),
        )
        for name, parts in WRONG.items()
    ),
    *(Case(f"h2_frame_{name}", h2=steps, clusters=UP, ignore=("h2up",)) for name, steps in STREAMS.items()),
    Case(
        f"h2_frame_{PRIORITIZED_HEADERS}",
        h2=(
            Send((Frame(HEADERS, BOTH | PRIORITIZED, 1, PRIORITY_PAYLOAD + block(host(PRIORITIZED_HEADERS))),)),
            Over(),
        ),
        clusters=UP,
    ),
    Case(
        f"h2_frame_{PADDED_HEADERS}",
        h2=(Send((Frame(HEADERS, BOTH | PADDED, 1, b"\3" + block(host(PADDED_HEADERS)) + b"\0\0\0"),)), Over()),
        clusters=UP,
    ),
    Case(
        f"h2_frame_{SPLIT}",
        h2=(
            Send(
                (
                    Frame(HEADERS, END_STREAM, 1, block(host(SPLIT))[:7]),
                    Frame(CONTINUATION, 0, 1, block(host(SPLIT))[7:20]),
                    Frame(CONTINUATION, END_HEADERS, 1, block(host(SPLIT))[20:]),
                )
            ),
            Over(),
        ),
        clusters=UP,
    ),
    *(
        Case(
            f"h2_flood_of_{name}",
            h2=(*steps, UntilEnd(1.5)),
            clusters=UP,
            stats=FLOOD_STATS,
            # Of so many bytes of a head Envoy reads some more after it has refused the stream, as chance has it.
            ignore=("log", "h2up", "h2.goaway", *(("h2[1]",) if name == "many_continuations" else ())),
        )
        for name, steps in FLOODS.items()
    ),
)
