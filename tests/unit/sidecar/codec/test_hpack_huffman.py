"""The Huffman code, with `hpack` as the judge."""

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from sidecar.codec.hpack_huffman import HuffmanError, decode

_ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=200))
def test_what_another_encoder_encoded(data: bytes) -> None:
    assert decode(_ENCODER.encode(data)) == data


def test_every_symbol() -> None:
    for symbol in range(256):
        data = bytes((symbol,)) * 9
        assert decode(_ENCODER.encode(data)) == data


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (b"\xff\xff\xff\xff", "end of string"),
        (b"\x07\xff", "padding"),  # "0" and eleven ones
        (b"\x00", "padding"),  # "0" and three zeros
    ],
)
def test_what_is_no_string(code: bytes, why: str) -> None:
    with pytest.raises(HuffmanError, match=why):
        decode(code)


@given(st.binary(max_size=30))
def test_arbitrary_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        text = decode(data)
    except HuffmanError:
        return
    assert _ENCODER.encode(text) == data
