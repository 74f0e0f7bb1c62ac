"""Upstream connections whose heads are spelled as configuration asks, not in lower case (see `key_case`)."""

from __future__ import annotations

from sidecar.codec.h1_client import ClientConnection
from sidecar.codec.h1_parser import ResponseParser
from sidecar.codec.key_case import PRESERVE_OR_PROPER, PROPER, RememberingResponses, proper_case, spell
from sidecar.http.head import RequestHead


class ProperClient(ClientConnection):
    """Requests in proper case, unless the client's own spelling was kept."""

    def _render(self, head: RequestHead, framing: bytes) -> bytes:
        data = super()._render(head, framing)
        return data if head.spelling is not None else spell(data, proper_case)


class RememberingClient(ClientConnection):
    """Keeps the spelling of responses for their way downstream."""

    def _new_head(self) -> ResponseParser:
        return RememberingResponses()


class RememberingOrProperClient(ClientConnection):
    """The same, with proper case for the rest."""

    def _new_head(self) -> ResponseParser:
        return RememberingResponses(proper_case)


def client_class(spelling: str) -> type[ClientConnection]:
    """The class of a cluster's upstream connections."""
    if spelling == PROPER:
        return ProperClient
    if spelling == PRESERVE_OR_PROPER:
        return RememberingOrProperClient
    return RememberingClient if spelling else ClientConnection
