"""The static table and the numbers of HPACK."""

import pytest
from hpack.hpack import decode_integer, encode_integer
from hpack.table import HeaderTable
from hypothesis import given
from hypothesis import strategies as st

from sidecar.codec.hpack_table import STATIC, STATIC_SIZE, HpackError, encoded_integer, integer


def test_static_table() -> None:
    assert tuple(HeaderTable.STATIC_TABLE) == STATIC
    assert len(STATIC) == STATIC_SIZE


@given(st.integers(0, (1 << 28) - 1), st.sampled_from([4, 5, 6, 7]))
def test_numbers(value: int, bits: int) -> None:
    most = (1 << bits) - 1
    data = encoded_integer(value, most, 0)
    assert data == bytes(encode_integer(value, bits))
    assert decode_integer(data, bits) == (value, len(data))
    assert (integer(data, 1, most) if value >= most else (data[0], 1)) == (value, len(data))


@pytest.mark.parametrize("block", [b"\x7f", b"\x7f\x80", b"\x7f" + b"\x80" * 9 + b"\x01", b"\x7f\xff\xff\xff\xff\x7f"])
def test_numbers_that_do_not_end_in_time(block: bytes) -> None:
    with pytest.raises(HpackError):
        integer(block, 1, 0x7F)
