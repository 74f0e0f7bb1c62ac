"""Fields of a header block → the head of a message (RFC 9113 §8).

`request_kind` and `response_kind` judge a field when it enters a connection's tables: whether it may stand in a message at
all, and who will ask for it. A head is then put together without looking at a name again.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.codec.hpack_decoder import Field, static_fields
from sidecar.http.head import HOP_HEADERS, INDEXED_HEADERS, RESPONSE_HOP_HEADERS
from sidecar.http.headers import Header, Headers

# Kinds of fields.
PLAIN: Final = 0  # travels on
KNOWN: Final = 1  # travels on, and some station will ask for it
HELD: Final = 2  # does not travel on as it came
LENGTH: Final = 3
COOKIE: Final = 4
METHOD: Final = 5
SCHEME: Final = 6
AUTHORITY: Final = 7
PATH: Final = 8
PROTOCOL: Final = 9
STATUS: Final = 10
BAD_FIELD: Final = 11
BAD_MESSAGE: Final = 12
_UNSEEN: Final = -1
_FIRST_PSEUDO: Final = METHOD
_LAST_PSEUDO: Final = STATUS

# Envoy's code details.
INVALID_FIELD: Final = "http2.invalid.header.field"
INVALID_MESSAGE: Final = "http2.violation.of.messaging.rule"

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_FORBIDDEN_BYTES: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# What names say, kept: names recur even where values do not.
_request_names: dict[bytes, int] = {}
_response_names: dict[bytes, int] = {}
_MOST_NAMES: Final = 1024

# What belongs to a connection of HTTP/1 has no place here (§8.2.2).
_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_REQUEST_PSEUDO: Final = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":protocol": PROTOCOL,
}


class MalformedError(Exception):
    """A message that is none (§8.1.1); the message is Envoy's code detail."""


def request_kind(name: bytes, value: bytes) -> int:
    """What a field is in a request."""
    kind = _request_names.get(name, _UNSEEN)
    if kind == _UNSEEN:
        kind = _remember(_request_names, name, _request_name(name))
    if _FORBIDDEN_BYTES.search(value) is not None or (name == b"te" and value != b"trailers"):
        return BAD_FIELD
    return kind if kind != LENGTH or _is_length(value) else BAD_MESSAGE


def response_kind(name: bytes, value: bytes) -> int:
    """What a field is in a response."""
    kind = _response_names.get(name, _UNSEEN)
    if kind == _UNSEEN:
        kind = _remember(_response_names, name, _response_name(name))
    if _FORBIDDEN_BYTES.search(value) is not None or (kind == STATUS and not (len(value) == 3 and value.isdigit())):
        return BAD_FIELD
    return kind if kind != LENGTH or _is_length(value) else BAD_MESSAGE


def _remember(names: dict[bytes, int], name: bytes, kind: int) -> int:
    if len(names) >= _MOST_NAMES:
        names.clear()
    names[name] = kind
    return kind


def _request_name(name: bytes) -> int:
    if name[:1] == b":":
        return _REQUEST_PSEUDO.get(name, BAD_FIELD)
    if name == b"cookie":
        return COOKIE
    return _name(name) or (HELD if name in HOP_HEADERS else KNOWN if name in INDEXED_HEADERS else PLAIN)


def _response_name(name: bytes) -> int:
    if name[:1] == b":":
        return STATUS if name == b":status" else BAD_FIELD
    return _name(name) or (HELD if name in RESPONSE_HOP_HEADERS else PLAIN)


def _name(name: bytes) -> int:
    """What is the same in both, PLAIN when there is more to ask."""
    if _NAME.fullmatch(name) is None or name in _CONNECTION_FIELDS:
        return BAD_FIELD
    return LENGTH if name == b"content-length" else PLAIN


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= 18


REQUEST_STATIC: Final = static_fields(request_kind)
RESPONSE_STATIC: Final = static_fields(response_kind)


class RequestFields:
    """A request's head as a block tells it. `length` is that of its content-length, -1 without one."""

    __slots__ = (
        "authority",
        "headers",
        "hop_headers",
        "indexed_headers",
        "length",
        "method",
        "path",
        "protocol",
        "scheme",
    )

    def __init__(self) -> None:
        self.headers: Headers = []
        self.hop_headers: dict[bytes, bytes] = {}
        self.indexed_headers: dict[bytes, bytes] = {}
        self.method = b""
        self.scheme = b""
        self.authority = b""
        self.path = b""
        self.protocol = b""
        self.length = -1


def request(fields: list[Field]) -> RequestFields:
    """Raises MalformedError."""
    head = RequestFields()
    headers, hop_headers, indexed_headers = head.headers, head.hop_headers, head.indexed_headers
    seen = 0  # pseudo-header fields, a bit each
    for field in fields:
        kind = field.kind
        if kind == PLAIN:
            headers.append(field.pair)
        elif kind >= _FIRST_PSEUDO:
            seen = _pseudo(head, kind, field.pair[1], seen, late=bool(headers or hop_headers))
        elif kind == KNOWN:
            _note(indexed_headers, field.pair)
            headers.append(field.pair)
        elif kind == COOKIE:
            _crumble(headers, field.pair)
        else:
            if kind == LENGTH:
                head.length = _length(head.length, field.pair[1])
            _note(hop_headers, field.pair)
    if seen & _REQUIRED != _REQUIRED and (head.method != b"CONNECT" or head.protocol):
        raise MalformedError(INVALID_MESSAGE)
    return head


_REQUIRED: Final = 1 << METHOD | 1 << SCHEME | 1 << PATH


def _pseudo(head: RequestFields, kind: int, value: bytes, seen: int, *, late: bool) -> int:
    if kind >= BAD_FIELD:
        raise MalformedError(INVALID_FIELD if kind == BAD_FIELD else INVALID_MESSAGE)
    bit = 1 << kind
    if late or seen & bit:
        raise MalformedError(INVALID_FIELD)
    if kind == METHOD:
        head.method = value
    elif kind == PATH:
        head.path = value
    elif kind == AUTHORITY:
        head.authority = value
    elif kind == SCHEME:
        head.scheme = value
    else:
        head.protocol = value
    return seen | bit


def _note(found: dict[bytes, bytes], pair: Header) -> None:
    name, value = pair
    if name in found:
        value = found[name] + b"," + value  # repeated fields read as one (RFC 9110 §5.3)
    found[name] = value


def _crumble(headers: Headers, pair: Header) -> None:
    """Crumbs of a cookie are one field for everybody else (§8.2.3)."""
    for index, (name, value) in enumerate(headers):
        if name == b"cookie":
            headers[index] = (name, value + b"; " + pair[1])
            return
    headers.append(pair)


def _length(before: int, value: bytes) -> int:
    length = int(value)
    if before not in (-1, length):
        raise MalformedError(INVALID_MESSAGE)
    return length


class ResponseFields:
    """A response's head as a block tells it."""

    __slots__ = ("headers", "hop_headers", "length", "status")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.hop_headers: dict[bytes, bytes] = {}
        self.status = 0
        self.length = -1


def response(fields: list[Field]) -> ResponseFields:
    """Raises MalformedError."""
    head = ResponseFields()
    headers, hop_headers = head.headers, head.hop_headers
    for field in fields:
        kind = field.kind
        if kind == PLAIN:
            headers.append(field.pair)
        elif kind == HELD:
            _note(hop_headers, field.pair)
        elif kind == LENGTH:
            head.length = _length(head.length, field.pair[1])
            hop_headers[b"content-length"] = field.pair[1]
            headers.append(field.pair)
        elif kind == STATUS and not head.status and not headers and not hop_headers:
            head.status = int(field.pair[1])
        else:
            raise MalformedError(INVALID_FIELD if kind != BAD_MESSAGE else INVALID_MESSAGE)
    if head.status < 100 or head.status == 101:  # §8.6: there is no switching of protocols
        raise MalformedError(INVALID_MESSAGE)
    return head


def trailers(fields: list[Field]) -> Headers:
    """Raises MalformedError."""
    for field in fields:
        if field.kind >= _FIRST_PSEUDO:
            raise MalformedError(INVALID_FIELD)
    return [field.pair for field in fields]
