"""Body lengths and the chunked coding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.codec.framing import (
    CHUNKED,
    LAST_CHUNK,
    UNTIL_CLOSE,
    ChunkedDecoder,
    FramingError,
    chunk,
    request_length,
    response_length,
)


def test_request_without_framing_has_no_body() -> None:
    assert request_length({}) == 0


def test_request_with_both_framings_is_refused() -> None:
    with pytest.raises(FramingError, match="content_length_and_chunked"):
        request_length({b"content-length": b"3", b"transfer-encoding": b"chunked"})


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"xchunked", b"chunked,chunked"])
def test_only_chunked_is_a_transfer_encoding(coding: bytes) -> None:
    with pytest.raises(FramingError, match="invalid_transfer_encoding"):
        request_length({b"transfer-encoding": coding})


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"0x5", b"5, 5", b"9" * 20])
def test_content_length_is_digits(value: bytes) -> None:
    with pytest.raises(FramingError):
        request_length({b"content-length": value})


def test_chunked_is_case_insensitive() -> None:
    assert request_length({b"transfer-encoding": b"Chunked"}) == CHUNKED


@pytest.mark.parametrize("hop_headers", [{b"content-length": b"5"}, {b"transfer-encoding": b"chunked"}])
def test_204_announces_no_body(hop_headers: dict[bytes, bytes]) -> None:
    with pytest.raises(FramingError):
        response_length(204, b"GET", hop_headers)


@pytest.mark.parametrize(("status", "method"), [(304, b"GET"), (200, b"HEAD")])
def test_responses_that_never_have_a_body(status: int, method: bytes) -> None:
    assert response_length(status, method, {b"content-length": b"9"}) == 0


def test_response_without_framing_lasts_until_close() -> None:
    assert response_length(200, b"GET", {}) == UNTIL_CLOSE


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(min_value=1, max_value=40), st.binary(max_size=20))
def test_chunked_round_trip_in_any_pieces(chunks: list[bytes], step: int, behind: bytes) -> None:
    wire = b"".join(map(chunk, chunks)) + LAST_CHUNK + behind
    decoder, payload, at = ChunkedDecoder(), b"", 0
    while not decoder.done:
        payload += decoder.feed(wire[at : at + step])
        at += step
    assert payload == b"".join(chunks)
    assert decoder.rest + wire[at:] == behind


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    decoder = ChunkedDecoder()
    try:
        decoder.feed(data)
    except FramingError:
        return
    assert decoder.done or not decoder.rest


@pytest.mark.parametrize("wire", [b"zz\r\n", b"3\nabc\n", b"3\r\nabcX\r\n", b"\r\n", b"-3\r\n", b"1" * 5000])
def test_bad_chunks_are_refused(wire: bytes) -> None:
    with pytest.raises(FramingError):
        ChunkedDecoder().feed(wire)


def test_trailers_are_kept_apart() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"1\r\na\r\n0\r\nx-t: v\r\n\r\nGET") == b"a"
    assert decoder.trailers == [(b"x-t", b"v")]
    assert decoder.rest == b"GET"


def test_trailers_are_limited_by_what_they_take_on_the_wire() -> None:
    with pytest.raises(FramingError):
        ChunkedDecoder().feed(b"0\r\n" + b"a:\r\n" * 20_000)


@pytest.mark.fault(3)
@pytest.mark.parametrize("line", [b"1;a\rb", b"1\r", b"1 \r", b'1;a="\r"'])
@pytest.mark.parametrize("last", [False, True])
def test_a_bare_cr_in_a_chunk_line_is_no_chunk(line: bytes, last: bool) -> None:
    decoder = ChunkedDecoder()
    data = b"1\r\nx\r\n0" + line[1:] + b"\r\n\r\n" if last else line + b"\r\nx\r\n0\r\n\r\n"
    with pytest.raises(FramingError, match="codec_error"):
        decoder.feed(data)


@pytest.mark.fault(3)
def test_a_bare_cr_in_a_trailer_does_not_go_on() -> None:
    decoder = ChunkedDecoder()
    decoder.feed(b"0\r\nT: a\rb\r\n\r\n")
    assert decoder.trailers == [(b"t", b"ab")]


@pytest.mark.fault(36)
@pytest.mark.parametrize("status", [200, 304])
@pytest.mark.parametrize(
    "hop_headers",
    [
        {b"transfer-encoding": b"gzip"},
        {b"transfer-encoding": b""},
        {b"transfer-encoding": b"chunked", b"content-length": b"0"},
    ],
)
def test_the_framing_of_a_response_without_a_body_is_judged(status: int, hop_headers: dict[bytes, bytes]) -> None:
    with pytest.raises(FramingError):
        response_length(status, b"HEAD", hop_headers)


@pytest.mark.fault(34)
@pytest.mark.parametrize(
    ("text", "length"),
    [(b"003", 3), (b"0" * 40, 0), (b"0" * 30 + b"7", 7), (b"18446744073709551615", 2**64 - 1)],
)
def test_a_length_may_begin_with_zeros(text: bytes, length: int) -> None:
    assert request_length({b"content-length": text}) == length


@pytest.mark.parametrize("text", [b"18446744073709551616", b"9" * 5000])
def test_a_length_fits_64_bits(text: bytes) -> None:
    with pytest.raises(FramingError):
        request_length({b"content-length": text})
