"""The listeners of the process: sockets, and the runtime of each filter chain."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mesh.errors import ConfigError, Problem
from sidecar.codec.h1_server import ServerConnection
from sidecar.config.model import Address, FilterChain, Hcm, Listener, RouteConfig, TcpProxy
from sidecar.connection_manager import ConnectionManager
from sidecar.listener.accept import AcceptProtocol
from sidecar.listener.match import Facts, find_chain
from sidecar.listener.tcp import TcpManager, TcpSession
from sidecar.telemetry.stats import ListenerStats, Stats

log = logging.getLogger(__name__)

# Linux clamps it to net.core.somaxconn.
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """What listeners need: how to make the runtimes of their chains."""

    loop: asyncio.AbstractEventLoop
    stats: Stats
    http: Callable[[Hcm, Listener, ListenerStats], ConnectionManager]
    tcp: Callable[[TcpProxy, Listener, ListenerStats], TcpManager]


class ListenerRuntime:
    """One listener. A changed configuration replaces the chains' runtimes; connections stay with the one they have, and
    those of HTTP end with their next response."""

    def __init__(self, config: Listener, owner: ListenerManager, context: ListenerContext) -> None:
        self.config = config
        self.loop = context.loop
        self.stats = ListenerStats(context.stats, config.stat_prefix or str(config.address).replace(":", "_"))
        self.draining = False
        self.sockets: list[socket.socket] = []
        self._owner = owner
        self._context = context
        self._servers: list[asyncio.AbstractServer] = []
        self._chains: dict[str, ConnectionManager | TcpManager] = {}
        self._by_chain: dict[int, ConnectionManager | TcpManager] = {}
        self._only: ConnectionManager | None = None
        self._build()

    def _build(self) -> None:
        config, context = self.config, self._context
        chains = [*config.chains, *([config.default_chain] if config.default_chain else [])]
        self._by_chain = {id(chain): self._runtime(chain) for chain in chains}
        simple = not (config.use_original_dst or config.detect_original_dst or config.detect_http or config.detect_tls)
        only = self._by_chain[id(chains[0])] if len(chains) == 1 else None
        matches_all = len(chains) == 1 and not any(_criteria(chains[0]))
        self._only = only if simple and matches_all and isinstance(only, ConnectionManager) else None
        del context

    def _runtime(self, chain: FilterChain) -> ConnectionManager | TcpManager:
        if isinstance(chain.network, Hcm):
            manager = self._context.http(chain.network, self.config, self.stats)
            if chain.network.rds and (routes := self._owner.routes.get(chain.network.rds)) is not None:
                manager.set_routes(routes)
            return manager
        return self._context.tcp(chain.network, self.config, self.stats)

    @property
    def managers(self) -> list[ConnectionManager]:
        return [runtime for runtime in self._by_chain.values() if isinstance(runtime, ConnectionManager)]

    # ── sockets ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def bind(self) -> None:
        """Opens the socket. Raises ConfigError when the address cannot be had."""
        if not self.config.bind_to_port:
            return
        address = self.config.address
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address.host, address.port))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise ConfigError(
                Problem(f"cannot bind '{address}': {error.strerror}", field=f"listener '{self.config.name}'.address")
            ) from error
        sock.setblocking(False)
        self.sockets.append(sock)

    async def serve_forever(self) -> None:
        """Starts accepting; the servers run until `close`."""
        for sock in self.sockets:
            server = await self.loop.create_server(self._accept, sock=sock)
            self._servers.append(server)
            if self.draining:  # it was removed meanwhile
                server.close()

    def _accept(self) -> asyncio.Protocol:
        if self._only is not None:
            return ServerConnection(self._only)
        return AcceptProtocol(self)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

    def for_destination(self, destination: Address) -> ListenerRuntime:
        """The listener that takes over a redirected connection: the one of its original destination, else this one."""
        return self._owner.for_destination(destination) or self if self.config.use_original_dst else self

    def serve(self, facts: Facts) -> asyncio.Protocol | None:
        """The protocol for an accepted connection, None to refuse it."""
        chain = find_chain(self.config, facts)
        if chain is None:
            self.stats.no_filter_chain_match.value += 1
            return None
        runtime = self._by_chain[id(chain)]
        if isinstance(runtime, ConnectionManager):
            return ServerConnection(runtime, facts.destination)
        return TcpSession(runtime, facts.destination, facts.source, facts.server_name)

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def update(self, config: Listener) -> None:
        """Takes a changed configuration on the same socket: nobody's connection is cut. When it raises, nothing has
        changed."""
        before, config_before = list(self._by_chain.values()), self.config
        self.config = config
        try:
            self._build()
        except BaseException:
            self.config = config_before
            raise
        for runtime in before:
            if isinstance(runtime, ConnectionManager):
                runtime.drain()
            runtime.close()

    def set_routes(self, routes: RouteConfig) -> None:
        for manager in self.managers:
            if manager.config.rds == routes.name:
                manager.set_routes(routes)

    def drain(self) -> None:
        """No new connections; those that are there end with their next response."""
        self.draining = True
        self.stop_accepting()
        for manager in self.managers:
            manager.drain()

    def stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []
        self.sockets = []

    def close(self) -> None:
        self.drain()
        for runtime in self._by_chain.values():
            runtime.close()
        self.stats.close()


def _criteria(chain: FilterChain) -> tuple[object, ...]:
    match = chain.match
    return (
        match.destination_port,
        match.destination_ranges,
        match.source_ranges,
        match.server_names,
        match.application_protocols,
        match.transport,
    )


class ListenerManager:
    """Adds, changes and removes listeners, and gives them their routes."""

    def __init__(self, context: ListenerContext, start: Callable[[ListenerRuntime], None]) -> None:
        self._context = context
        self._start = start
        self.listeners: dict[str, ListenerRuntime] = {}
        self.routes: dict[str, RouteConfig] = {}

    def set_listener(self, config: Listener) -> None:
        """Raises ConfigError when its address cannot be bound; then nothing has changed."""
        current = self.listeners.get(config.name)
        if current is not None and current.config == config:
            return
        if current is not None and _same_socket(current.config, config):
            current.update(config)
            return
        listener = ListenerRuntime(config, self, self._context)
        try:
            listener.bind()
        except ConfigError:
            listener.close()
            raise
        self.listeners[config.name] = listener
        self._start(listener)
        if current is not None:
            current.close()

    def remove_listener(self, name: str) -> None:
        listener = self.listeners.pop(name, None)
        if listener is not None:
            listener.close()

    def set_routes(self, routes: RouteConfig) -> None:
        self.routes[routes.name] = routes
        for listener in self.listeners.values():
            listener.set_routes(routes)

    def remove_routes(self, name: str) -> None:
        self.routes.pop(name, None)

    def for_destination(self, destination: Address) -> ListenerRuntime | None:
        """The listener of an original destination: of its address and port, else of any address and its port."""
        anywhere = None
        for listener in self.listeners.values():
            address = listener.config.address
            if listener.config.use_original_dst or address.port != destination.port:
                continue
            if address.host == destination.host:
                return listener
            if address.host in ("0.0.0.0", "::"):
                anywhere = listener
        return anywhere

    def drain(self, selected: Callable[[Listener], bool]) -> None:
        for listener in self.listeners.values():
            if selected(listener.config):
                listener.drain()

    @property
    def active_requests(self) -> int:
        return sum(
            int(manager.stats.downstream_rq_active.value)
            for listener in self.listeners.values()
            for manager in listener.managers
        )


def _same_socket(one: Listener, other: Listener) -> bool:
    return (one.address, one.bind_to_port) == (other.address, other.bind_to_port)


__all__ = ["ListenerContext", "ListenerManager", "ListenerRuntime", "Mapping"]
