"""A data plane that only writes down what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mesh.errors import ConfigError, Problem
from sidecar.config import model

SECONDS = 10.0


class RecordingTarget:
    """Implements `ConfigTarget`. `calls` is everything, in order; `cannot_bind` names listeners that it refuses."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.clusters: dict[str, model.Cluster] = {}
        self.assignments: dict[str, model.Assignment] = {}
        self.listeners: dict[str, model.Listener] = {}
        self.routes: dict[str, model.RouteConfig] = {}
        self.ready = False
        self.cannot_bind: set[str] = set()
        self._changed = asyncio.Event()

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._changed.set()

    def set_cluster(self, cluster: model.Cluster) -> None:
        self.clusters[cluster.name] = cluster
        self._note(f"cluster {cluster.name}")

    def remove_cluster(self, name: str) -> None:
        del self.clusters[name]
        self._note(f"no cluster {name}")

    def set_assignment(self, assignment: model.Assignment) -> None:
        self.assignments[assignment.cluster] = assignment
        self._note(f"endpoints {assignment.cluster}")

    def set_listener(self, listener: model.Listener) -> None:
        if listener.name in self.cannot_bind:
            raise ConfigError(Problem(f"cannot bind {listener.address}: Address already in use"))
        self.listeners[listener.name] = listener
        self._note(f"listener {listener.name}")

    def remove_listener(self, name: str) -> None:
        del self.listeners[name]
        self._note(f"no listener {name}")

    def set_routes(self, routes: model.RouteConfig) -> None:
        self.routes[routes.name] = routes
        self._note(f"routes {routes.name}")

    def remove_routes(self, name: str) -> None:
        del self.routes[name]
        self._note(f"no routes {name}")

    def initialized(self) -> None:
        assert not self.ready, "initialized twice"
        self.ready = True
        self._note("initialized")

    async def until(self, check: Callable[[], bool], what: str) -> None:
        """Waits until `check` holds, looking after every call."""
        try:
            async with asyncio.timeout(SECONDS):
                while not check():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what}: never; calls were {self.calls}") from None
