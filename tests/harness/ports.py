"""Ports that nobody uses right now."""

from __future__ import annotations

import random
import socket

# Below Linux' range for outgoing connections: a port found here is not taken by somebody's client a moment later.
LOWEST, HIGHEST = 12_000, 32_000

_handed_out: set[int] = set()


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port on which one can listen, never the same twice in one process."""
    for _ in range(200):
        port = random.randint(LOWEST, HIGHEST)
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise OSError(f"no free port on {address} between {LOWEST} and {HIGHEST}")


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    return [free_port(address) for _ in range(count)]
