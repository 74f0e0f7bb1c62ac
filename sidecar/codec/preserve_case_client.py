"""Upstream connections whose heads are spelled as configuration asks, not in lower case (see `key_case`)."""

from __future__ import annotations

from typing import Any

from sidecar.codec.h1_client import ClientConnection
from sidecar.codec.heads import ResponseParser
from sidecar.codec.key_case import (
    PRESERVE_OR_PROPER,
    PROPER,
    RememberingResponses,
    Spelling,
    as_sent,
    proper_case,
    spell,
)
from sidecar.codec.render import response_head
from sidecar.http.headers import Headers


class ProperClient(ClientConnection):
    """Requests in proper case, unless the client's own spelling was kept."""

    def send(self, stream: Any, data: bytes, complete: bool) -> None:
        spelled = getattr(stream.downstream, "remembers", False)  # a mirror's has no spelling
        super().send(stream, data if spelled else spell(data, proper_case), complete)


class RememberingClient(ClientConnection):
    """Keeps the spelling of responses for their way downstream; what is not among them is spelled by `_rest`."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.plain_heads = False

    def _rest(self) -> Spelling | None:
        return None

    def _new_head(self) -> ResponseParser:
        made = RememberingResponses()
        downstream, before = self.stream.downstream, self.stream.downstream.usual_head_of
        spelling = as_sent(made.names, self._rest())

        def head_of(status: int, headers: Headers) -> bytes:
            downstream.head_of = before  # this response only
            return spell(response_head(status, headers), spelling)

        downstream.head_of = head_of
        return made


class RememberingOrProperClient(RememberingClient):
    """The same, with proper case for the rest."""

    def _rest(self) -> Spelling | None:
        return proper_case


def client_type(spelling: str) -> type[ClientConnection]:
    """The class of a cluster's upstream connections."""
    if spelling == PROPER:
        return ProperClient
    if spelling == PRESERVE_OR_PROPER:
        return RememberingOrProperClient
    return RememberingClient if spelling else ClientConnection
