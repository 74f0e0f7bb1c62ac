"""HTTP filters: what happens to a request between the route's choice and the upstream.

Receives an exchange that has a route, lets it pass, holds it up or answers it. A filter is one file: a factory that is
bound to each route when configuration arrives, and gives *steps*. A step is a function of the exchange that returns None
(continue) or a decision; it never does I/O itself. Next station: balancer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.codec.headers import Headers
from sidecar.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer instead of forwarding. `flags` are response flags to add, `detail` the code detail for the log."""

    status: int
    body: bytes
    detail: str
    flags: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    grpc_status: int | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """Go on with the next step after so many seconds. `done` is called when the wait is over or the client left."""

    seconds: float
    done: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when `work` (run as a task of the forwarder's) is done, with the decision that it returns."""

    work: Callable[[], Awaitable[Decision | None]]


Decision = Reply | Delay | Wait
Step = Callable[[Exchange], Decision | None]
# Changes the response headers on their way to the client.
ResponseStep = Callable[[Exchange, Headers], None]


class Filter(Protocol):
    """A filter of one connection manager."""

    def bind(self, override: Any) -> tuple[Step, ...]:
        """The steps for one route; `override` is its typed_per_filter_config, None when it has none."""
        ...
