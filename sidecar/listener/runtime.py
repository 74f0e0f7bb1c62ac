"""One listener at work: its sockets, and the runtime of each of its filter chains."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sidecar.config.model import Address, FilterChain, FilterChainMatch, Hcm, Listener, RouteConfig, TcpProxy
from sidecar.http.connection_manager import ConnectionManager
from sidecar.listener.accept import AcceptProtocol
from sidecar.listener.match import Facts, find_chain
from sidecar.listener.sockets import Admission, AdmissionProtocol, listening_socket
from sidecar.listener.tcp import TcpManager, TcpSession
from sidecar.process.drain import DrainPolicy, DrainSequence
from sidecar.process.overload import LoadShed
from sidecar.telemetry.stats import ListenerStats, Stats

if TYPE_CHECKING:
    from sidecar.listener.manager import ListenerManager

Chains = Sequence[ConnectionManager | TcpManager]


@dataclass(frozen=True, slots=True)
class ListenerContext:
    """What listeners need: how to make the runtimes of their chains, and how drains go."""

    loop: asyncio.AbstractEventLoop
    stats: Stats
    http: Callable[[Hcm, Listener, ListenerStats], ConnectionManager]
    tcp: Callable[[TcpProxy, Listener, ListenerStats], TcpManager]
    drains: DrainPolicy = field(default_factory=DrainPolicy)
    shares_ports: bool = False  # with other processes
    shed: LoadShed | None = None  # where there is an overload manager


class ListenerRuntime:
    """One listener. A changed configuration replaces the runtimes of the chains that changed; connections stay with the
    one they have, until its drain time is over."""

    def __init__(self, config: Listener, owner: ListenerManager, context: ListenerContext) -> None:
        self.config = config
        self.loop = context.loop
        self.stats = ListenerStats(context.stats, config.stat_prefix or str(config.address).replace(":", "_"))
        self.addresses: list[Address] = []  # where it really listens
        self._stopped = False
        self._paused = context.shed is not None and context.shed.stop_accepting_connections >= 1.0
        self._owner = owner
        self._context = context
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._by_chain: dict[int, ConnectionManager | TcpManager] = {}
        self._only: ConnectionManager | None = None
        self._build(())

    def _build(self, before: Sequence[FilterChain]) -> None:
        """Makes the runtimes of the chains; those of chains that were there `before` stay."""
        config, kept = self.config, {(chain.name, chain.match): chain for chain in before}
        chains, runtimes = _chains(config), self._by_chain
        self._by_chain = {}
        for chain in chains:
            same = kept.get((chain.name, chain.match))
            self._by_chain[id(chain)] = runtimes[id(same)] if same == chain else self._runtime(chain)
        simple = not (config.use_original_dst or config.detect_original_dst or config.detect_http or config.detect_tls)
        only = self._by_chain[id(chains[0])] if len(chains) == 1 else None
        matches_all = len(chains) == 1 and chains[0].match == FilterChainMatch()
        self._only = only if simple and matches_all and isinstance(only, ConnectionManager) else None

    def _runtime(self, chain: FilterChain) -> ConnectionManager | TcpManager:
        if not isinstance(chain.network, Hcm):
            return self._context.tcp(chain.network, self.config, self.stats)
        manager = self._context.http(chain.network, self.config, self.stats)
        if chain.network.rds and (routes := self._owner.routes.get(chain.network.rds)) is not None:
            manager.set_routes(routes)
        if self._owner.failing and self.config.drains_on_failure:
            manager.fail(True)
        if (shed := self._context.shed) is not None and not self.config.bypasses_overload:
            manager.overload(shed)
        return manager

    @property
    def chains(self) -> Chains:
        return list(self._by_chain.values())

    @property
    def managers(self) -> list[ConnectionManager]:
        return [runtime for runtime in self._by_chain.values() if isinstance(runtime, ConnectionManager)]

    # ── sockets ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def bind(self) -> None:
        """Opens the socket. Raises ConfigError when the address cannot be had."""
        if not self.config.bind_to_port:
            return
        sock = listening_socket(self.config, shared=self._context.shares_ports)
        self._sockets.append(sock)
        name = sock.getsockname()
        self.addresses.append(Address(name[0], name[1]))

    async def serve_forever(self) -> None:
        """Starts accepting; the servers run until `stop_accepting`."""
        if self._paused:
            return  # `resume` starts it
        accept = self._accept
        if (shed := self._context.shed) is not None:
            keeper = Admission(shed, self.config, self.stats, self._owner.count)
            accept = partial(AdmissionProtocol, keeper, accept)
        for sock in self._sockets:
            server = await self.loop.create_server(accept, sock=sock, backlog=self.config.backlog)
            self._servers.append(server)
            if self._stopped:  # it was removed meanwhile
                server.close()

    def _accept(self) -> Any:
        """An asyncio.Protocol for a new connection."""
        if self._only is not None:
            return self._only.connection()
        return AcceptProtocol(self)

    def pause(self) -> None:
        """Lets new connections wait in the system's queue."""
        self._paused = True
        self._sockets = [sock.dup() for sock in self._sockets]  # a server takes its socket with it
        for server in self._servers:
            server.close()
        self._servers = []

    def resume(self) -> None:
        if not self._stopped:
            self._paused = False
            self._owner.start(self)

    def stop_accepting(self) -> None:
        """No new connections; those that are there go on."""
        self._stopped = True
        if self._paused:
            for sock in self._sockets:
                sock.close()
        for server in self._servers:
            server.close()
        self._servers = []
        self._sockets = []

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

    def for_destination(self, destination: Address) -> ListenerRuntime:
        """The listener that takes over a redirected connection: the one of its original destination, else this one."""
        return self._owner.for_destination(destination) or self if self.config.use_original_dst else self

    def serve(self, facts: Facts) -> Any:
        """The asyncio.Protocol for an accepted connection, None to refuse it."""
        chain = find_chain(self.config, facts)
        if chain is None:
            self.stats.no_filter_chain_match.value += 1
            return None
        runtime = self._by_chain[id(chain)]
        if isinstance(runtime, ConnectionManager):
            return runtime.connection(facts.destination)
        return TcpSession(runtime, facts.destination, facts.source, facts.server_name)

    # ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def update(self, config: Listener) -> Chains:
        """Takes a changed configuration on the same socket; the runtimes that it replaced, to be drained. When it raises,
        nothing has changed."""
        before, before_by_chain, only = self.config, self._by_chain, self._only
        self.config = config
        try:
            self._build(_chains(before) if differs_in_chains_only(before, config) else ())
        except BaseException:
            self.config, self._by_chain, self._only = before, before_by_chain, only
            raise
        stay = set(map(id, self._by_chain.values()))
        return [runtime for runtime in before_by_chain.values() if id(runtime) not in stay]

    def set_routes(self, routes: RouteConfig) -> None:
        for manager in self.managers:
            if manager.config.rds == routes.name:
                manager.set_routes(routes)

    def drain(self, sequence: DrainSequence) -> None:
        for chain in self.chains:
            chain.drain(sequence)

    def overload(self, shed: LoadShed, *, full: bool) -> None:
        """What is shed has changed; `full`: connections are to wait."""
        for manager in self.managers:
            manager.overload(shed)
        if full is not self._paused:
            self.pause() if full else self.resume()

    def close(self) -> None:
        """Gives up what it counts; its connections have ended, or are others' to end."""
        self.stop_accepting()
        self.stats.close()


def _chains(config: Listener) -> list[FilterChain]:
    return [*config.chains, *([config.default_chain] if config.default_chain else [])]


def differs_in_chains_only(one: Listener, other: Listener) -> bool:
    """Whether chains that are in both may stay as they are."""
    return replace(one, chains=other.chains, default_chain=other.default_chain, source=other.source) == other
