"""Upstream connections whose heads are spelled as configuration asks, not in lower case (see `key_case`)."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.codec.h1_client import ClientConnection
from sidecar.codec.h1_parser import ResponseParser
from sidecar.codec.key_case import PRESERVE_OR_PROPER, PROPER, RememberingResponses, proper_case
from sidecar.http.head import Spelling


class ProperClient(ClientConnection):
    """Requests in proper case, unless the client's own spelling was kept."""

    def _speller(self) -> Spelling | None:
        return proper_case


class RememberingClient(ClientConnection):
    """Keeps the spelling of responses for their way downstream."""

    def _head_maker(self) -> Callable[[], ResponseParser] | None:
        return RememberingResponses


class RememberingOrProperClient(ClientConnection):
    """The same, with proper case for the rest."""

    def _head_maker(self) -> Callable[[], ResponseParser] | None:
        return lambda: RememberingResponses(proper_case)


def client_class(spelling: str) -> type[ClientConnection]:
    """The class of a cluster's upstream connections."""
    if spelling == PROPER:
        return ProperClient
    if spelling == PRESERVE_OR_PROPER:
        return RememberingOrProperClient
    return RememberingClient if spelling else ClientConnection
