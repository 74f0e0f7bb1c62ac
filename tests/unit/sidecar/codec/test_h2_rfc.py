"""The error codes that RFC 9113 and RFC 7541 give: what ends a connection ends it by a GOAWAY with its section's code.

The rows are the oracle's. Envoy ends most of these connections without a word, so that it can judge that they end, not how.
"""

from __future__ import annotations

import pytest

from sidecar.codec.h2_frames import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    PROTOCOL_ERROR,
    RST_STREAM,
    STREAM_CLOSED,
)
from tests.fuzz.h2_steps import written
from tests.fuzz.h2_subjects import Server
from tests.harness.h2_ends import parsed
from tests.oracle.topics.h2_spec import CONNECTION, ROWS

# All others are PROTOCOL_ERROR, those of RFC 7541 COMPRESSION_ERROR (§4.3).
CODES = {
    "4.2 DATA larger than the frame size": FRAME_SIZE_ERROR,
    "4.2 HEADERS larger than the frame size": FRAME_SIZE_ERROR,
    "4.3 invalid header block fragment": COMPRESSION_ERROR,
    "6.2 prioritized and too short": FRAME_SIZE_ERROR,
    "6.4 of three octets": FRAME_SIZE_ERROR,
    "6.5 ACK with a payload": FRAME_SIZE_ERROR,
    "6.5 of three octets": FRAME_SIZE_ERROR,
    "6.5.2 INITIAL_WINDOW_SIZE too large": FLOW_CONTROL_ERROR,
    "6.7 of six octets": FRAME_SIZE_ERROR,
    "6.9 of three octets": FRAME_SIZE_ERROR,
    "6.9.1 the connection's window too large": FLOW_CONTROL_ERROR,
}
# Rows that Envoy makes something else of than the RFC: ours keeps to the RFC.
OURS = {
    "5.1 closed HEADERS": STREAM_CLOSED,
    "6.3 on stream 0": PROTOCOL_ERROR,
    "6.3 of four octets": FRAME_SIZE_ERROR,
    "6.5.2 ENABLE_CONNECT_PROTOCOL of 2": PROTOCOL_ERROR,
    "6.9.2 windows too large by SETTINGS": FLOW_CONTROL_ERROR,
}
STREAMS = {
    "6.9 of zero on a stream": PROTOCOL_ERROR,
    "6.9.1 a stream's window too large": FLOW_CONTROL_ERROR,
    "8.6 content-length and less DATA": PROTOCOL_ERROR,
    "8.6 content-length and more DATA": PROTOCOL_ERROR,
}
ENDING = [words for words, row in ROWS.items() if row.outcome == CONNECTION]


def codes(words: str, kind: int) -> list[int]:
    """Those of the frames of this kind that the server has sent."""
    sent, _ = Server().hear(written(ROWS[words].steps))
    return [
        int.from_bytes(payload[-4:] if kind == RST_STREAM else payload[4:8])
        for got, _, _, payload in parsed(sent)
        if got == kind
    ]


def expected(words: str) -> int:
    return CODES.get(words) or OURS.get(words) or (COMPRESSION_ERROR if words.startswith("hpack") else PROTOCOL_ERROR)


def test_every_code_has_its_row() -> None:
    assert set(CODES) <= set(ENDING)
    assert set(OURS) | set(STREAMS) <= set(ROWS) - set(ENDING)


@pytest.mark.parametrize("words", [*ENDING, *OURS])
def test_a_connection_ends_with_its_sections_code(words: str) -> None:
    assert codes(words, GOAWAY) == [expected(words)]


@pytest.mark.parametrize("words", STREAMS)
def test_a_stream_ends_with_its_sections_code(words: str) -> None:
    assert codes(words, RST_STREAM) == [STREAMS[words]]
    assert codes(words, GOAWAY) == []
