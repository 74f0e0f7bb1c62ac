"""Request targets that are no paths (RFC 9112 §3.2): absolute URLs and CONNECT's authority, judged as by Envoy."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

INVALID_URL: Final = "http1.invalid_url"
INVALID_SCHEME: Final = "http1.invalid_scheme"
CODEC_ERROR: Final = "http1.codec_error"

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9.\-]+|\[([0-9A-Fa-f:.]+)\])(?::(\d+))?")
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")
_USER: Final = re.compile(rb"[^@\[\]]*")
_MAX_PORT: Final = 65535
_HOSTS: Final = 1024  # of so many the verdict is kept: clients of a proxy name the same few all the time


def names_a_host(text: bytes, *, with_port: bool = False) -> bool:
    """Whether it is a host (a name, or an IPv6 address in brackets) and perhaps a port, or certainly one."""
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    address, port = found.groups()
    if address is not None:
        try:
            ipaddress.IPv6Address(address.decode())
        except ValueError:
            return False
    if port is None:
        return not with_port
    digits = port.lstrip(b"0") or b"0"
    return len(digits) <= 5 and int(digits) <= _MAX_PORT


@lru_cache(_HOSTS)
def host_of(authority: bytes) -> bytes:
    """An absolute URL's authority without the user that it may name; empty when it names no host."""
    user, _, host = authority.rpartition(b"@")
    return host if _USER.fullmatch(user) and names_a_host(host) else b""


def split_absolute(target: bytes) -> tuple[bytes, bytes] | str:
    """Host and path of an absolute URL, or the code detail that it is refused with."""
    scheme, _, rest = target.partition(b"://")
    cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    host = host_of(rest[:cut])
    if not host or scheme.lower() not in (b"http", b"https"):
        return _refusal(scheme, rest[:cut], host)
    return host, rest[cut:] or b"/"


def _refusal(scheme: bytes, authority: bytes, host: bytes) -> str:
    if not _SCHEME.fullmatch(scheme) or not _AUTHORITY.fullmatch(authority) or b"@@" in authority:
        return CODEC_ERROR
    return INVALID_SCHEME if host else INVALID_URL
