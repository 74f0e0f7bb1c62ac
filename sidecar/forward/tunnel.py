"""Upgrades and CONNECT: after an HTTP beginning, bytes pass as they are."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic
from typing import Final

from sidecar.forward.attempt import Attempt
from sidecar.forward.attempts import EARLY
from sidecar.forward.response import Responses
from sidecar.http.head import HTTP2, ResponseHead
from sidecar.http.headers import Headers
from sidecar.http.response_flags import Flag
from sidecar.http.streams import ResetReason, Trailers, Upstream
from sidecar.process.timers import NEVER

# How the first frame of an HTTP/2 server looks: its type, and its stream.
_SETTINGS: Final = b"\x04"
_NO_STREAM: Final = b"\0\0\0\0"


class Tunnels(Responses):
    """The phase that some requests have instead of a response."""

    __slots__ = ()

    def on_switching(self, attempt: Attempt, head: ResponseHead) -> None:
        """The upstream agreed to the upgrade."""
        if attempt is not self.attempt or attempt.upstream is None:
            if attempt.upstream is not None:
                attempt.upstream.reset()
            self.on_upstream_reset(attempt, ResetReason.PROTOCOL_ERROR)
            return
        self._begin_tunnel(101)
        headers, hop_headers = head.headers, head.hop_headers
        self._change_response(headers)
        self._filter_response(headers)
        headers.append((b"date", hop_headers.get(b"date") or self.manager.date()))
        self._server(headers, hop_headers.get(b"server"))
        self.response_headers = headers
        self.cluster.stats.complete(101, (monotonic() - self.upstream_started) * 1000)
        self.downstream.switch(head)
        attempt.upstream.tunnel(attempt)

    def on_dedicated(self, attempt: Attempt, upstream: Upstream) -> None:
        """CONNECT: the connection itself is the answer."""
        self._in_flight(attempt, upstream)
        self._begin_tunnel(200)
        headers: Headers = []
        self._change_response(headers)
        self._filter_response(headers)
        headers.append((b"date", self.manager.date()))
        self._server(headers, None)
        self.response_headers = headers
        self.downstream.switch(ResponseHead(200, headers), may_be_http2=self.route.looks_into_tunnels)
        upstream.tunnel(attempt)

    def _change_response(self, headers: Headers) -> None:
        """What the route makes of a response's headers."""
        if self.route.tells_client_attempts:
            headers.append((b"x-envoy-attempt-count", b"%d" % self.attempts))
        if self._destination is not None:
            for mutate in self._destination.response_ops:
                mutate(self, headers)

    def on_superseded(self) -> None:
        if not self._done:
            self._leave_upstream()
            self._finish()

    def _begin_tunnel(self, status: int) -> None:
        self._give_back(status)
        self.status = status
        self.details = "via_upstream"
        self.responding = True
        self._tunneling = True
        self._forget_body()
        self._deadline_at = NEVER
        self.manager.stats.downstream_cx_upgrades_total.value += 1
        self.manager.stats.downstream_cx_upgrades_active.value += 1

    def _on_tunnel_data(self, data: bytes, end: bool, trailers: Trailers) -> None:
        """A server's first SETTINGS, and what follows, are held back while it is not known whether the client speaks HTTP/2
        to us: then it gets ours. The far end's end is that of an HTTP/2 client's stream; in HTTP/1 the connection is the
        tunnel."""
        if not end:
            if not self.bytes_received and self.method == b"CONNECT" and self.route.looks_into_tunnels:
                before: bytes = self.kept(EARLY) or b""
                if before or (data[3:4] == _SETTINGS and data[5:9] == _NO_STREAM):
                    self.keep(EARLY, before + data)
                    return
            self.downstream.send_body(data, False)
        elif self.protocol != HTTP2:
            if data:
                self.downstream.send_body(data, False)
            self.on_upstream_closed(True)
        else:
            self.response_trailers = trailers
            self._detach()
            self._finish()
            self.downstream.send_body(data, True, trailers)

    def on_upstream_closed(self, orderly: bool) -> None:
        """The tunnel's far end is gone. What CONNECT asked for may end at any time; another protocol has ends of its own."""
        if self._done:
            return
        self._detach()
        if not orderly or self.method != b"CONNECT":
            self.flags |= Flag.UC
            self.details = "upstream_reset_after_response_started{connection_termination}"
        self._finish(cut=True)
