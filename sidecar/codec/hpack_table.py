"""The fields that both ends of a connection know (RFC 7541 §2.3), and how numbers are written (§5.1)."""

from __future__ import annotations

from typing import Final

from sidecar.http.headers import Header

# What a field costs in the dynamic table besides its bytes.
FIELD_OVERHEAD: Final = 32
DEFAULT_TABLE_SIZE: Final = 4096

# The static table without the empty entry 0.
STATIC: Final[tuple[Header, ...]] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
            b"content-disposition content-encoding content-language content-length content-location content-range "
            b"content-type cookie date etag expect expires from host if-match if-modified-since if-none-match if-range "
            b"if-unmodified-since last-modified link location max-forwards proxy-authenticate proxy-authorization range "
            b"referer refresh retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary "
            b"via www-authenticate"
        ).split()
    ),
)
STATIC_SIZE: Final = 61

# A longer number is not sent by anybody honest: lengths and indices stay far below.
_MOST: Final = 1 << 28


class HpackError(Exception):
    """A block that cannot be decoded: the connection's tables are lost with it (RFC 9113 §4.3)."""


def integer(block: bytes, at: int, most: int) -> tuple[int, int]:
    """The number whose prefix, all ones (`most`), precedes `at`, and where it ends. Raises HpackError."""
    value, shift = most, 0
    while at < len(block):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _MOST:
                break
            return value, at
        shift += 7
        if shift > 28:
            break
    raise HpackError("a number that ends too late or not at all")


def encoded_integer(value: int, most: int, flags: int) -> bytes:
    """`value` behind the bits `flags`, with a prefix whose largest value is `most`."""
    if value < most:
        return bytes((flags | value,))
    made = [flags | most]
    value -= most
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
