"""What the API's handlers work on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import web

from control_plane.ads.status import Convergence, ProxyStatus
from control_plane.registry.workload import Workload
from control_plane.store.store import ConfigStore


class Hub(Protocol):
    """The xDS server, as far as the API asks it (`ads.hub.PushHub`)."""

    def proxies(self) -> list[ProxyStatus]: ...
    def proxy_config(self, proxy: str, type_name: str) -> list[dict[str, Any]]: ...
    async def convergence(self, revision: int, timeout: float) -> Convergence: ...  # noqa: ASYNC109 - an answer


class Metrics(Protocol):
    def accepted(self, kinds: Iterable[str]) -> None: ...
    def refused(self, problems: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Plane:
    """`version` is that of this program, `started` the Unix time of its start."""

    store: ConfigStore
    hub: Hub
    workloads: Callable[[], Sequence[Workload]]
    metrics: Metrics
    version: str
    started: float


PLANE: Final = web.AppKey("plane", Plane)


def plane(request: web.Request) -> Plane:
    return request.app[PLANE]
