"""Where a redirected connection was going (SO_ORIGINAL_DST, Linux), and the guard against proxying to ourselves."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

from sidecar.config.model import Address

_SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST has the same number


def original_destination(transport: Any) -> Address | None:
    """The destination before iptables' REDIRECT. Without NAT the kernel gives the listener's own address, or an error
    when connection tracking is not there at all: then None."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return None
    try:
        if sock.family == socket.AF_INET6:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
            port, _, packed, _ = struct.unpack("!2xHI16sI", raw)
            return Address(str(ipaddress.IPv6Address(packed)), port)
        raw = sock.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    except OSError:
        return None
    port, packed = struct.unpack("!2xH4s8x", raw)
    return Address(socket.inet_ntoa(packed), port)
