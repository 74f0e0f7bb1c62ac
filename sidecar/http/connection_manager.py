"""The HTTP connection manager: the connections of one HTTP filter chain of a listener, and who carries their requests.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/http_conn_man
"""

from __future__ import annotations

from time import monotonic

from sidecar.codec.h2_server import ServerConnection as Http2Connection
from sidecar.codec.preserve_case_server import server_class
from sidecar.config.model import Address, Direction, Hcm
from sidecar.forward.overloaded import OverloadedStream
from sidecar.forward.stream import Stream
from sidecar.forward.stream_class import select_stream_class
from sidecar.http.connections import ServerConnection
from sidecar.http.head import RequestHead
from sidecar.http.stream_context import ManagerContext, StreamContext
from sidecar.http.streams import Downstream, RequestHandler
from sidecar.process.drain import DrainSequence
from sidecar.process.overload import LoadShed
from sidecar.telemetry.stats import ListenerStats, Stats


class ConnectionManager(StreamContext):
    """What its requests share, and its connections: counted, limited, drained."""

    def __init__(
        self,
        config: Hcm,
        direction: Direction,
        buffer_limit: int,
        context: ManagerContext,
        listener: ListenerStats | None = None,
    ) -> None:
        super().__init__(config, direction, buffer_limit, context)
        self.listener = listener or ListenerStats(Stats(), "")  # without a listener nobody reads them
        self.stream_class = select_stream_class(config)
        self.plain_streams = self.stream_class is Stream
        self._connection_class = server_class(config.header_spelling)
        self._sequence: DrainSequence | None = None
        self._shed: LoadShed | None = None
        self._failing = False  # the server says that it is ill, and the listener heeds that
        self.connections: set[ServerConnection] = set()

    def connection(self, destination: Address | None = None) -> ServerConnection:
        """An asyncio.Protocol for a new connection; `destination` is where the client meant to go, if it was redirected."""
        if self.config.codec == "HTTP2":
            return Http2Connection(self, destination)
        return self._connection_class(self, destination)

    # ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        self.listener.opened()
        stats = self.stats
        stats.downstream_cx_total.value += 1
        stats.downstream_cx_active.value += 1
        if connection.http2:
            stats.downstream_cx_http2_total.value += 1
            stats.downstream_cx_http2_active.value += 1
        else:
            stats.downstream_cx_http1_total.value += 1
            stats.downstream_cx_http1_active.value += 1
        now = monotonic()
        connection.deadline = self.next_look(now, now, now)
        self.context.idle.add(connection)
        if self._may_leave:
            connection.may_leave(True)

    def speaks_http2(self, connection: ServerConnection, destination: Address | None) -> Http2Connection:
        """The connection's client speaks HTTP/2, as it turns out: who goes on with it."""
        stats = self.stats
        stats.downstream_cx_http1_total.value -= 1
        stats.downstream_cx_http1_active.value -= 1
        stats.downstream_cx_http2_total.value += 1
        stats.downstream_cx_http2_active.value += 1
        successor = Http2Connection(self, destination)
        self.connections.discard(connection)
        self.connections.add(successor)
        self.context.idle.remove(connection)
        successor.deadline = connection.deadline
        self.context.idle.add(successor)
        if self._may_leave:
            successor.may_leave(True)
        return successor

    def closed(self, connection: ServerConnection, seconds: float, *, in_use: bool) -> None:
        self.context.idle.remove(connection)
        self.connections.discard(connection)
        stats = self.stats
        stats.downstream_cx_active.value -= 1
        if connection.http2:
            stats.downstream_cx_http2_active.value -= 1
        else:
            stats.downstream_cx_http1_active.value -= 1
        stats.downstream_cx_destroy.value += 1
        side = stats.downstream_cx_destroy_local if connection.ended_here else stats.downstream_cx_destroy_remote
        side.value += 1
        if in_use:
            stats.downstream_cx_destroy_active_rq.value += 1
            stats.downstream_cx_destroy_remote_active_rq.value += 1
        stats.downstream_cx_length_ms.record(seconds * 1000)
        self.listener.closed(seconds)

    def next_look(self, now: float, opened: float, idle_since: float) -> float:
        """When a connection may reach one of its limits, as far as can be told now."""
        config, look = self.config, now + 3600.0
        if config.idle_timeout:
            look = max(idle_since + config.idle_timeout, now + 0.05)
        if config.max_connection_duration and now < opened + config.max_connection_duration < look:
            look = opened + config.max_connection_duration
        return look

    def begin(self, downstream: Downstream, head: RequestHead, length: int, now: float) -> RequestHandler:
        """Who carries the request, not started yet."""
        if self.plain_streams:
            return Stream(downstream, self, head, length, now)
        return self._class_of_next()(downstream, self, head, length, now)

    def begin_refused(self, downstream: Downstream, now: float, protocol: str) -> RequestHandler:
        """Who answers what is not a request: it only carries the answer to the client and the log."""
        return self.stream_class.refused(downstream, self, now, protocol)

    # ── drains ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def answers_continue(self, expect: bytes, http10: bool) -> bool:
        """Whether we say 100 to a request in the upstream's place."""
        config = self.config
        if config.proxies_continue or (http10 and not config.accept_http_10):
            return False
        return expect.lower() == b"100-continue"

    def drain(self, sequence: DrainSequence) -> None:
        """From now on responses begin to end their connections, as the sequence has it; the first one counts."""
        if self._sequence is None:
            self._sequence = sequence
            self._tell()

    def fail(self, failing: bool) -> None:
        """The server's health check fails: from now on, and until it does no more, every response ends its connection."""
        self._failing = failing
        self._tell()

    def _tell(self) -> None:
        for connection in self.connections:
            connection.may_leave(self._may_leave)

    @property
    def _may_leave(self) -> bool:
        """Whether a response may be its connection's last for more than the connection's own reasons."""
        sheds = self._shed is not None and bool(self._shed.disable_http_keepalive)
        return sheds or self._failing or self._sequence is not None

    def overload(self, shed: LoadShed) -> None:
        """What is shed of requests and of connections that live on has changed."""
        self._shed = shed
        self.plain_streams = self.stream_class is Stream and not shed.stop_accepting_requests
        self._tell()

    def _class_of_next(self) -> type[Stream]:
        """Of the next request, where not all are plain streams."""
        shed = self._shed
        if shed is not None and shed.stop_accepting_requests and shed.draw(shed.stop_accepting_requests):
            return OverloadedStream
        return self.stream_class

    def ends_keep_alive(self) -> bool:
        """Whether the connection ends with the response that is sent now, because there are too many."""
        shed = self._shed
        if shed is None or not shed.draw(shed.disable_http_keepalive):
            return False
        self.stats.downstream_cx_overload_disable_keepalive.value += 1
        return True

    def gives_up(self) -> bool:
        """Whether a response that is sent now announces its connection's end."""
        return self._failing or (self._sequence is not None and self._sequence.closes())

    def end_soon(self) -> None:
        """Idle connections end at once, the others with their response."""
        for connection in list(self.connections):
            connection.end_soon()

    def cut_off(self, detail: str) -> None:
        """Ends every connection, whatever is in flight."""
        for connection in list(self.connections):
            connection.cut_off(detail)

    def close(self) -> None:
        self.stats.close()
