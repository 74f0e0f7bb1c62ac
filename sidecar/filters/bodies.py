"""A body on its way through the filters: what a filter makes of it, piece by piece, and all of them in a row.

Pure: bytes in, bytes out; what is held back for a while says for how long, and the forwarder has the timer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange
    from sidecar.http.headers import Headers


class BodyChange:
    """What one filter makes of one body. `held` counts the bytes that only wait for their time: some of them
    are to be released every `interval` seconds; only bodies of responses are held back."""

    __slots__ = ()

    interval = 0.0
    holds_head = False  # the response's head waits for the end of its body, which only changes it

    @property
    def held(self) -> int:
        return 0

    def feed(self, data: bytes, end: bool) -> bytes:
        """Takes a piece of the body, the last one when `end` says so; what of it goes on at once."""
        raise NotImplementedError

    def release(self) -> bytes:
        """The next of what was held back."""
        return b""

    def take_trailers(self, trailers: Headers) -> None:
        """The trailers that came behind a response's body, before its last piece is fed: some may be taken out."""

    def trailers(self) -> Headers:
        """Fields for the end of the body, asked for when it has ended."""
        return []


# Asked with the response's head, which it may change; `present` is False where there is no body. A change of the body
# that is not one of time only drops content-length.
BodyStep = Callable[["Exchange", "Headers", bool], BodyChange | None]


def request_has_body(exchange: Exchange) -> bool:
    """Whether one is announced."""
    hop_headers = exchange.hop_headers
    return b"transfer-encoding" in hop_headers or hop_headers.get(b"content-length", b"0") != b"0"


class ResponseBody:
    """Under this class an exchange keeps who changes the body of the response that is being sent."""

    __slots__ = ("changes", "present")

    def __init__(self, present: bool) -> None:
        self.present = present
        self.changes: list[BodyChange] = []


def as_response_step(step: BodyStep) -> Callable[[Exchange, Headers], None]:
    """The step as one on the headers, in its place among the others. Where nobody changes bodies it is not asked."""

    def respond(exchange: Exchange, headers: Headers) -> None:
        body: ResponseBody | None = exchange.kept(ResponseBody)
        if body is not None and (change := step(exchange, headers, body.present)) is not None:
            body.changes.append(change)

    return respond


_AT_END: Final = "at the end"


def at_end(exchange: Exchange, act: Callable[[], None]) -> None:
    """`act` is called when the request is over, whatever has become of it; for filters with body steps."""
    acts = exchange.kept(_AT_END)
    if acts is None:
        exchange.keep(_AT_END, [act])
    else:
        acts.append(act)


def ended(exchange: Exchange) -> None:
    """The request is over."""
    for act in exchange.kept(_AT_END) or ():
        act()


class BodyChanges:
    """All changes of one body, each fed by the one before it."""

    __slots__ = ("_changes", "_fed")

    def __init__(self, changes: Sequence[BodyChange]) -> None:
        self._changes = changes
        self._fed = [False] * len(changes)  # up to the end

    @property
    def held(self) -> int:
        """How many bytes wait for their time."""
        return sum(change.held for change in self._changes)

    @property
    def interval(self) -> float:
        """After how many seconds the next of them are to be released."""
        return min(change.interval for change in self._changes if change.held)

    @property
    def hold_head(self) -> bool:
        """Whether one of them waits with the head for the body's end."""
        return any(change.holds_head for change in self._changes)

    def take_trailers(self, trailers: Headers) -> None:
        """Those that came from the host; what is left in them is the client's."""
        for change in self._changes:
            change.take_trailers(trailers)

    def feed(self, data: bytes, end: bool) -> tuple[bytes, bool]:
        """What goes to the client at once, and whether that is the last of it."""
        return self._pass(0, data, end)

    def _pass(self, at: int, data: bytes, end: bool) -> tuple[bytes, bool]:
        for index in range(at, len(self._changes)):
            if not data and not end:
                break
            self._fed[index] = end
            change = self._changes[index]
            data = change.feed(data, end)
            end = end and not change.held
        return data, end

    def release(self) -> tuple[bytes, bool]:
        """The same for what was held back."""
        pieces: list[bytes] = []
        over = False
        for index, change in enumerate(self._changes):
            if change.held:
                data = change.release()
                data, over = self._pass(index + 1, data, self._fed[index] and not change.held)
                pieces.append(data)
        return b"".join(pieces), over

    def trailers(self) -> Headers:
        return [field for change in self._changes for field in change.trailers()]
