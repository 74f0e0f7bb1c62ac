"""Fields of a header block → the head of a message (RFC 9113 §8).

`request_kind` and `response_kind` judge a field when it enters a connection's tables: whether it may stand in a message at
all, and who will ask for it. A head is then put together without looking at a name again.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.codec.hpack_decoder import Field, static_fields
from sidecar.http.head import HOP_HEADERS, HTTP2, INDEXED_HEADERS, RESPONSE_HOP_HEADERS, RequestHead, ResponseHead
from sidecar.http.headers import Header, Headers
from sidecar.http.streams import UNKNOWN_LENGTH

# Kinds of fields.
PLAIN: Final = 0  # travels on
KNOWN: Final = 1  # travels on, and some station will ask for it
HELD: Final = 2  # does not travel on as it came
LENGTH: Final = 3
COOKIE: Final = 4
HOST: Final = 5
METHOD: Final = 6
SCHEME: Final = 7
AUTHORITY: Final = 8
PATH: Final = 9
PROTOCOL: Final = 10
STATUS: Final = 11
BAD_FIELD: Final = 12
BAD_MESSAGE: Final = 13
_UNSEEN: Final = -1
_FIRST_PSEUDO: Final = METHOD
_LAST_PSEUDO: Final = STATUS

# Envoy's code details.
INVALID_FIELD: Final = "http2.invalid.header.field"
INVALID_MESSAGE: Final = "http2.violation.of.messaging.rule"

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_FORMS: Final = {
    METHOD: re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"),
    PATH: re.compile(rb"[!-~]+"),
    AUTHORITY: re.compile(rb"[-._~%!$&'()*+,;=:\[\]0-9A-Za-z]*"),
    LENGTH: re.compile(rb"[0-9]{1,18}"),
}
_CHECKED: Final = frozenset(_FORMS)
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
    if kind in _CHECKED:
        return _checked(kind, value)
    return kind


def _checked(kind: int, value: bytes) -> int:
    """The kind of a field whose value has a form of its own."""
    if kind == PATH and value and value[:1] != b"/" and value != b"*":
        return BAD_MESSAGE
    return kind if _FORMS[kind].fullmatch(value) is not None else BAD_FIELD


def response_kind(name: bytes, value: bytes) -> int:
    """What a field is in a response."""
    kind = _response_names.get(name, _UNSEEN)
    if kind == _UNSEEN:
        kind = _remember(_response_names, name, _response_name(name))
    if _FORBIDDEN_BYTES.search(value) is not None or (kind == STATUS and not (len(value) == 3 and value.isdigit())):
        return BAD_FIELD
    return _checked(kind, value) if kind == LENGTH else kind


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
    if name == b"host":
        return HOST
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


REQUEST_STATIC: Final = static_fields(request_kind)
RESPONSE_STATIC: Final = static_fields(response_kind)


def request(fields: list[Field], *, extended_connect: bool = False) -> RequestHead:
    """Raises MalformedError."""
    headers: Headers = []
    hop_headers: dict[bytes, bytes] = {}
    indexed_headers: dict[bytes, bytes] = {}
    head = RequestHead(b"", b"", headers, hop_headers, indexed_headers, HTTP2)
    seen = 0  # pseudo-header fields, a bit each
    host = False
    for field in fields:
        kind = field.kind
        if kind == PLAIN:
            headers.append(field.pair)
        elif kind >= _FIRST_PSEUDO:
            late = host or bool(headers) or len(hop_headers) > (seen >> AUTHORITY & 1)
            seen = _pseudo(head, kind, field.pair[1], seen, late=late)
        elif kind == KNOWN:
            _note(indexed_headers, field.pair)
            headers.append(field.pair)
        elif kind == COOKIE:
            _crumble(headers, field.pair)
        elif kind == LENGTH:
            _length(hop_headers, field.pair[1])
        elif kind != HOST:
            _note(hop_headers, field.pair)
        elif host:
            raise MalformedError(INVALID_FIELD)
        else:
            host = True
            if not seen & 1 << AUTHORITY:
                hop_headers[b"host"] = field.pair[1]
    if seen & _USUAL != _USUAL_REQUEST or head.method == b"CONNECT":
        _complete(head, seen, extended_connect)
    return head


def _complete(head: RequestHead, seen: int, extended_connect: bool) -> None:
    """CONNECT asks for an authority alone (§8.5), extended for a protocol, and then has all the rest (RFC 8441 §4)."""
    if seen & 1 << PROTOCOL and (head.method != b"CONNECT" or not extended_connect):
        raise MalformedError(INVALID_FIELD)
    if head.method != b"CONNECT":
        if seen & _REQUIRED != _REQUIRED or b"host" not in head.hop_headers:
            raise MalformedError(INVALID_MESSAGE)
        return
    if not seen & 1 << PROTOCOL:
        if seen != _CONNECTS:
            raise MalformedError(INVALID_MESSAGE)
        head.target = head.hop_headers[b"host"]
        return
    if seen & _REQUIRED != _REQUIRED:
        raise MalformedError(INVALID_MESSAGE)
    # For everybody else it is the upgrade that HTTP/1.1 knows.
    head.method = b"GET"
    head.hop_headers[b"connection"] = b"upgrade"
    head.hop_headers[b"upgrade"] = head.upgrade
    head.upgrade = b""


def length_of(hop_headers: dict[bytes, bytes]) -> int:
    """What a content-length announces, UNKNOWN_LENGTH where there is none."""
    value = hop_headers.get(b"content-length")
    return UNKNOWN_LENGTH if value is None else int(value)


_REQUIRED: Final = 1 << METHOD | 1 << SCHEME | 1 << PATH
_USUAL_REQUEST: Final = _REQUIRED | 1 << AUTHORITY
_USUAL: Final = _USUAL_REQUEST | 1 << PROTOCOL
_CONNECTS: Final = 1 << METHOD | 1 << AUTHORITY


def _pseudo(head: RequestHead, kind: int, value: bytes, seen: int, *, late: bool) -> int:
    if kind >= BAD_FIELD:
        raise MalformedError(INVALID_FIELD if kind == BAD_FIELD else INVALID_MESSAGE)
    bit = 1 << kind
    if late or seen & bit:
        raise MalformedError(INVALID_FIELD)
    if kind == METHOD:
        head.method = value
    elif kind == SCHEME:
        head.scheme = value if value == b"https" else b"http"  # as Envoy has it
    elif kind == PATH:
        head.target = value
    elif kind == AUTHORITY:
        head.hop_headers[b"host"] = value  # where HTTP/1.1 has it; a field of that name says nothing beside it
    elif kind == PROTOCOL:
        head.upgrade = value
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


def _length(hop_headers: dict[bytes, bytes], value: bytes) -> None:
    if b"content-length" in hop_headers:
        raise MalformedError(INVALID_FIELD)
    hop_headers[b"content-length"] = value


def response(fields: list[Field]) -> ResponseHead:
    """Raises MalformedError."""
    headers: Headers = []
    head = ResponseHead(0, headers)
    hop_headers = head.hop_headers
    for field in fields:
        kind = field.kind
        if kind == PLAIN:
            headers.append(field.pair)
        elif kind == HELD:
            _note(hop_headers, field.pair)
        elif kind == LENGTH:
            _length(hop_headers, field.pair[1])
            headers.append(field.pair)  # it travels on, in its place
        elif kind == STATUS and not head.status and not headers and not hop_headers:
            head.status = int(field.pair[1])
        else:
            raise MalformedError(INVALID_FIELD if kind != BAD_MESSAGE else INVALID_MESSAGE)
    if head.status < 100 or head.status == 101:  # §8.6: there is no switching of protocols
        raise MalformedError(INVALID_MESSAGE)
    if (head.status < 200 or head.status == 204) and length_of(hop_headers) > 0:
        raise MalformedError(INVALID_MESSAGE)  # neither has a body (RFC 9110 §8.6)
    return head


def trailers(fields: list[Field]) -> Headers:
    """Raises MalformedError."""
    for field in fields:
        if field.kind >= _FIRST_PSEUDO:
            raise MalformedError(INVALID_FIELD)
        if field.kind == LENGTH:
            raise MalformedError(INVALID_MESSAGE)
    return [field.pair for field in fields]
