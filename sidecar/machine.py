"""What this machine is called by others."""

from __future__ import annotations

import fcntl
import socket
import struct
from functools import cache

_SIOCGIFADDR = 0x8915  # linux/sockios.h


@cache
def own_address() -> str:
    """This machine's first IPv4 address that is not loopback (127.0.0.1 when it has none), as Envoy's local info."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an IPv4 address
            address = socket.inet_ntoa(answer[20:24])
            if not address.startswith("127."):
                return address
    return "127.0.0.1"
