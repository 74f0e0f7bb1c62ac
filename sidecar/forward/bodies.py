"""Bodies that filters may change, and hold back on their way to the client (`sidecar.filters.bodies`).

A request has its `BodyFilters` from in front of the first filter on, on a route on which some filter has body steps, or
from the filter on that wants to change the request's body.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from sidecar.filters import RefusedBody, Reply
from sidecar.filters.bodies import BodyChange, BodyChanges, ResponseBody
from sidecar.http.head import ResponseHead
from sidecar.http.headers import Headers, get
from sidecar.http.status import BODILESS
from sidecar.http.streams import NO_TRAILERS, UNKNOWN_LENGTH, Trailers
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from sidecar.forward.stream import Stream


class BodyFilters:
    """Of one request. The response goes through `_changes`, which may have more to give when the upstream has given all.
    What is held back is bounded by the listener's buffer limit: beyond it the upstream is not read."""

    __slots__ = (
        "_changes",
        "_client_blocked",
        "_full",
        "_held_head",
        "_pacer",
        "_received_whole",
        "_request",
        "_request_changes",
        "_trailers",
    )

    def __init__(self, request: Stream) -> None:
        self._request = request
        self._changes: BodyChanges | None = None  # while there is a response to change
        self._pacer: asyncio.Handle | None = None  # runs while bytes are held back
        self._received_whole = False  # the response, though the client may not have it yet
        self._held_head: ResponseHead | None = None  # of the response, while a filter waits for its end with it
        self._trailers = NO_TRAILERS  # of the response
        self._full = False  # more is held back than may be
        self._client_blocked = False
        self._request_changes: list[BodyChange] = []  # of its own body, in the order of the chain

    # ── the request ───────────────────────────────────────────────────────────────────────────────────────────────────

    def change_request(self, change: BodyChange) -> Reply | None:
        """What has come of the body while filters before this one held the request up passes through the change, too; an
        answer where it must not."""
        request = self._request
        if request.request_complete and not request.length and not request._body:
            return None  # there is none
        self._request_changes.append(change)
        request.length = UNKNOWN_LENGTH
        request.hop_headers.pop(b"content-length", None)
        if request._body or request.request_complete:
            try:
                data = change.feed(b"".join(request._body), request.request_complete)
            except RefusedBody as refused:
                return refused.reply
            request._body = [data] if data else []
            request._body_size = len(data)
            if request.request_complete:
                request.request_trailers = [*request.request_trailers, *change.trailers()]
        return None

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers) -> tuple[bytes, Trailers] | None:
        """What goes on of it; None when it comes too late."""
        request = self._request
        if self._received_whole:
            request.bytes_received += len(data)
            request.request_complete = request.request_complete or end
            return None
        if not self._request_changes or request._tunneling:
            return data, trailers
        request.bytes_received += len(data)
        try:
            for change in self._request_changes:
                if data or end:
                    data = change.feed(data, end)
                if end:
                    trailers = [*trailers, *change.trailers()]
        except RefusedBody as refused:
            request.refuse_body(refused.reply)
            return None
        request.bytes_received -= len(data)  # counted as it came, once
        return data, trailers

    # ── the response's head ───────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, head: ResponseHead, length: int, body: bytes, end: bool, now: float, trailers: Trailers) -> None:
        """The response of the upstream."""
        request = self._request
        bodiless = length == 0 or request.method == b"HEAD" or head.status in BODILESS
        asked = self._ask_filters(not bodiless)
        request._finish_head(head, now)
        if bodiless:
            request._finish()
            request.downstream.respond(head, 0, b"", True)
            return
        self._begin_body(asked, head, body, end, trailers)

    def send_local(self, status: int, headers: Headers, body: bytes) -> None:
        """A reply of our own."""
        request = self._request
        if self._held_head is not None:  # in its place, and the filters have had their turn
            self._held_head = self._changes = None
            request.details = request.details.replace("before_response", "after_response")  # Envoy's word for it
            request.finish_last_head(status, headers)
            request._respond(status, headers, body)
            return
        asked = self._ask_filters(bool(body) and request.method != b"HEAD")
        request._finish_own_head(status, headers)
        if asked.changes:
            self._begin_body(asked, ResponseHead(status, headers), body, True, NO_TRAILERS)
        else:
            request._respond(status, headers, body)

    def _ask_filters(self, present: bool) -> ResponseBody:
        """What is returned knows, once the filters have seen the head, which of them change the body."""
        asked = ResponseBody(present)
        self._request.keep(ResponseBody, asked)
        return asked

    def _begin_body(self, asked: ResponseBody, head: ResponseHead, body: bytes, end: bool, trailers: Trailers) -> None:
        told = get(head.headers, b"content-length")
        self._changes = changes = BodyChanges(asked.changes)
        if changes.hold_head:
            self._held_head = head
            self._request.responding = False  # there may still be another answer
        data, over, last = self._change(changes, body, end, trailers)
        if self._held_head is not None:
            self._send(data, over, last)
            return
        length = UNKNOWN_LENGTH if told is None or not told.isdigit() else int(told)
        self._request.downstream.respond(head, length, data, over, last)
        self._pace()

    # ── the body ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers) -> bool:
        """Whether it goes through the filters."""
        changes, request = self._changes, self._request
        if changes is None:
            return False
        request._touched = monotonic()
        if end:
            request.response_trailers = trailers
            request._detach()
        data, over, last = self._change(changes, data, end, trailers)
        self._send(data, over, last)
        return True

    def _send(self, data: bytes, over: bool, trailers: Trailers) -> None:
        head = self._held_head
        if head is None:
            self._request.downstream.send_body(data, over, trailers)
        elif over:
            self._held_head = None
            self._request.responding = True
            self._request.downstream.respond(head, len(data), data, True, trailers)
        self._pace()

    def _change(self, changes: BodyChanges, data: bytes, end: bool, trailers: Trailers) -> tuple[bytes, bool, Trailers]:
        """What of it goes to the client, whether that is the last of it, and then its trailers."""
        if end:
            self._received_whole = True
            if trailers:
                left = list(trailers)
                changes.take_trailers(left)
                self._trailers = self._request.response_trailers = left
            self._request._deadline_at = NEVER
            self._request._set_deadline()
        data, over = changes.feed(data, end)
        return self._sending(changes, data, over)

    def _sending(self, changes: BodyChanges, data: bytes, over: bool) -> tuple[bytes, bool, Trailers]:
        request = self._request
        request.bytes_sent += len(data)
        if not over:
            return data, False, NO_TRAILERS
        trailers = [*self._trailers, *changes.trailers()]
        request._finish()  # before its last bytes leave: whoever has the answer finds it in the metrics
        return data, True, trailers

    # ── what is held back ─────────────────────────────────────────────────────────────────────────────────────────────

    def _pace(self) -> None:
        """Sees to it that what is held back is released in time, and that it does not become too much."""
        changes, request = self._changes, self._request
        if request._done or changes is None:
            return
        held = changes.held
        if held and self._pacer is None:
            self._pacer = request.manager.loop.call_later(changes.interval, self._release)
        limit = request.manager.buffer_limit
        if held > limit and not self._full:
            self._full = True
            if not self._client_blocked:
                request._pause_upstream()
        elif self._full and held <= limit // 2:
            self._full = False
            if not self._client_blocked:
                request._resume_upstream()

    def _release(self) -> None:
        self._pacer = None
        changes, request = self._changes, self._request
        if request._done or changes is None:
            return
        request._touched = monotonic()
        data, over = changes.release()
        data, over, last = self._sending(changes, data, over)
        self._send(data, over, last)

    def on_client_blocked(self) -> None:
        self._client_blocked = True
        if not self._full:
            self._request._pause_upstream()

    def on_client_ready(self) -> None:
        self._client_blocked = False
        if not self._full:
            self._request._resume_upstream()

    def cancel(self) -> None:
        """Nothing is released any more."""
        if self._pacer is not None:
            self._pacer.cancel()
            self._pacer = None
