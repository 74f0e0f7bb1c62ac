"""Path normalisation (RFC 3986 §6): dot segments, percent-encoded unreserved characters, merged slashes."""

from __future__ import annotations

import re
from typing import Final

_UNRESERVED: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_ESCAPE: Final = re.compile(rb"%([0-9a-fA-F]{2})")
_SLASHES: Final = re.compile(rb"//+")


def normalize(path: bytes, *, dots: bool, slashes: bool) -> bytes | None:
    """The normal form of an absolute path with its query; None when it has none (a broken percent escape, a NUL)."""
    path, mark, query = path.partition(b"?")
    if dots and (ord("%") in path or path.find(b"/.") >= 0 or ord("\\") in path):
        path = _ESCAPE.sub(_decode, path)
        if b"%00" in path:
            return None
        path = _without_dots(path.replace(b"\\", b"/"))
    if slashes and path.find(b"//") >= 0:
        path = _SLASHES.sub(b"/", path)
    return path + mark + query


def _decode(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else escape[0].upper() if escape[0].islower() else escape[0]


def _without_dots(path: bytes) -> bytes:
    out: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            if out:
                out.pop()
        elif segment != b".":
            out.append(segment)
    if segments[-1] in (b".", b".."):
        out.append(b"")
    return b"/" + b"/".join(out)
