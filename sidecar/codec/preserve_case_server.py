"""Downstream connections whose heads are spelled as configuration asks, not in lower case (see `key_case`)."""

from __future__ import annotations

from sidecar.codec.h1_parser import RequestParser
from sidecar.codec.h1_server import ServerConnection
from sidecar.codec.key_case import PRESERVE_OR_PROPER, PROPER, RememberingRequests, proper_case
from sidecar.http.head import Spelling


class ProperServer(ServerConnection):
    """Responses in proper case, unless the host's own spelling was kept."""

    def _speller(self) -> Spelling | None:
        return proper_case


class RememberingServer(ServerConnection):
    """Keeps the spelling of requests for their way upstream."""

    def _new_parser(self) -> RequestParser:
        return RememberingRequests()


class RememberingOrProperServer(ServerConnection):
    """The same, with proper case for the rest."""

    def _new_parser(self) -> RequestParser:
        return RememberingRequests(proper_case)


def server_class(spelling: str) -> type[ServerConnection]:
    """The class of a connection manager's downstream connections."""
    if spelling == PROPER:
        return ProperServer
    if spelling == PRESERVE_OR_PROPER:
        return RememberingOrProperServer
    return RememberingServer if spelling else ServerConnection
