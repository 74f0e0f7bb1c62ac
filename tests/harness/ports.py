"""Ports and loopback networks that nobody uses right now, and that no other test run on this machine is given meanwhile."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below Linux' range for outgoing connections: a port found here is not taken by somebody's client a moment later.
LOWEST, HIGHEST = 12_000, 32_000

_held: list[int] = []  # descriptors of the lock files: ours as long as the process lives


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port on which one can listen; never the same twice, in this process or another that asks here."""
    for _ in range(200):
        port = random.randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            if _hold(str(port)):
                return port
    raise OSError(f"no free port on {address} between {LOWEST} and {HIGHEST}")


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    return [free_port(address) for _ in range(count)]


def free_network() -> str:
    """A /24 of 127/8, as its first three parts: for everything that has Istio's ports on an address of its own."""
    for _ in range(200):
        network = f"127.{random.randint(20, 250)}.{random.randint(1, 254)}"
        if _hold(network):
            return network
    raise OSError("no free /24 in 127/8")


def _hold(name: str) -> bool:
    """Whether it is ours now: between finding a port and a child's listening on it, others look too."""
    folder = Path(tempfile.gettempdir()) / f"mesh-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    lock = os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    _held.append(lock)
    return True
