"""Opening one connection to a host, with the time-out and the counters that every way of using it shares."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from mesh.errors import MeshError
from sidecar.config.model import Address, TcpKeepalive
from sidecar.upstream.host import Host

if TYPE_CHECKING:
    from sidecar.telemetry.stats import ClusterStats
    from sidecar.upstream.cluster import ClusterRuntime

# What connect says when it is our own end that cannot be had.
_CANNOT_BIND = frozenset((errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES))


class DialError(MeshError):
    """No connection. `reason` is Envoy's text of a transport failure, empty for a time-out."""

    def __init__(self, timed_out: bool, reason: str) -> None:
        super().__init__(reason or "connection timeout")
        self.timed_out = timed_out
        self.reason = reason


async def dial(cluster: ClusterRuntime, host: Host, make: Callable[[], Any]) -> None:
    """Connects `make()`, an asyncio.Protocol, to the host. Raises DialError."""
    stats = cluster.stats
    stats.upstream_cx_total.value += 1
    stats.upstream_cx_active.value += 1
    host.cx_total += 1
    started = monotonic()
    source = (cluster.config.bind_address, 0) if cluster.config.bind_address else None
    try:
        async with asyncio.timeout(cluster.config.connect_timeout):
            transport = await connect(cluster.loop, make, host.address, source)
    except TimeoutError:
        stats.upstream_cx_connect_timeout.value += 1
        failure = DialError(True, "")
    except OSError as error:
        if source is not None and error.errno in _CANNOT_BIND:
            stats.bind_errors.value += 1
        failure = DialError(False, _connect_error(error))
    except BaseException:  # cancelled, or a fault of ours: no connection either way
        hung_up(stats, started, here=True)
        raise
    else:
        stats.upstream_cx_connect_ms.record((monotonic() - started) * 1000)
        if cluster.config.tcp_keepalive is not None and not host.address.is_pipe:
            keep_alive(transport.get_extra_info("socket"), cluster.config.tcp_keepalive)
        return
    stats.upstream_cx_connect_fail.value += 1
    host.cx_connect_fail += 1
    hung_up(stats, started, here=failure.timed_out)
    try:
        raise failure
    finally:
        del failure  # else it, its traceback and this frame would keep each other


async def connect(
    loop: asyncio.AbstractEventLoop, make: Callable[[], Any], address: Address, source: tuple[str, int] | None
) -> Any:
    """The transport of a new connection to an address, from `source` if that is any."""
    if address.is_pipe:
        transport, _ = await loop.create_unix_connection(make, pipe_path(address))
    else:
        transport, _ = await loop.create_connection(make, address.host, address.port, local_addr=source)
    return transport


def pipe_path(address: Address) -> str:
    """As the system wants it: a zero instead of the "@" of an abstract name."""
    path = address.host
    return "\0" + path[1:] if path.startswith("@") else path


def keep_alive(connection: Any, config: TcpKeepalive) -> None:
    """Has the system probe a connection that rests."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPCNT, config.probes),
        (socket.TCP_KEEPIDLE, config.time),
        (socket.TCP_KEEPINTVL, config.interval),
    ):
        if value:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def hung_up(stats: ClusterStats, opened: float, *, here: bool, in_use: bool = False) -> None:
    """Counts the end of a connection that `dial` counted: `here` when we ended it, `in_use` when a request (or session)
    was not through with it."""
    stats.upstream_cx_active.value -= 1
    stats.upstream_cx_destroy.value += 1
    stats.upstream_cx_length_ms.record((monotonic() - opened) * 1000)
    side = stats.upstream_cx_destroy_local if here else stats.upstream_cx_destroy_remote
    side.value += 1
    if in_use:
        stats.upstream_cx_destroy_with_active_rq.value += 1
        side = (
            stats.upstream_cx_destroy_local_with_active_rq if here else stats.upstream_cx_destroy_remote_with_active_rq
        )
        side.value += 1


def _connect_error(error: OSError) -> str:
    """Envoy's words: `delayed connect error: Connection refused`; immediate is what fails without a packet."""
    when = "delayed" if isinstance(error, ConnectionError) else "immediate"
    text = os.strerror(error.errno) if error.errno else str(error)
    return f"{when} connect error: {text}"
