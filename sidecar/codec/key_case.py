"""How header names are written: lower-case, unless configuration asks for another spelling.

Everything inside knows lower-case names only; a head is spelled anew when it is rendered: as its sender did, if its
`spelling` remembers, else as its receiver is to be written to. A connection, on either side, is of a class of its own where
it has to (`preserve_case_server`, `preserve_case_client`), so that ordinary ones pay nothing. In Envoy:
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/header_casing
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sidecar.codec.h1_parser import RequestParser, ResponseParser
from sidecar.http.head import Spelling

PROPER: Final = "proper_case_words"
PRESERVE: Final = "preserve_case"
# … and what has no spelling of its own (what Envoy adds) in proper case.
PRESERVE_OR_PROPER: Final = "preserve_case or proper_case_words"

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
    """A parser whose heads know how names were spelled, at their first occurrence; `rest` spells what is not among them."""

    __slots__ = ("_rest", "names")

    def __init__(self, rest: Spelling | None = None) -> None:
        self._rest = rest
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.names: dict[bytes, bytes] = {}
        self.spelling = as_sent(self.names, self._rest)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.setdefault(name.lower(), name)
        super().on_header(name, value)


class RememberingResponses(ResponseParser):
    """The same for a response."""

    __slots__ = ("names",)

    def __init__(self, rest: Spelling | None = None) -> None:
        super().__init__()
        self.names: dict[bytes, bytes] = {}
        self.spelling = as_sent(self.names, rest)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.setdefault(name.lower(), name)
        super().on_header(name, value)
