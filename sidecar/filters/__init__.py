"""HTTP filters: what happens to a request between the route's choice and the upstream, and to response headers.

Receives an exchange whose route has been looked up, lets it pass, holds it up or answers it. Next station: balancer.

A filter is one file here, with how its configuration is read and its `FILTER`, and a line in `registry.py`.
One `Filter` is made for a connection manager. When routes arrive it is bound to each of them, and gives *steps*: plain
functions that the forwarder calls in the chain's order for the request and in reverse for the response, replies of our
own included. What a step needs to know about the route it closes over, so nothing is looked up per request, and a
filter that has nothing to do on a route returns `NO_STEPS` and costs nothing there.

A request step returns None (continue) or a decision; it never does I/O itself. A response step changes the headers in
place, sees `exchange.status`, and runs even when the request ended before its filter's turn: a filter that wants to
know whether it saw the request keeps something in the exchange (`keep`, `kept`), with itself as the key. Requests that
no route matches pass through the steps that `bind` gave for no route; those that were refused before routing only
through the response steps. A body step is asked with the response's head, in its filter's turn, and returns what the
body is to pass through (`bodies`); only routes whose filters have body steps have bodies looked at.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sidecar.config.model import Route
from sidecar.filters.bodies import BodyChange, BodyStep
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.process.drain import ServerHealth
from sidecar.telemetry.stats import HttpStats, Stats

if TYPE_CHECKING:
    from sidecar.config.reader import Reader
    from sidecar.upstream.cluster import ClusterRuntime


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer instead of forwarding. `flags` are response flags to add, `detail` the code detail for the log. A
    `connection` header says that the connection ends with this answer."""

    status: int
    body: bytes
    detail: str
    flags: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    grpc_status: int | None = None


class RefusedBody(Exception):  # noqa: N818  # the body is at fault
    """Raised by a change of a request's body: it is answered by `reply`, or cut where the answer has begun."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.detail)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Delay:
    """Go on with the next step after so many seconds. `done` is called when the wait is over or the client left."""

    seconds: float
    done: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """No answer at all: the client's stream ends, and with HTTP/1 its connection. As `Reply` otherwise."""

    detail: str
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Go on when the whole body of the request is there; `too_large` is the answer when it has more bytes than `limit`."""

    limit: int
    too_large: Reply


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when `work` (run as a task of the forwarder's) is done, with the decision that it returns."""

    work: Callable[[], Awaitable[Decision | None]]


@dataclass(frozen=True, slots=True)
class Encode:
    """Go on with the request's body passing through `request`, from its first byte on; None leaves it alone. (The chain
    itself decides so in front of all filters where one of them has body steps.)"""

    request: BodyChange | None = None


Decision = Reply | Delay | Reset | Hold | Wait | Encode
Step = Callable[[Exchange], Decision | None]
# Changes the response headers on their way to the client.
ResponseStep = Callable[[Exchange, Headers], None]


class Steps(NamedTuple):
    """What a filter does on one route. Requests pass the filters in the order of the chain, responses in the reverse
    order: each filter's `response`, then its `body`."""

    request: tuple[Step, ...] = ()
    response: tuple[ResponseStep, ...] = ()
    body: tuple[BodyStep, ...] = ()


NO_STEPS: Final = Steps()


@dataclass(frozen=True, slots=True)
class FilterContext:
    """What the filters of a connection manager are made with. `stats` is the connection manager's own group, `registry`
    where a filter makes counters of other names; `clock` tells seconds that only go up; `service_cluster` is the
    `cluster` of the bootstrap's node; `health` what the server says of itself."""

    stats: HttpStats
    registry: Stats
    rng: random.Random
    clusters: Mapping[str, ClusterRuntime] = field(default_factory=dict)
    clock: Callable[[], float] = monotonic
    service_cluster: str = ""
    health: ServerHealth = field(default_factory=ServerHealth)


class Filter(Protocol):
    """A filter of one connection manager, made of its compiled configuration and a `FilterContext`."""

    def bind(self, overrides: Sequence[Any], route: Route | None) -> Steps:
        """The steps for one route, or for requests without one. `overrides` are the compiled typed_per_filter_configs of
        the route, its virtual host and the route configuration, as far as there are any, the most specific one first.
        """
        ...


@dataclass(frozen=True, slots=True)
class FilterType:
    """What a filter's module has to offer: by which `config` it is `make`-d, and how that is compiled, in the chain and,
    where routes can override it, on routes; `route_type` names the type that routes use where it is another one."""

    config: type
    make: Callable[[Any, FilterContext], Filter]
    compile: Callable[[Reader], Any]
    compile_route: Callable[[Reader], Any] | None = None
    route_type: str = ""
