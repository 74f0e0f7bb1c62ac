"""Protobuf by hand is protobuf."""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, UInt64Value
from hypothesis import given
from hypothesis import strategies as st

from mesh.protobuf import delimited, varint


@given(st.integers(min_value=1, max_value=2**64 - 1))
def test_a_varint(value: int) -> None:
    assert b"\x08" + varint(value) == UInt64Value(value=value).SerializeToString()


@given(st.integers(min_value=-(2**63), max_value=-1))
def test_a_negative_one(value: int) -> None:
    assert b"\x08" + varint(value) == Int64Value(value=value).SerializeToString()


@given(st.binary(min_size=1, max_size=300))
def test_a_delimited_field(content: bytes) -> None:
    assert delimited(b"\x0a", content) == BytesValue(value=content).SerializeToString()
