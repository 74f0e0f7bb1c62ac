"""Listening sockets, and who is let in when the process has too much to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from mesh.errors import ConfigError, Problem
from sidecar.config.model import Listener
from sidecar.process.overload import LoadShed
from sidecar.telemetry.stats import ListenerStats


def bound_socket(config: Listener, *, shared: bool) -> socket.socket:
    """A socket at the listener's address, `shared` with those of other processes. Raises ConfigError."""
    address = config.address
    sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise _unbound(config, error) from error
    sock.setblocking(False)
    return sock


def listening_socket(config: Listener, *, shared: bool) -> socket.socket:
    """The same, for connections to come in. Raises ConfigError."""
    sock = bound_socket(config, shared=shared)
    try:
        sock.listen(config.backlog)
    except OSError as error:
        sock.close()
        raise _unbound(config, error) from error
    return sock


def _unbound(config: Listener, error: OSError) -> ConfigError:
    return ConfigError(
        Problem(f"cannot bind '{config.address}': {error.strerror}", field=f"listener '{config.name}'.address")
    )


class Admission:
    """Decides about connections to one listener; `count` tells how many there are in the process."""

    def __init__(self, shed: LoadShed, config: Listener, stats: ListenerStats, count: Callable[[], int]) -> None:
        self._shed = shed
        self._config = config
        self._stats = stats
        self._count = count

    def refuses(self) -> bool:
        """Whether a connection that has been accepted is to be closed again."""
        shed, config = self._shed, self._config
        if shed.max_connections and not config.ignores_connection_limit and self._count() >= shed.max_connections:
            self._stats.downstream_global_cx_overflow.value += 1
            return True
        if not config.bypasses_overload and shed.draw(shed.reject_incoming_connections):
            self._stats.downstream_cx_overload_reject.value += 1
            return True
        return False


class AdmissionProtocol(asyncio.Protocol):
    """The protocol of a connection until the doorkeeper has seen it; then that of its filter chain."""

    def __init__(self, keeper: Admission, make: Callable[[], asyncio.Protocol]) -> None:
        self._keeper = keeper
        self._make = make

    def connection_made(self, transport: Any) -> None:
        if self._keeper.refuses():
            transport.abort()
            return
        protocol = self._make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
