"""The connections to one host, their slots, and the requests that wait for one.

Decisions are synchronous: `acquire` either hands out a free slot at once, or queues who asks and opens a connection when
the limits allow. Only opening is a task. What a connection speaks, and so how many slots it has, may be known only when it
is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from sidecar.config import model
from sidecar.http.head import HTTP2
from sidecar.telemetry.stats import ClusterStats
from sidecar.upstream.dial import DialError, dial, hung_up
from sidecar.upstream.host import Host
from sidecar.upstream.limits import Budget

if TYPE_CHECKING:
    from sidecar.http.connections import PoolCallbacks, PooledConnection
    from sidecar.http.streams import Upstream
    from sidecar.upstream.cluster import ClusterRuntime


# Why a connection that was made is of no use, in the words of a failure to make one.
LOST: Final = "delayed connect error: Connection reset by peer"


class Waiter(Protocol):
    """Who asks for a connection (`sidecar.forward.Stream`)."""

    budget: Budget
    protocol: str

    def on_connection(self, connection: Upstream) -> None: ...
    def on_dedicated(self, connection: Upstream) -> None: ...
    def keep_for_resend(self) -> None: ...
    def on_overflow(self) -> None: ...
    def on_pending_overflow(self) -> None: ...
    def on_connect_failure(self, failure: DialError) -> None: ...


class Pool:
    """All connections of this proxy to one host of one cluster."""

    __slots__ = (
        "_closing",
        "_cluster",
        "_make",
        "_opening",
        "_slots",
        "connections",
        "dedicated",
        "host",
        "idle",
        "waiting",
    )

    def __init__(
        self,
        cluster: ClusterRuntime,
        host: Host,
        make: Callable[[PoolCallbacks], PooledConnection],
        slots: int = 1,
    ) -> None:
        """`slots` is how many requests a connection that is being opened will take, as far as can be told."""
        self._cluster = cluster
        self._slots = slots
        self.host = host
        self._make = make
        # With a free slot, the most recently used last; a dict so that leaving is O(1).
        self.idle: dict[PooledConnection, None] = {}
        self.waiting: dict[Waiter, None] = {}  # in order of arrival; a dict so that leaving is O(1)
        self.dedicated: set[Waiter] = set()  # each waits for a connection of its own
        self.connections: dict[PooledConnection, Budget] = {}  # with what they are counted in
        self._opening = 0
        self._closing = False

    @property
    def stats(self) -> ClusterStats:
        return self._cluster.stats

    def acquire(self, waiter: Waiter) -> None:
        if self.idle:
            connection, _ = self.idle.popitem()
            upstream = connection.take()
            if connection.free_slots:
                self.idle[connection] = None
            waiter.on_connection(upstream)
            return
        budget, stats = waiter.budget, self._cluster.stats
        if budget.pending >= budget.limits.max_pending:
            stats.upstream_rq_pending_overflow.value += 1
            waiter.on_pending_overflow()
            return
        budget.pending += 1
        stats.upstream_rq_pending_total.value += 1
        stats.upstream_rq_pending_active.value += 1
        self.waiting[waiter] = None
        if len(self.waiting) > self._opening * self._slots:
            self._open_if_allowed(budget)

    def acquire_dedicated(self, waiter: Waiter) -> None:
        """A connection of its own for a tunnel; it is never shared."""
        budget = waiter.budget
        if self._at_limit(budget):
            self._cluster.stats.upstream_cx_overflow.value += 1
            waiter.on_overflow()
            return
        budget.connections += 1
        self.dedicated.add(waiter)
        self._cluster.tasks.start(self._open_dedicated(waiter), f"connect {self.host.name}")

    async def _open_dedicated(self, waiter: Waiter) -> None:
        connection, budget = self._cluster.plain_connection(self, dedicated=True), waiter.budget
        try:
            await dial(self._cluster, self.host, lambda: connection)
        except DialError as error:
            budget.connections -= 1
            if waiter in self.dedicated:
                self.dedicated.remove(waiter)
                waiter.on_connect_failure(error)
            return
        except BaseException:
            budget.connections -= 1
            raise
        self._admit(connection, budget)
        if waiter not in self.dedicated:  # it left meanwhile
            connection.close()
            return
        self.dedicated.remove(waiter)
        if connection.lost:
            self.closed(connection, in_use=False)
            waiter.on_connect_failure(DialError(False, LOST))
        else:
            waiter.on_dedicated(connection.take())

    def leave(self, waiter: Waiter) -> None:
        """The waiter gives up."""
        self.dedicated.discard(waiter)
        if waiter in self.waiting:
            del self.waiting[waiter]
            self._waited(waiter)

    def _waited(self, waiter: Waiter) -> None:
        waiter.budget.pending -= 1
        self._cluster.stats.upstream_rq_pending_active.value -= 1

    def _open_if_allowed(self, budget: Budget) -> bool:
        """Every host may have one connection, whatever the limit says: else a request could wait for ever."""
        if self._at_limit(budget):
            self._cluster.stats.upstream_cx_overflow.value += 1
            if self.connections or self._opening:
                return False
        self._opening += 1
        budget.connections += 1
        self._cluster.tasks.start(self._open(budget), f"connect {self.host.name}")
        return True

    def _at_limit(self, budget: Budget) -> bool:
        limits = budget.limits
        return (
            budget.connections >= limits.max_connections
            or self.host.connections + self._opening >= limits.max_connections_per_host
        )

    async def _open(self, budget: Budget) -> None:
        connection = self._make(self)
        try:
            await dial(self._cluster, self.host, lambda: connection)
        except DialError as error:
            self._not_opened(budget)
            self._fail_waiting(error)
        except BaseException:
            self._not_opened(budget)
            raise
        else:
            self._opening -= 1
            self._opened(connection, budget)

    def _not_opened(self, budget: Budget) -> None:
        self._opening -= 1
        budget.connections -= 1

    def _fail_waiting(self, failure: DialError) -> None:
        """Whoever waits for this host learns now, and may try elsewhere; it will not get better by waiting."""
        waiting, self.waiting = self.waiting, {}
        self._cluster.stats.upstream_rq_pending_failure_eject.value += len(waiting)
        for waiter in waiting:
            self._waited(waiter)
        for waiter in waiting:
            waiter.on_connect_failure(failure)

    def _admit(self, connection: PooledConnection, budget: Budget) -> None:
        self.connections[connection] = budget
        self.host.connections += 1

    def _opened(self, connection: PooledConnection, budget: Budget) -> None:
        self._admit(connection, budget)
        if connection.lost:  # closed by the host between the handshake and now
            self.closed(connection, in_use=False)
        elif self._closing and not self.waiting:
            connection.close()
        else:
            self.release(connection)

    def release(self, connection: PooledConnection) -> None:
        """It has a free slot: the next in line takes it, or it rests."""
        while self.waiting and connection.free_slots:
            waiter = next(iter(self.waiting))
            del self.waiting[waiter]
            self._waited(waiter)
            if waiter.budget.requests < waiter.budget.max_requests:
                waiter.on_connection(connection.take())
                continue
            self.stats.upstream_rq_active_overflow.value += 1
            waiter.on_overflow()
        if not connection.free_slots:
            return
        if self._closing:
            connection.retire()
        else:
            self.idle[connection] = None

    def withdraw(self, connection: PooledConnection) -> None:
        """The connection is about to end: it must not be handed out any more."""
        self.idle.pop(connection, None)

    def closed(self, connection: PooledConnection, *, in_use: bool) -> None:
        """The connection is gone, `in_use` when its request still wanted it. Who still waits gets another one."""
        if connection not in self.connections:
            return
        budget = self.connections.pop(connection)
        self.host.connections -= 1
        hung_up(self._cluster.stats, connection.opened, here=connection.ended_here, in_use=in_use)
        budget.connections -= 1
        self.idle.pop(connection, None)
        if len(self.waiting) > self._opening * self._slots:
            self._open_if_allowed(budget)

    def close(self) -> None:
        """The host left the cluster: idle connections end now, others after their request."""
        self._closing = True
        idle, self.idle = self.idle, {}
        for connection in idle:
            connection.retire()

    def drain(self) -> None:
        """No connection that there is carries a further request."""
        for connection in list(self.connections):
            connection.retire()


# At most so many connections are made ahead for one request.
_AHEAD: Final = 3


class EagerPool(Pool):
    """The pool of a cluster with a `preconnect_policy`: more connections than requests, so that the next one need not
    wait for one."""

    __slots__ = ()

    def acquire(self, waiter: Waiter) -> None:
        super().acquire(waiter)
        ratio = self._cluster.config.preconnect_ratio
        for _ in range(_AHEAD):
            resting = len(self.idle)
            busy = len(self.connections) - resting
            if (len(self.waiting) + busy) * ratio <= resting + self._opening + busy or not self.host.healthy:
                return
            if not self._open_if_allowed(waiter.budget):
                return


class ResendingPool(Pool):
    """The pool of a cluster that sends requests again which met a connection that their host had closed."""

    __slots__ = ()

    def acquire(self, waiter: Waiter) -> None:
        waiter.keep_for_resend()
        super().acquire(waiter)


class EagerResendingPool(EagerPool):
    """Both. (Not by inheriting from both, which a compiled class cannot.)"""

    __slots__ = ()

    def acquire(self, waiter: Waiter) -> None:
        waiter.keep_for_resend()
        super().acquire(waiter)


class DownstreamProtocolPool(Pool):
    """The pool of a cluster with `use_downstream_protocol_config`: two in one, of which each request takes that of the
    protocol which it came in. (It is the HTTP/1.1 one itself.)"""

    __slots__ = ("_http2",)

    def __init__(
        self,
        cluster: ClusterRuntime,
        host: Host,
        make: Callable[[PoolCallbacks], PooledConnection],
        slots: int = 1,
    ) -> None:
        super().__init__(cluster, host, cluster.plain_connection)
        self._http2 = Pool(cluster, host, make, slots)

    def acquire(self, waiter: Waiter) -> None:
        if waiter.protocol == HTTP2:
            self._http2.acquire(waiter)
        else:
            super().acquire(waiter)

    def leave(self, waiter: Waiter) -> None:
        super().leave(waiter)
        self._http2.leave(waiter)

    def close(self) -> None:
        super().close()
        self._http2.close()

    def drain(self) -> None:
        super().drain()
        self._http2.drain()


def select_pool_class(config: model.Cluster) -> type[Pool]:
    if config.protocol_of_downstream and config.http2 is not None:
        return DownstreamProtocolPool
    eager, resending = config.preconnect_ratio > 1.0, config.resend is not model.Resend.NEVER
    if eager:
        return EagerResendingPool if resending else EagerPool
    return ResendingPool if resending else Pool
