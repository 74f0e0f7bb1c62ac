"""Upgrades and CONNECT: after an HTTP beginning, bytes pass as they are."""

from __future__ import annotations

from time import monotonic

from sidecar.codec.h1_client import ClientConnection
from sidecar.codec.heads import ResponseParser
from sidecar.forward.response import Responses
from sidecar.forward.state import NEVER
from sidecar.http.exchange import Flag
from sidecar.http.headers import Headers


class Tunnels(Responses):
    """The phase that some requests have instead of a response."""

    __slots__ = ()

    def on_switching(self, head: ResponseParser) -> None:
        """The upstream agreed to the upgrade."""
        connection = self.connection
        if connection is None:
            return
        self._begin_tunnel(101)
        headers, hop_headers = head.headers, head.hop_headers
        self._filter_response(headers)
        headers.append((b"date", hop_headers.get(b"date") or self.manager.date()))
        self._server(headers, hop_headers.get(b"server"))
        if self._upgrade:
            headers.append((b"connection", hop_headers.get(b"connection", b"upgrade")))
            headers.append((b"upgrade", hop_headers.get(b"upgrade", self._upgrade)))
        self.response_headers = headers
        self.cluster.stats.complete(101, (monotonic() - self.upstream_started) * 1000)
        self.downstream.switch(self.downstream.render(101, headers))
        connection.tunnel(self)

    def on_dedicated(self, connection: ClientConnection) -> None:
        """CONNECT: the connection itself is the answer."""
        self._in_flight(connection)
        self._begin_tunnel(200)
        headers: Headers = []
        self._filter_response(headers)
        headers.append((b"date", self.manager.date()))
        self._server(headers, None)
        self.response_headers = headers
        connection.tunnel(self)
        self.downstream.switch(self.downstream.render(200, headers))

    def _begin_tunnel(self, status: int) -> None:
        if self._permit is not None:
            self._give_back(status)
        self.status = status
        self.details = "via_upstream"
        self.responding = True
        self._tunneling = True
        self._forget_body()
        self._deadline_at = NEVER
        self.manager.stats.downstream_cx_upgrades_total.value += 1
        self.manager.stats.downstream_cx_upgrades_active.value += 1

    def on_upstream_closed(self) -> None:
        """The tunnel's far end is gone."""
        if self._done:
            return
        self._detach()
        self.flags |= Flag.UC
        self.details = "upstream_reset_after_response_started{connection_termination}"
        self._finish(cut=True)
