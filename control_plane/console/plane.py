"""What the API's handlers work on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from control_plane.ads.effect import Effects
from control_plane.ads.status import Convergence, ProxyStatus
from control_plane.console.errors import unavailable
from control_plane.experiments.controller import Experiments
from control_plane.registry.workload import Workload
from control_plane.store.store import ConfigStore
from control_plane.store.workers import Workers
from control_plane.world import World
from mesh.clock import Clock, SystemClock

MOST_WATCHERS: Final = 500


class Hub(Protocol):
    """The xDS server, as far as the API asks it (`ads.hub.PushHub`)."""

    def proxies(self) -> list[ProxyStatus]: ...
    def proxy_config(self, proxy: str, type_name: str) -> list[bytes]: ...
    def effects(self, world: World) -> Effects: ...
    async def convergence(self, revision: int, timeout: float) -> Convergence: ...  # noqa: ASYNC109 - an answer


class Metrics(Protocol):
    def accepted(self, kinds: Iterable[str]) -> None: ...
    def refused(self, problems: int) -> None: ...


class Watchers:
    """Clients whose requests have no end of their own, so many at once and no more."""

    def __init__(self, most: int = MOST_WATCHERS) -> None:
        self._most = most
        self._count = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Around one such request; 503 when all places are taken."""
        if self._count >= self._most:
            raise unavailable(f"{self._most} clients are watching or waiting already; try again later")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


@dataclass(frozen=True, slots=True)
class Plane:
    """`version` is that of this program, `started` the Unix time of its start."""

    store: ConfigStore
    hub: Hub
    workloads: Callable[[], Sequence[Workload]]
    metrics: Metrics
    version: str
    started: float
    watchers: Watchers = field(default_factory=Watchers)
    workers: Workers = field(default_factory=lambda: Workers(1))
    experiments: Experiments | None = None
    clock: Clock = field(default_factory=SystemClock)


PLANE: Final = web.AppKey("plane", Plane)


def plane(request: web.Request) -> Plane:
    return request.app[PLANE]
