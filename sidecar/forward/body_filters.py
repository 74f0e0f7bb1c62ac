"""Requests whose bodies the filters may change, and those of their responses hold back (`sidecar.filters.bodies`).

A request becomes one in front of the first filter of a route on which some filter has body steps, or when a filter wants
to change its body; all others know nothing of it, and pay nothing for it. What is held back is bounded by the listener's
buffer limit: beyond it the upstream is not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

from sidecar.codec.framing import CHUNKED
from sidecar.codec.heads import RequestParser, ResponseParser
from sidecar.filters import Encode
from sidecar.filters.bodies import BodyChange, BodyChanges, ResponseBody, ended
from sidecar.forward.elaborate import Elaborate
from sidecar.forward.state import NEVER
from sidecar.forward.stream import Stream
from sidecar.http.headers import Headers, get

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

    def __init__(self, downstream: Any, manager: Any, parser: RequestParser, length: int, now: float) -> None:
        super().__init__(downstream, manager, parser, length, now)
        self._changes: BodyChanges | None = None  # while there is a response to change
        self._pacer: asyncio.Handle | None = None  # runs while bytes are held back
        self._received_whole = False  # the response, though the client may not have it yet
        self._last_lines: Sequence[bytes] = ()  # its trailers
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
        self.length = CHUNKED
        self.hop_headers.pop(b"content-length", None)
        if self._body or self.request_complete:
            data = change.feed(b"".join(self._body), self.request_complete)
            self._body = [data] if data else []
            self._body_size = len(data)
            if self.request_complete:
                self.request_trailers = [*self.request_trailers, *change.trailers()]

    def on_request_body(self, data: bytes, end: bool) -> None:
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
                    self.request_trailers = [*self.request_trailers, *change.trailers()]
            self.bytes_received -= len(data)  # counted as it came, once
        super().on_request_body(data, end)

    # ── the response's head ───────────────────────────────────────────────────────────────────────────────────────────

    def _deliver(
        self, head: ResponseParser, length: int, body: bytes, end: bool, now: float, trailers: Sequence[bytes]
    ) -> None:
        status, bodiless = head.status, length == 0 or self.method == b"HEAD" or head.status in _BODILESS
        asked = self._ask_filters(not bodiless)
        headers = self._finish_head(head, now)
        if bodiless:
            self._finish()
            if self.method == b"HEAD":
                framed = status in _BODILESS or get(headers, b"content-length") is not None
                self.downstream.respond_without_body(status, headers, framed)
            else:
                self.downstream.respond(status, headers, True, b"", True)
            return
        self._begin_body(asked, status, headers, body, end, trailers)

    def _send_local(self, status: int, headers: Headers, body: bytes) -> None:
        asked = self._ask_filters(bool(body) and self.method != b"HEAD")
        self._finish_own_head(status, headers)
        if asked.changes:
            self._begin_body(asked, status, headers, body, True, ())
        else:
            self._respond(status, headers, body)

    def _ask_filters(self, present: bool) -> ResponseBody:
        """What is returned knows, once the filters have seen the head, which of them change the body."""
        asked = ResponseBody(present)
        self.keep(ResponseBody, asked)
        return asked

    def _begin_body(
        self, asked: ResponseBody, status: int, headers: Headers, body: bytes, end: bool, trailers: Sequence[bytes]
    ) -> None:
        framed = get(headers, b"content-length") is not None
        self._changes = BodyChanges(asked.changes)
        data, over, lines = self._change(self._changes, body, end, trailers)
        self.downstream.respond(status, headers, framed, data, over, lines)
        self._pace()

    # ── the body ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response_body(self, data: bytes, end: bool, trailers: Sequence[bytes] = ()) -> None:
        changes = self._changes
        if changes is None:
            super().on_response_body(data, end, trailers)
            return
        self._answered(end, trailers)
        self._touched = monotonic()
        if end:
            self._detach()
        if not self.cluster.config.enable_trailers:
            trailers = ()
        data, over, lines = self._change(changes, data, end, trailers)
        self.downstream.send_body(data, over, lines)
        self._pace()

    def _change(
        self, changes: BodyChanges, data: bytes, end: bool, trailers: Sequence[bytes]
    ) -> tuple[bytes, bool, Sequence[bytes]]:
        """What of it goes to the client, whether that is the last of it, and then its trailers."""
        if end:
            self._received_whole = True
            self._last_lines = trailers
            self._deadline_at = NEVER
            self._set_deadline()
        data, over = changes.feed(data, end)
        return self._account(changes, data, over)

    def _account(self, changes: BodyChanges, data: bytes, over: bool) -> tuple[bytes, bool, Sequence[bytes]]:
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
