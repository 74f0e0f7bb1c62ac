"""Downstream connections whose heads are spelled as configuration asks, not in lower case (see `key_case`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.codec.h1_server import ServerConnection
from sidecar.codec.heads import RequestParser
from sidecar.codec.key_case import PROPER, RememberingRequests, proper_case, spell
from sidecar.codec.render import response_head
from sidecar.config.model import Address
from sidecar.http.headers import Headers

if TYPE_CHECKING:
    from sidecar.http.connection_manager import ConnectionManager


def proper_response_head(status: int, headers: Headers) -> bytes:
    return spell(response_head(status, headers), proper_case)


class ProperServer(ServerConnection):
    """Responses in proper case."""

    def __init__(self, manager: ConnectionManager, destination: Address | None = None) -> None:
        super().__init__(manager, destination)
        self.head_of = self.usual_head_of = proper_response_head


class RememberingServer(ServerConnection):
    """Keeps the spelling of requests for their way upstream."""

    def __init__(self, manager: ConnectionManager, destination: Address | None = None) -> None:
        super().__init__(manager, destination)
        self.remembers = True

    def _new_parser(self) -> RequestParser:
        return RememberingRequests()

    @property
    def names(self) -> dict[bytes, bytes]:
        parser = self._parser
        assert isinstance(parser, RememberingRequests)  # noqa: S101  # made here
        return parser.names


def server_type(spelling: str) -> type[ServerConnection]:
    """The class of a connection manager's downstream connections."""
    if spelling == PROPER:
        return ProperServer
    return RememberingServer if spelling else ServerConnection
