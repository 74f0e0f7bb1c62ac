"""Local replies and their reasons: the last ones are kept, and told in a header to who may know.

`EXPLAIN_REPLIES` in the node's metadata says who: `off` (nobody, if it is not set), `own` (the workload itself, by the
answers to what it sends out), `all`. The reasons name clusters, endpoints and rules: strangers are not told by default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.node import SIDECAR, Node
from sidecar.config.model import Direction
from sidecar.http.exchange import WHY
from sidecar.http.headers import Header

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange
    from sidecar.http.stream_context import StreamContext

HEADER: Final = b"x-mesh-why"
METADATA: Final = "EXPLAIN_REPLIES"
OFF: Final = "off"
OWN: Final = "own"
ALL: Final = "all"
WISHES: Final = (OFF, OWN, ALL)
KEPT: Final = 1000
LEAST_STATUS: Final = 400  # what is well needs no reason
# So many of these come at once that each has to be cheap.
UNEXPLAINED: Final = frozenset(("overload",))

Reason = Callable[["Exchange", "StreamContext"], str]


class LocalReply(NamedTuple):
    """`at` is Unix time, `why` the reason in words."""

    at: float
    request_id: str
    status: int
    details: str
    why: str


class Replies:
    """The last local replies of a process. `reason` finds the words, `wall` tells Unix time."""

    def __init__(self, node: Node, asked: str, reason: Reason, wall: Callable[[], float]) -> None:
        self.recent: deque[LocalReply] = deque(maxlen=KEPT)
        self._asked = asked
        self._to_app = node.kind == SIDECAR
        self._reason = reason
        self._wall = wall

    def of(self, direction: Direction) -> ReplyNotes:
        """For the connection managers of one direction."""
        own = self._asked == OWN and self._to_app and direction is Direction.OUTBOUND
        return ReplyNotes(self, self._asked == ALL or own)

    def note(self, exchange: Exchange, manager: StreamContext, status: int) -> str:
        why = self._reason(exchange, manager)
        exchange.keep(WHY, why)
        request_id = exchange.request_id.decode("latin-1")
        self.recent.append(LocalReply(self._wall(), request_id, status, exchange.details, why))
        return why


class ReplyNotes:
    """What one connection manager does about its local replies."""

    def __init__(self, replies: Replies, tells: bool) -> None:
        self._replies = replies
        self._tells = tells

    def noted(
        self, exchange: Exchange, manager: StreamContext, status: int, headers: Iterable[Header]
    ) -> Iterable[Header]:
        """The headers of a reply that is about to be sent, with its reason where that is told."""
        if status < LEAST_STATUS or exchange.details in UNEXPLAINED:
            return headers
        why = self._replies.note(exchange, manager, status)
        return (*headers, (HEADER, why.encode())) if self._tells else headers
