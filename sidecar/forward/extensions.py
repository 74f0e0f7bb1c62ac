"""What few requests ask for: mirrors, hedging, redirects that are followed, bounds of time, bodies that filters change.

A request learns on which route it is when it is under way already. From then on it has its extensions in one slot; all
others have None there, and pay for nothing but the look at it.
"""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.forward.bodies import BodyFilters
from sidecar.forward.durations import Lifetime, on_attempt_too_long
from sidecar.forward.hedging import Hedging
from sidecar.forward.mirror import Mirrors
from sidecar.forward.redirects import Redirects
from sidecar.router.extras import NO_EXTRAS
from sidecar.router.retry import number

if TYPE_CHECKING:
    from sidecar.filters import Encode, Reply
    from sidecar.forward.attempt import Attempt
    from sidecar.forward.stream import Stream
    from sidecar.http.head import ResponseHead
    from sidecar.http.streams import Trailers

_HEDGE: Final = b"x-envoy-hedge-on-per-try-timeout"
_DURATION: Final = b"x-envoy-upstream-stream-duration-ms"
# Wishes of clients for some of it.
WISHES: Final = frozenset((_HEDGE, _DURATION))


class Extensions:
    """Of one request, which asks them where its ways may part; each is None where it has nothing to do."""

    __slots__ = ("bodies", "hedging", "lifetime", "mirrors", "redirects", "request")

    def __init__(self, request: Stream) -> None:
        self.request = request
        self.bodies: BodyFilters | None = None
        self.hedging: Hedging | None = None
        self.lifetime: Lifetime | None = None
        self.mirrors: Mirrors | None = None
        self.redirects: Redirects | None = None

    def forward(self) -> None:
        """What the route and the client want of an upstream request."""
        request = self.request
        extras = request.route.extras or NO_EXTRAS
        if extras.mirrors:
            self.mirrors = Mirrors(request, extras.mirrors)
        if extras.redirects is not None:
            self.redirects = Redirects(request, extras.redirects)
        wish = request.indexed_headers.get(_HEDGE, b"")
        if wish == b"true" if wish in (b"true", b"false") else extras.hedges:
            self.hedging = Hedging(request)
        if not request.manager.config.max_stream_duration:  # else it is bound already
            self.lifetime = Lifetime.of(request)

    def encode(self, decision: Encode) -> Reply | None:
        """A filter changes bodies, or may; an answer where it cannot."""
        if self.bodies is None:
            self.bodies = BodyFilters(self.request)
        return None if decision.request is None else self.bodies.change_request(decision.request)

    def limit_time(self, attempt: Attempt) -> None:
        """An attempt begins that may only last so long."""
        wish = number(self.request.indexed_headers.get(_DURATION))
        seconds = attempt.cluster.config.max_stream_duration if wish is None else wish / 1000
        if seconds:
            attempt.time_limit = self.request.manager.loop.call_later(seconds, on_attempt_too_long, self.request)

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers) -> tuple[bytes, Trailers] | None:
        """What goes on of it; None when nobody waits for it any more."""
        if self.bodies is not None:
            changed = self.bodies.on_request_body(data, end, trailers)
            if changed is None:
                return None
            data, trailers = changed
        if self.mirrors is not None:
            self.mirrors.on_request_body(data, end, trailers)
        return data, trailers

    def on_response(
        self, attempt: Attempt, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers
    ) -> bool:
        """Whether they have dealt with it."""
        hedging = self.hedging
        if hedging is not None and attempt is not self.request.attempt:
            hedging.on_late_response(attempt, head, length, body, end, trailers)
            return True
        if self.redirects is not None and self.redirects.follows(attempt, head, end):
            return True
        return hedging is not None and hedging.goes_on_after(attempt, head, end)

    @property
    def needs_body(self) -> bool:
        """Whether the request's body may have to be sent once more, whatever becomes of retries."""
        return self.redirects is not None and self.redirects.needs_body

    def on_finish(self) -> None:
        """The request is over, and answered as far as it will be."""
        if self.bodies is not None:
            self.bodies.cancel()
        if self.mirrors is not None and not self.request.request_complete:
            self.mirrors.cancel()
        if self.hedging is not None:
            self.hedging.drop_all()
        if self.lifetime is not None:
            self.lifetime.cancel()
