"""The first protocol of every accepted connection: decides who gets it, then steps aside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sidecar.codec.h1_server import address_of
from sidecar.config.model import Address
from sidecar.listener import inspect
from sidecar.listener.match import Facts
from sidecar.listener.original_dst import original_destination
from sidecar.listener.tcp import LINGER_NOT

if TYPE_CHECKING:
    from sidecar.listener.runtime import ListenerRuntime

# From a connection's facts to the asyncio.Protocol that serves it, None when it is to be closed.
Handler = Callable[[Facts], Any]


class AcceptProtocol(asyncio.Protocol):
    """Waits for as little as the listener needs to know, then hands transport and bytes to the chain's protocol."""

    def __init__(self, listener: ListenerRuntime) -> None:
        self._listener = listener
        self._transport: Any = None
        self._buffer = b""
        self._destination = Address("", 0)
        self._timer: asyncio.TimerHandle | None = None
        self._inspecting = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._before = self._listener.stats.downstream_pre_cx_active
        self._before.value += 1
        local = transport.get_extra_info("sockname")
        self._destination = Address(local[0], local[1])
        config = self._listener.config
        if config.use_original_dst or config.detect_original_dst:
            original = original_destination(transport)
            if original is not None:
                self._destination = original
            self._listener = self._listener.for_destination(self._destination)
            config = self._listener.config
        if config.detect_http or config.detect_tls:
            self._inspecting = True
            if config.detect_timeout:
                self._timer = self._listener.loop.call_later(config.detect_timeout, self._too_slow)
        else:
            self._hand_over(inspect.Found())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        config = self._listener.config
        found = inspect.look(self._buffer, http=config.detect_http, tls=config.detect_tls)
        if found is not None:
            self._hand_over(found)

    def _too_slow(self) -> None:
        """Nothing that tells came in time (listener_filters_timeout)."""
        self._timer = None
        self._listener.stats.downstream_pre_cx_timeout.value += 1
        if self._listener.config.detect_continue:
            self._hand_over(inspect.Found())
        else:
            self._inspecting = False
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._before.value -= 1
        if self._inspecting:
            self._listener.stats.downstream_listener_filter_remote_close.value += 1

    def _hand_over(self, found: inspect.Found) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._inspecting = False
        transport = self._transport
        facts = Facts(
            destination=self._destination,
            source=address_of(transport.get_extra_info("peername")),  # nothing when the client has left again
            transport=found.transport,
            server_name=found.server_name,
            protocols=found.protocols,
        )
        protocol = self._listener.serve(facts)
        if protocol is None:
            if self._buffer:  # Envoy only looked at it, and so leaves it unread: the client sees a RST
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            transport.abort()
            return
        self._before.value -= 1
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._buffer:
            protocol.data_received(self._buffer)
