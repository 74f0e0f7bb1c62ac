"""What the kernel says of a socket."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

# struct tcp_info: of a listening socket `tcpi_sacked` is how many connections may wait to be accepted.
_SACKED_AT = 28
SYSTEM_MOST = int(Path("/proc/sys/net/core/somaxconn").read_text())


def backlog(sock: Any) -> int:
    """How many connections may wait at a listening socket."""
    (most,) = struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), _SACKED_AT)
    return int(most)


def backlogs(runner: Any) -> list[int]:
    """The same of all that an aiohttp runner listens at."""
    return [backlog(sock) for site in runner.sites for sock in site._server.sockets]
