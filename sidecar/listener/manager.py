"""The listeners of the process: which there are, and what becomes of those that are replaced or removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from mesh.errors import ConfigError
from sidecar.config.model import Address, Listener, RouteConfig
from sidecar.http.connection_manager import ConnectionManager
from sidecar.listener.runtime import Chains, ListenerContext, ListenerRuntime, differs_in_chains_only
from sidecar.listener.tcp import TcpManager
from sidecar.process.drain import DrainSequence
from sidecar.process.overload import LoadShed

# Code details of requests that were in flight when the drain time was over, as Envoy words them.
_LISTENER_GONE = "downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)"
_CHAIN_GONE = "downstream_local_disconnect(filter_chain_is_being_removed)"


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


__all__ = ["ListenerContext", "ListenerManager", "ListenerRuntime"]
