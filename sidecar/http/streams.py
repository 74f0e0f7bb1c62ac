"""The seam between the codecs and what carries a request: four interfaces, the same for every version of HTTP.

    client ── Downstream ⇄ RequestHandler (forward) ResponseHandler ⇄ Upstream ── host

A codec offers a `Downstream` for each request and an `Upstream` for each attempt, and tells their handlers what comes;
in HTTP/1 the connection itself is both, with HTTP/2 a small object per stream. How a message is framed and written is the
codec's alone. They are checked by the types, not inherited: nothing is looked up twice at run time.

A body's length is the number of its bytes, or UNKNOWN_LENGTH (any negative number) where only its end will tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from sidecar.config.model import Address
    from sidecar.http.head import RequestHead, ResponseHead
    from sidecar.http.headers import Header

UNKNOWN_LENGTH: Final = -1

# Lower-case names and values, like headers. A codec drops those that its side is not to have.
Trailers = Sequence["Header"]
NO_TRAILERS: Final[Trailers] = ()


class ResetReason(Enum):
    """Why a stream ended before its time, in the words of Envoy's logs and replies (`StreamResetReason`)."""

    LOCAL_RESET = "local reset"  # we want no more of it
    REMOTE_RESET = "remote reset"
    REMOTE_REFUSED = "remote refused stream reset"  # certainly not processed: it may be sent again, whatever the method
    CONNECTION_TERMINATION = "connection termination"
    PROTOCOL_ERROR = "protocol error"

    @property
    def unprocessed(self) -> bool:
        """Whether the peer says that it has done nothing about the request."""
        return self is ResetReason.REMOTE_REFUSED


class Peer(Protocol):
    """Whom a request, or a TCP session, came from and where it arrived."""

    @property
    def remote(self) -> Address:
        """Of the peer's end of the connection."""

    @property
    def local(self) -> Address:
        """Where the peer meant to go: the original destination, where the connection was redirected."""

    @property
    def own(self) -> Address:
        """Of our end, as it is."""

    @property
    def kept(self) -> dict[Any, Any]:
        """What filters note for as long as the connection lives, each under itself."""


class Downstream(Peer, Protocol):
    """One request's way back to its client. The head of the answer comes first, once; what is interim may precede it."""

    @property
    def answer_is_last(self) -> bool:
        """Whether it is known by now that the connection ends with the answer in progress."""

    def respond(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        """Sends the head and what is there of the body; `end` when that is all. The length is of the body that is sent,
        or for HEAD would have been."""

    def interim(self, head: ResponseHead) -> None:
        """Passes on a 1xx."""

    def switch(self, head: ResponseHead, *, may_be_http2: bool = False) -> None:
        """Answers an upgrade or CONNECT: from here on bytes pass as they are, by `send_body` and `on_request_body`. If they
        `may_be_http2` that is looked for, and then the connection goes on with the requests in the tunnel."""

    def send_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        """A further piece of the body."""

    def reset(self, reason: ResetReason) -> None:
        """The answer cannot be completed. What was written goes out."""

    def end_after_this(self) -> None:
        """The answer about to be sent is the connection's last, where connections end with answers (HTTP/1)."""

    def replace(self, handler: RequestHandler) -> None:
        """Another handler goes on with the request."""

    def pause_reading(self) -> None:
        """No more of the request's body for now."""

    def resume_reading(self) -> None: ...


class RequestHandler(Protocol):
    """Who carries one request, as its Downstream sees it: told of the body, of flow control, and of the client's leaving."""

    def start(self) -> None:
        """The head is there, and this is its Downstream's handler by now."""

    def refuse(self, status: int, body: bytes, details: str, flags: int) -> None:
        """In the place of `start`, for what is not a request: answers it."""

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        """A piece of the body, without its coding; on a tunnel, whatever came."""

    def on_bad_body(self, detail: str) -> None:
        """The body is not framed as it must be; `detail` is Envoy's code detail."""

    def on_client_gone(self, detail: str = "downstream_remote_disconnect") -> None:
        """The stream is over, by the client or (`detail` says so) by us: nothing can be sent any more."""

    def on_violation(self, detail: str) -> None:
        """The stream is over, for what the client sent is no message; `detail` is Envoy's code detail."""

    def on_client_reset(self, detail: str) -> None:
        """The client has reset the stream, or (`detail` says so) made us do it."""

    def on_superseded(self) -> None:
        """What its tunnel carries are requests, which are carried one by one in its place."""

    def on_client_blocked(self) -> None:
        """The client does not take what is sent."""

    def on_client_ready(self) -> None: ...


class Upstream(Protocol):
    """One attempt's way to a host, handed out by a pool. `send` comes first, or `tunnel` for CONNECT."""

    @property
    def local(self) -> str:
        """Our address on the connection."""

    @property
    def stale(self) -> bool:
        """Whether the connection carried requests before, and nothing has come back for this one."""

    @property
    def blocked(self) -> bool:
        """Whether the host does not take what is written."""

    def send(
        self,
        handler: ResponseHandler,
        head: RequestHead,
        length: int,
        body: bytes,
        end: bool,
        trailers: Trailers = NO_TRAILERS,
    ) -> None:
        """Begins the request: its head and what is there of its body; `end` when nothing follows."""

    def write(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        """A further piece of the body."""

    def tunnel(self, handler: ResponseHandler) -> None:
        """From here on bytes pass as they are, by `write` and `on_response_body`."""

    def reset(self, reason: ResetReason = ResetReason.LOCAL_RESET) -> None:
        """Gives up the attempt; its handler hears no more of it."""

    def pause_reading(self) -> None:
        """No more of the response for now."""

    def resume_reading(self) -> None: ...


class ResponseHandler(Protocol):
    """Who makes one attempt, as its Upstream sees it."""

    def on_interim(self, head: ResponseHead) -> None:
        """A response that only precedes the real one."""

    def on_switching(self, head: ResponseHead) -> None:
        """The host agreed to the upgrade that it was asked for."""

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        """The response's head, and what came with it of its body; `end` when that is all, and the Upstream is given back."""

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        """A further piece of the body; on a tunnel, whatever came."""

    def on_upstream_reset(self, reason: ResetReason, upstream: Upstream) -> None:
        """The stream is over without a (whole) response."""

    def on_upstream_closed(self, orderly: bool) -> None:
        """The tunnel's far end is gone; it said so if it was `orderly`."""

    def on_upstream_blocked(self) -> None:
        """The host does not take what is written."""

    def on_upstream_ready(self) -> None: ...
