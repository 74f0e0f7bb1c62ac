"""HTTP/2 frames (RFC 9113 §4, §6): their layout, and the ones that are sent, as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Frame types.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

# Flags.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

# Error codes (§7).
NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
SETTINGS_TIMEOUT: Final = 4
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
CONNECT_ERROR: Final = 10
ENHANCE_YOUR_CALM: Final = 11
INADEQUATE_SECURITY: Final = 12
HTTP_1_1_REQUIRED: Final = 13

# Settings (§6.5.2, RFC 8441 §3).
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6
ENABLE_CONNECT_PROTOCOL: Final = 8

HEAD_SIZE: Final = 9
DEFAULT_FRAME_SIZE: Final = 16384
LARGEST_FRAME_SIZE: Final = (1 << 24) - 1
DEFAULT_WINDOW: Final = 65535
LARGEST_WINDOW: Final = (1 << 31) - 1
STREAM_MASK: Final = (1 << 31) - 1

_head: Final = Struct(">HBBBL").pack
_setting: Final = Struct(">HL").pack
_word: Final = Struct(">L").pack
_two_words: Final = Struct(">LL").pack


class ProtocolViolation(Exception):  # noqa: N818  # a violation is what it is
    """What ends the connection with a GOAWAY of `code`; `detail` is Envoy's word for it (`http2.…`)."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """A frame's first nine bytes."""
    return _head(length >> 8, length & 0xFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    length = len(payload)
    return _head(length >> 8, length & 0xFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join([_setting(name, value) for name, value in values]))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def window_update(stream: int, increment: int) -> bytes:
    return _head(0, 4, WINDOW_UPDATE, 0, stream) + _word(increment)


def rst_stream(stream: int, code: int) -> bytes:
    return _head(0, 4, RST_STREAM, 0, stream) + _word(code)


def goaway(last_stream: int, code: int, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, _two_words(last_stream, code) + debug)


def ping(data: bytes, *, ack: bool) -> bytes:
    """`data` has eight bytes."""
    return frame(PING, ACK if ack else 0, 0, data)


def header_block(stream: int, block: bytes, end_stream: bool, largest: int) -> bytes:
    """HEADERS, and CONTINUATION where the block needs more than one frame of the `largest` size."""
    flags = END_STREAM if end_stream else 0
    length = len(block)
    if length <= largest:
        return _head(length >> 8, length & 0xFF, HEADERS, flags | END_HEADERS, stream) + block
    made = [frame(HEADERS, flags, stream, block[:largest])]
    for at in range(largest, length, largest):
        rest = length - at
        made.append(frame(CONTINUATION, END_HEADERS if rest <= largest else 0, stream, block[at : at + largest]))
    return b"".join(made)
