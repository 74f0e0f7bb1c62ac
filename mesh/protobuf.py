"""Protobuf fields written by hand, for messages that are put together from bytes that are there already."""

from __future__ import annotations

from typing import Final

_ALL_BITS: Final = (1 << 64) - 1


def varint(value: int) -> bytes:
    """A protobuf varint (https://protobuf.dev/programming-guides/encoding/#varints); a negative one has 64 bits."""
    value &= _ALL_BITS
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(key: bytes, content: bytes) -> bytes:
    """A length-delimited field; `key` is its field number << 3 | 2."""
    return key + varint(len(content)) + content
