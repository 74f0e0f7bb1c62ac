"""Headers: a list of `(lower-case name, value)` byte pairs, in wire order, duplicates kept.

A list beats a dict here: requests carry around ten headers, most are passed on untouched, and order and duplicates have
to survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Header = tuple[bytes, bytes]
Headers = list[Header]

_DECIMALS: Final = tuple(b"%d" % number for number in range(1000))


def decimal(number: int) -> bytes:
    """A whole number as a header's value; those that come often are made once."""
    return _DECIMALS[number] if 0 <= number < 1000 else b"%d" % number


def get(headers: Sequence[Header], name: bytes) -> bytes | None:
    """The first value of `name` (lower-case), or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def get_all(headers: Headers, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def joined(headers: Headers, name: bytes) -> bytes | None:
    """All values of `name` joined with commas, as RFC 9110 §5.3 reads repeated fields; None when there is none."""
    values = get_all(headers, name)
    return b",".join(values) if values else None


def put(headers: Headers, name: bytes, value: bytes) -> None:
    """Sets `name` to exactly one value, in the place of its first one or at the end."""
    for index, (key, _) in enumerate(headers):
        if key == name:
            headers[index] = (name, value)
            headers[index + 1 :] = [header for header in headers[index + 1 :] if header[0] != name]
            return
    headers.append((name, value))


def drop(headers: Headers, name: bytes) -> None:
    """Removes every value of `name`."""
    for key, _ in headers:
        if key == name:
            headers[:] = [header for header in headers if header[0] != name]
            return


def drop_nominated(headers: Headers, connection: bytes) -> None:
    """Removes the fields that a Connection field names: they are for one hop only (RFC 9110 §7.6.1)."""
    names = {name.strip() for name in connection.lower().split(b",")} - _OPTIONS
    if names:
        headers[:] = [header for header in headers if header[0] not in names]


# What a Connection field says that names no other field, or one that is never among the headers.
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te", b""))
