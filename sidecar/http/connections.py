"""What a connection is to those above it, and they to it: the connection manager downstream, the pool upstream.

Like `streams`, these interfaces are what the types check: a codec knows nobody above it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sidecar.config.model import Address, Hcm
    from sidecar.http.head import RequestHead
    from sidecar.http.streams import Downstream, RequestHandler, Upstream
    from sidecar.telemetry.stats import ClusterStats, Http2Stats, HttpStats


class Transport(Protocol):
    """Where a connection's bytes come from and go to: an `asyncio.Transport`, or what encrypts on top of one."""

    def write(self, data: bytes) -> None: ...
    def writelines(self, pieces: list[bytes], /) -> None: ...
    def get_extra_info(self, name: str) -> Any: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def set_protocol(self, protocol: Any) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class ServerConnection(Protocol):
    """A downstream connection, as its connection manager sees it."""

    deadline: float

    @property
    def http2(self) -> bool:
        """What it speaks."""

    @property
    def ended_here(self) -> bool:
        """Whether we closed it, not the client."""

    def on_deadline(self, now: float) -> None: ...

    def may_leave(self, may: bool) -> None:
        """Whether responses may announce the connection's end."""

    def end_soon(self) -> None:
        """Ends it as soon as nothing is in flight."""

    def cut_off(self, detail: str) -> None:
        """Ends it whatever is in flight; `detail` is for the log."""


class SuccessorConnection(Protocol):
    """A downstream connection that goes on where another one has found out what the client speaks."""

    def take_over(self, transport: Transport, opened: float, data: bytes) -> None:
        """`data` is all that has come so far."""


class ServerCallbacks(Protocol):
    """A connection manager, as a downstream connection sees it."""

    @property
    def config(self) -> Hcm: ...
    @property
    def stats(self) -> HttpStats: ...
    @property
    def http2_stats(self) -> Http2Stats: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    def opened(self, connection: ServerConnection) -> None: ...
    def closed(self, connection: ServerConnection, seconds: float, *, in_use: bool) -> None: ...

    def speaks_http2(self, connection: ServerConnection, destination: Address | None) -> SuccessorConnection:
        """The connection's client speaks HTTP/2, as it turns out: who goes on with it."""

    def next_look(self, now: float, opened: float, idle_since: float) -> float:
        """When a connection may reach one of its limits, as far as can be told now."""

    def begin(self, downstream: Downstream, head: RequestHead, length: int, now: float) -> RequestHandler:
        """Who carries the request, not started yet."""

    def begin_refused(self, downstream: Downstream, now: float, protocol: str) -> RequestHandler:
        """Who answers and logs what is not a request."""

    def answers_continue(self, expect: bytes, http10: bool) -> bool:
        """Whether we say 100 to a request in the upstream's place."""

    def ends_keep_alive(self) -> bool:
        """Whether the connection ends with the response that is sent now, because there are too many."""

    def gives_up(self) -> bool:
        """Whether a response that is sent now announces its connection's end."""


class PooledConnection(Protocol):
    """An upstream connection, as its pool sees it. It offers slots, one for each request that it carries at a time: one in
    HTTP/1, with HTTP/2 the lesser of the host's and our limit, and none once it is not to carry any more."""

    free_slots: int

    @property
    def lost(self) -> bool: ...

    @property
    def ended_here(self) -> bool:
        """Whether we closed it, not the host."""

    @property
    def opened(self) -> float: ...

    def take(self) -> Upstream:
        """Uses a slot; the Upstream gives it back by itself, with the pool's `release`."""

    def retire(self) -> None:
        """There shall be no further request on it."""

    def close(self) -> None:
        """Ends it, which nobody uses."""


class PoolCallbacks(Protocol):
    """A pool, as an upstream connection sees it."""

    @property
    def stats(self) -> ClusterStats: ...

    def release(self, connection: PooledConnection) -> None:
        """A slot of the connection is free again."""

    def withdraw(self, connection: PooledConnection) -> None:
        """The connection is about to end, or to take no more requests: no slot of it must be handed out."""

    def closed(self, connection: PooledConnection, *, in_use: bool) -> None:
        """The connection is gone, `in_use` when a request still wanted it."""
