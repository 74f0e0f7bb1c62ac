"""Requests whose bodies the filters may change, and those of their responses hold back (`sidecar.filters.bodies`).

A request becomes one in front of the first filter of a route on which some filter has body steps, or when a filter wants
to change its body; all others know nothing of it, and pay nothing for it. What is held back is bounded by the listener's
buffer limit: beyond it the upstream is not read.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from sidecar.filters import Encode
from sidecar.filters.bodies import BodyChange, BodyChanges, ResponseBody, ended
from sidecar.forward.elaborate import Elaborate
from sidecar.forward.stream import Stream
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers, get
from sidecar.http.stream_context import StreamContext
from sidecar.http.streams import NO_TRAILERS, UNKNOWN_LENGTH, Downstream, Trailers
from sidecar.process.timers import NEVER

_BODILESS = (204, 304)


class EncodedStream(Elaborate):
    """Such a request. The response goes through `_changes`, which may have more to give when the upstream has given all."""

    __slots__ = (
        "_changes",
        "_client_blocked",
        "_full",
        "_last_lines",
        "_pacer",
        "_received_whole",
        "_request_changes",
    )

    def __init__(
        self, downstream: Downstream, manager: StreamContext, head: RequestHead, length: int, now: float
    ) -> None:
        super().__init__(downstream, manager, head, length, now)
        self._changes: BodyChanges | None = None  # while there is a response to change
        self._pacer: asyncio.Handle | None = None  # runs while bytes are held back
        self._received_whole = False  # the response, though the client may not have it yet
        self._last_lines: Trailers = ()  # its trailers
        self._full = False  # more is held back than may be
        self._client_blocked = False
        self._request_changes: list[BodyChange] = []  # of its own body, in the order of the chain

    # ── the request ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _encoded(self, decision: Encode) -> Stream:
        if decision.request is not None:
            self._change_request(decision.request)
        return self

    def _change_request(self, change: BodyChange) -> None:
        """What has come of the body while filters before this one held the request up passes through the change, too."""
        self._request_changes.append(change)
        self.length = UNKNOWN_LENGTH
        self.hop_headers.pop(b"content-length", None)
        if self._body or self.request_complete:
            data = change.feed(b"".join(self._body), self.request_complete)
            self._body = [data] if data else []
            self._body_size = len(data)
            if self.request_complete:
                self.request_trailers = [*self.request_trailers, *change.trailers()]

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if self._received_whole:
            self.bytes_received += len(data)  # too late: nobody waits for it
            self.request_complete = self.request_complete or end
            return
        if self._request_changes and not self._tunneling:
            self.bytes_received += len(data)
            for change in self._request_changes:
                if data or end:
                    data = change.feed(data, end)
                if end:
                    trailers = [*trailers, *change.trailers()]
            self.bytes_received -= len(data)  # counted as it came, once
        super().on_request_body(data, end, trailers)

    # ── the response's head ───────────────────────────────────────────────────────────────────────────────────────────

    def _deliver(self, head: ResponseHead, length: int, body: bytes, end: bool, now: float, trailers: Trailers) -> None:
        bodiless = length == 0 or self.method == b"HEAD" or head.status in _BODILESS
        asked = self._ask_filters(not bodiless)
        self._finish_head(head, now)
        if bodiless:
            self._finish()
            self.downstream.respond(head, 0, b"", True)
            return
        self._begin_body(asked, head, body, end, trailers)

    def _send_local(self, status: int, headers: Headers, body: bytes) -> None:
        asked = self._ask_filters(bool(body) and self.method != b"HEAD")
        self._finish_own_head(status, headers)
        if asked.changes:
            self._begin_body(asked, ResponseHead(status, headers), body, True, NO_TRAILERS)
        else:
            self._respond(status, headers, body)

    def _ask_filters(self, present: bool) -> ResponseBody:
        """What is returned knows, once the filters have seen the head, which of them change the body."""
        asked = ResponseBody(present)
        self.keep(ResponseBody, asked)
        return asked

    def _begin_body(self, asked: ResponseBody, head: ResponseHead, body: bytes, end: bool, trailers: Trailers) -> None:
        told = get(head.headers, b"content-length")
        self._changes = BodyChanges(asked.changes)
        data, over, lines = self._change(self._changes, body, end, trailers)
        self.downstream.respond(head, UNKNOWN_LENGTH if told is None else int(told), data, over, lines)
        self._pace()

    # ── the body ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        changes = self._changes
        if changes is None:
            super().on_response_body(data, end, trailers)
            return
        self._answered(end)
        if end:
            self.response_trailers = trailers
        self._touched = monotonic()
        if end:
            self._detach()
        data, over, lines = self._change(changes, data, end, trailers)
        self.downstream.send_body(data, over, lines)
        self._pace()

    def _change(self, changes: BodyChanges, data: bytes, end: bool, trailers: Trailers) -> tuple[bytes, bool, Trailers]:
        """What of it goes to the client, whether that is the last of it, and then its trailers."""
        if end:
            self._received_whole = True
            self._last_lines = trailers
            self._deadline_at = NEVER
            self._set_deadline()
        data, over = changes.feed(data, end)
        return self._account(changes, data, over)

    def _account(self, changes: BodyChanges, data: bytes, over: bool) -> tuple[bytes, bool, Trailers]:
        self.bytes_sent += len(data)
        if not over:
            return data, False, ()
        lines = [*self._last_lines, *changes.trailers()]
        self._finish()  # before its last bytes leave: whoever has the answer finds it in the metrics
        return data, True, lines

    # ── what is held back ─────────────────────────────────────────────────────────────────────────────────────────────

    def _pace(self) -> None:
        """Sees to it that what is held back is released in time, and that it does not become too much."""
        changes = self._changes
        if self._done or changes is None:
            return
        held = changes.held
        if held and self._pacer is None:
            self._pacer = self.manager.loop.call_later(changes.interval, self._release)
        limit = self.manager.buffer_limit
        if held > limit and not self._full:
            self._full = True
            if not self._client_blocked:
                super().on_client_blocked()
        elif self._full and held <= limit // 2:
            self._full = False
            if not self._client_blocked:
                super().on_client_ready()

    def _release(self) -> None:
        self._pacer = None
        changes = self._changes
        if self._done or changes is None:
            return
        self._touched = monotonic()
        data, over = changes.release()
        data, over, lines = self._account(changes, data, over)
        self.downstream.send_body(data, over, lines)
        self._pace()

    def on_client_blocked(self) -> None:
        self._client_blocked = True
        if not self._full:
            super().on_client_blocked()

    def on_client_ready(self) -> None:
        self._client_blocked = False
        if not self._full:
            super().on_client_ready()

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, *, cut: bool = False) -> None:
        if self._done:
            return
        if self._pacer is not None:
            self._pacer.cancel()
            self._pacer = None
        super()._finish(cut=cut)
        ended(self)
