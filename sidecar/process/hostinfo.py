"""What this machine is called by others, and what of it this process uses."""

from __future__ import annotations

import fcntl
import resource
import socket
import struct
import sys
from functools import cache
from pathlib import Path

_STATM = Path("/proc/self/statm")
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


def memory() -> dict[str, str]:
    """Bytes, in the words of Envoy's /memory: the data segments stand for its heap."""
    if _STATM.exists():
        pages = _STATM.read_text(encoding="ascii").split()
        resident, data = int(pages[1]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize()
    else:  # not Linux: the most it ever had; macOS counts in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        resident = data = peak if sys.platform == "darwin" else peak * 1024
    return {
        "allocated": str(resident),
        "heap_size": str(data),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": str(resident),
    }
