"""The listeners of the process: sockets, and the runtime of each filter chain."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mesh.errors import ConfigError
from sidecar.config.model import Address, FilterChain, FilterChainMatch, Hcm, Listener, RouteConfig, TcpProxy
from sidecar.connection_manager import ConnectionManager
from sidecar.drain import DrainPolicy, DrainSequence
from sidecar.listener.accept import AcceptProtocol
from sidecar.listener.match import Facts, find_chain
from sidecar.listener.sockets import Door, Doorkeeper, listening_socket
from sidecar.listener.tcp import TcpManager, TcpSession
from sidecar.overload import LoadShed
from sidecar.telemetry.stats import ListenerStats, Stats

log = logging.getLogger(__name__)

# Code details of requests that were in flight when the drain time was over, as Envoy words them.
_LISTENER_GONE = "downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)"
_CHAIN_GONE = "downstream_local_disconnect(filter_chain_is_being_removed)"

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
            keeper = Doorkeeper(shed, self.config, self.stats, self._owner.count)
            accept = partial(Door, keeper, accept)
        for sock in self._sockets:
            server = await self.loop.create_server(accept, sock=sock)
            self._servers.append(server)
            if self._stopped:  # it was removed meanwhile
                server.close()

    def _accept(self) -> Any:
        """An asyncio.Protocol for a new connection."""
        if self._only is not None:
            return self._only.connection(self._only)
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
            return runtime.connection(runtime, facts.destination)
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


class ListenerManager:
    """Adds, changes and removes listeners, and gives them their routes. What is replaced or removed drains: its
    connections have the drain time to end, then they are cut off."""

    def __init__(self, context: ListenerContext, start: Callable[[ListenerRuntime], None]) -> None:
        self._context = context
        self.start = start
        self.listeners: dict[str, ListenerRuntime] = {}
        self.routes: dict[str, RouteConfig] = {}
        self.failing = False
        self._retired: dict[int, Retired] = {}
        stats = context.stats
        self._added = stats.counter("listener_manager.listener_added")
        self._modified = stats.counter("listener_manager.listener_modified")
        self._removed = stats.counter("listener_manager.listener_removed")
        self._stopped = stats.counter("listener_manager.listener_stopped")
        self._in_place = stats.counter("listener_manager.listener_in_place_updated")
        stats.computed("listener_manager.total_listeners_active", lambda: len(self.listeners))
        stats.computed("listener_manager.total_listeners_draining", lambda: self._count_retired(whole=True))
        stats.computed("listener_manager.total_filter_chains_draining", lambda: self._count_retired(whole=False))

    def _count_retired(self, *, whole: bool) -> int:
        return sum(1 if whole else len(one.chains) for one in self._retired.values() if (one.listener is None) != whole)

    def set_listener(self, config: Listener) -> None:
        """Raises ConfigError when its address cannot be bound; then nothing has changed."""
        current = self.listeners.get(config.name)
        if current is not None and current.config == config:
            return
        if current is not None and _same_socket(current.config, config):
            in_place = differs_in_chains_only(current.config, config)
            replaced = current.update(config)
            self._in_place.value += in_place
            self._modified.value += 1
            self._retire(Retired(replaced, _CHAIN_GONE if in_place else _LISTENER_GONE))
            return
        listener = ListenerRuntime(config, self, self._context)
        try:
            listener.bind()
        except ConfigError:
            listener.close()
            for chain in listener.chains:
                chain.close()
            raise
        self.listeners[config.name] = listener
        self.start(listener)
        if current is None:
            self._added.value += 1
        else:
            self._modified.value += 1
            self._retire_listener(current)

    def remove_listener(self, name: str) -> None:
        listener = self.listeners.pop(name, None)
        if listener is not None:
            self._removed.value += 1
            self._retire_listener(listener)

    # ── what is replaced or removed ───────────────────────────────────────────────────────────────────────────────────

    def _retire_listener(self, listener: ListenerRuntime) -> None:
        listener.stop_accepting()
        self._retire(Retired(listener.chains, _LISTENER_GONE, listener))

    def _retire(self, retired: Retired) -> None:
        drains = self._context.drains
        if not retired.in_use:
            retired.close()
            return
        sequence = drains.begin()
        for chain in retired.chains:
            chain.drain(sequence)
        self._retired[id(retired)] = retired
        retired.timer = self._context.loop.call_later(drains.seconds, self._end, retired)

    def _end(self, retired: Retired) -> None:
        """The drain time is over."""
        del self._retired[id(retired)]
        retired.close()

    # ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── the server's own drains, and the end ──────────────────────────────────────────────────────────────────────────

    def drain(self, sequence: DrainSequence, selected: Callable[[Listener], bool]) -> None:
        """Responses begin to end their connections; listeners go on accepting."""
        for listener in self.listeners.values():
            if selected(listener.config):
                listener.drain(sequence)

    def stop(self, selected: Callable[[Listener], bool]) -> None:
        """No new connections; those that are there go on, and the listeners stay listed."""
        for listener in self.listeners.values():
            if selected(listener.config):
                self._stopped.value += 1
                listener.stop_accepting()

    def fail(self, failing: bool) -> None:
        """The server's health check fails, or does no more."""
        self.failing = failing
        for listener in self.listeners.values():
            if listener.config.drains_on_failure:
                for chain in listener.chains:
                    chain.fail(failing)

    def overload(self, shed: LoadShed) -> None:
        """What is shed has changed."""
        full = shed.stop_accepting_connections >= 1.0
        for listener in self.listeners.values():
            if not listener.config.bypasses_overload:
                listener.overload(shed, full=full)

    def count(self) -> int:
        """Connections that are accepted, whatever became of them since."""
        gone = (retired.listener for retired in self._retired.values() if retired.listener is not None)
        stats = (listener.stats for listener in (*self.listeners.values(), *gone))
        return sum(int(each.downstream_cx_active.value + each.downstream_pre_cx_active.value) for each in stats)

    def _everything(self) -> list[ConnectionManager | TcpManager]:
        serving = (chain for listener in self.listeners.values() for chain in listener.chains)
        return [*serving, *(chain for retired in self._retired.values() for chain in retired.chains)]

    def end_soon(self) -> None:
        """Idle connections end at once, those with a request in flight with its response."""
        for chain in self._everything():
            chain.end_soon()

    @property
    def in_use(self) -> bool:
        """Whether any connection is left."""
        return any(chain.connections for chain in self._everything())

    def close(self) -> None:
        """Ends everything at once."""
        retired = [*self._retired.values()]
        retired += [Retired(listener.chains, _LISTENER_GONE, listener) for listener in self.listeners.values()]
        self._retired.clear()
        self.listeners.clear()
        for one in retired:
            one.close()


@dataclass(slots=True)
class Retired:
    """Chains that serve only the connections they have, of a `listener` that is gone as a whole, if it is."""

    chains: Chains
    detail: str
    listener: ListenerRuntime | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def in_use(self) -> bool:
        return any(chain.connections for chain in self.chains)

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for chain in self.chains:
            chain.cut_off(self.detail)
            chain.close()
        if self.listener is not None:
            self.listener.close()


def _same_socket(one: Listener, other: Listener) -> bool:
    return (one.address, one.bind_to_port) == (other.address, other.bind_to_port)


__all__ = ["ListenerContext", "ListenerManager", "ListenerRuntime", "Mapping"]
