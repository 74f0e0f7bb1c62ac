"""Protobuf fields written by hand, for messages that are put together from bytes that are there already."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """A protobuf varint (https://protobuf.dev/programming-guides/encoding/#varints)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(key: bytes, content: bytes) -> bytes:
    """A length-delimited field; `key` is its field number << 3 | 2."""
    return key + varint(len(content)) + content
