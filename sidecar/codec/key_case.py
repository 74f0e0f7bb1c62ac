"""How header names are written: lower-case, unless configuration asks for another spelling.

Everything inside knows lower-case names only; a head is spelled anew when it is rendered. A connection, on either side, is
of a class of its own where it has to (`spelling_server`, `spelling_client`), so that ordinary ones pay nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sidecar.codec.heads import RequestParser, ResponseParser

PROPER: Final = "proper_case_words"
PRESERVE: Final = "preserve_case"
# … and what has no spelling of its own (what Envoy adds) in proper case.
PRESERVE_OR_PROPER: Final = "preserve_case or proper_case_words"

Spelling = Callable[[bytes], bytes]

_WORD: Final = re.compile(rb"(?:^|[^A-Za-z0-9])[a-z]")


def proper_case(name: bytes) -> bytes:
    """`x-request-id` → `X-Request-Id`: what follows anything but a letter or digit."""
    return _WORD.sub(lambda match: match[0].upper(), name)


def as_sent(names: Mapping[bytes, bytes], rest: Spelling | None) -> Spelling:
    """As the sender spelled them."""
    return lambda name: names.get(name) or (rest(name) if rest is not None else name)


def spell(head: bytes, spelling: Spelling) -> bytes:
    """A rendered head (and what follows it) with its names spelled anew."""
    head, end, body = head.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    spelled = [first]
    for line in lines:
        name, colon, value = line.partition(b":")
        spelled.append(spelling(name) + colon + value)
    return b"\r\n".join(spelled) + end + body


class RememberingRequests(RequestParser):
    """A parser that keeps how names were spelled, at their first occurrence, in `names`, until the next head."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[bytes, bytes] = {}

    def reset(self) -> None:
        super().reset()
        self.names = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.setdefault(name.lower(), name)
        super().on_header(name, value)


class RememberingResponses(ResponseParser):
    """The same for a response."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[bytes, bytes] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.setdefault(name.lower(), name)
        super().on_header(name, value)
