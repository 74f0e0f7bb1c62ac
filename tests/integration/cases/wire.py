"""Bytes on connections, for what is not asked as HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl

SECONDS = 10.0


def answer(address: str, port: int, *sent: bytes) -> bytes:
    """What comes back; each piece is sent once the one before it was answered. Nothing, where the connection ends."""
    got = b""
    try:
        with socket.create_connection((address, port), SECONDS) as connection:
            for piece in sent:
                connection.sendall(piece)
                got = connection.recv(4096)
    except ConnectionError:
        return b""
    return got


def hello(name: str) -> bytes:
    """A client's first TLS message, which asks for a host."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
