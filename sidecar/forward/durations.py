"""Requests, and attempts, that may only last so long: max_stream_duration of routes, connection managers and clusters."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.http.headers import put
from sidecar.http.local_reply import is_grpc
from sidecar.http.response_flags import Flag
from sidecar.router.durations import limit, rendered
from sidecar.router.retry import Failure

if TYPE_CHECKING:
    from sidecar.forward.stream import Stream

TOO_LONG: Final = b"downstream duration timeout"
_DEADLINE_EXCEEDED: Final = 4  # gRPC's


class Lifetime:
    """The end of a request's time, watched like any deadline."""

    __slots__ = ("_request", "deadline")

    def __init__(self, request: Stream, seconds: float) -> None:
        self._request = request
        self.deadline = request.started + seconds
        request.manager.active.add(self)

    @classmethod
    def of(cls, request: Stream) -> Lifetime | None:
        """As long as route, connection manager or the request itself let it live; None without an end."""
        extras = request.route.extras if request.route is not None else None
        of_route = extras.duration if extras is not None else None
        seconds = limit(of_route, request.manager.config.max_stream_duration, request.header(b"grpc-timeout"))
        if seconds is None:
            return None
        if is_grpc(request.indexed_headers.get(b"content-type")):
            put(request.headers, b"grpc-timeout", rendered(seconds))
        return cls(request, seconds)

    def cancel(self) -> None:
        self._request.manager.active.remove(self)

    def on_deadline(self, now: float) -> None:
        request = self._request
        request.manager.stats.downstream_rq_max_duration_reached.value += 1
        if request.request_complete:
            request._give_back("timed out")
        request._leave_upstream()
        details = "max_duration_timeout"
        if request.responding:
            request.details = details
            request._finish(cut=True)
        elif request.request_complete:
            request.reply(504, TOO_LONG, details, 0, grpc_status=_DEADLINE_EXCEEDED)
        else:
            request.reply(408, TOO_LONG, details, 0, grpc_status=_DEADLINE_EXCEEDED, close=True)


def on_attempt_too_long(request: Stream) -> None:
    """The attempt in progress has lasted as long as its cluster, or the client, allows."""
    if request.attempt is None:
        return
    request.attempt.time_limit = None
    request.cluster.stats.upstream_rq_max_duration_reached.value += 1
    request._give_back("timed out")
    request._leave_upstream()
    plan, details = request._plan, "upstream_max_stream_duration_reached"
    if request.responding:
        request.flags |= Flag.UMSDR
        request.details = details
        request._finish(cut=True)
    elif plan is not None and plan.wants_failure(Failure.RESET) and request._claim_retry(0):
        request._schedule_retry()
    else:
        request._end_retry(succeeded=False)
        status, close = (504, False) if request.request_complete else (408, True)
        request.reply(status, b"upstream max stream duration reached", details, Flag.UMSDR, close=close)
