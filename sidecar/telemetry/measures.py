"""Commands of an access log that tell what was measured: durations, sizes of heads, gRPC's status.

Some durations need moments that a request does not note unless a log asks for them: `forward.observed` does, where
`METERED` commands are used.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from sidecar.http.exchange import LOCAL_REPLY_BODY
from sidecar.http.headers import Headers, get
from sidecar.http.local_reply import grpc_status_of, is_grpc
from sidecar.telemetry.expression import BYTES, NUMBER, PLAIN, TEXT, Expression, Scope, refuse

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

# ── durations ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# Envoy's words for the moments of a request, and where they are noted.
_POINTS: Final = {
    "DS_RX_BEG": "started",
    "DS_RX_END": "received_all",
    "US_TX_BEG": "sent_first",
    "US_TX_END": "sent_all",
    "US_RX_BEG": "answered_first",
    "US_RX_END": "answered_all",
    "DS_TX_BEG": "replied_first",
    "DS_TX_END": "replied_all",
}
_PRECISIONS: Final = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def between(exchange: Exchange, first: str, last: str, units: int) -> int | None:
    """How long it took from one moment to another; None when either was not reached."""
    begin, end = getattr(exchange, first, 0.0), getattr(exchange, last, 0.0)
    return int((end - begin) * units) if begin and end else None


def _duration(first: str, last: str, units: int = 1_000) -> Expression:
    return Expression(f"between(x, {_POINTS[first]!r}, {_POINTS[last]!r}, {units})", NUMBER, True)


def common_duration(_scope: Scope, argument: str, length: int | None) -> Expression:
    """`COMMON_DURATION(first:last:precision)`."""
    first, _, rest = argument.partition(":")
    last, _, precision = rest.partition(":")
    if first not in _POINTS or last not in _POINTS or precision not in _PRECISIONS or length is not None:
        points, units = ", ".join(_POINTS), ", ".join(_PRECISIONS)
        raise refuse(f"COMMON_DURATION({argument}): expected two of {points}, and one of {units}")
    return _duration(first, last, _PRECISIONS[precision])


# ── heads ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _size(headers: Headers) -> int:
    """Names and values, without what the codec adds to them."""
    return sum(len(name) + len(value) for name, value in headers if name != b"transfer-encoding")


_CLOSE: Final = (b"connection", b"close")
_NO_BODY: Final = (b"content-length", b"0")


# Codecs take these out of a request's headers and write them again.
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


def request_headers_bytes(exchange: Exchange) -> int:
    if not exchange.method:
        return 0
    pseudo = len(b":method:scheme:path:authority") + len(exchange.method) + len(exchange.scheme)
    framing = [(name, value) for name, value in exchange.hop_headers.items() if name in _FRAMING]
    return pseudo + len(exchange.path) + len(exchange.authority) + _size(exchange.headers) + _size(framing)


def response_headers_bytes(exchange: Exchange) -> int:
    if not exchange.status:
        return 0
    headers = exchange.response_headers
    size = len(b":status") + 3 + _size(headers)
    if _CLOSE not in headers and getattr(exchange.downstream, "answer_is_last", False):
        size += _size([_CLOSE])  # about to be written
    if _NO_BODY in headers and exchange.details != "via_upstream":  # in our replies it is the codec that says so
        size -= _size([_NO_BODY])
    return size


def trailer(_scope: Scope, argument: str, length: int | None) -> Expression:
    """`TRAILER(name):length` of the response."""
    source = f"get(x.response_trailers, {argument.lower().encode()!r})"
    if length is not None:
        source = f"v[:{length}] if (v := {source}) is not None else None"
    return Expression(source, BYTES, True)


# ── gRPC ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_GRPC_NAMES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_CAMEL: Final = ("OK", "Canceled", *("".join(map(str.title, name.split("_"))) for name in _GRPC_NAMES[2:]))
_INVALID: Final = -1


def grpc_status(exchange: Exchange) -> int:
    """The response's gRPC status: its own word, or what its HTTP status amounts to."""
    told = get(exchange.response_trailers, b"grpc-status")
    if told is None:
        told = get(exchange.response_headers, b"grpc-status")
    if told is not None:
        return int(told) if told.isdigit() else _INVALID
    return grpc_status_of(exchange.status)


def grpc_status_number(exchange: Exchange) -> int | None:
    """The same, None for a request that is not gRPC's."""
    called = exchange.grpc is not None or is_grpc(exchange.indexed_headers.get(b"content-type"))
    return grpc_status(exchange) if called else None


def grpc_status_name(exchange: Exchange, names: tuple[str, ...]) -> str | None:
    number = grpc_status_number(exchange)
    if number is None:
        return None
    return names[number] if 0 <= number < len(names) else str(number)


def grpc_status_command(name: str, argument: str | None) -> Expression:
    """`GRPC_STATUS(CAMEL_STRING|SNAKE_STRING|NUMBER)` and `GRPC_STATUS_NUMBER`."""
    if name == "GRPC_STATUS_NUMBER" or argument == "NUMBER":
        return Expression("grpc_status_number(x)", NUMBER, True)
    if argument not in (None, "CAMEL_STRING", "SNAKE_STRING"):
        raise refuse(f"GRPC_STATUS({argument}): expected CAMEL_STRING, SNAKE_STRING or NUMBER")
    names = "snake_names" if argument == "SNAKE_STRING" else "camel_names"
    return Expression(f"grpc_status_name(x, {names})", PLAIN, True)


# ── what the commands are made of ─────────────────────────────────────────────────────────────────────────────────────


def _identity(connection: Any) -> int:
    """A number of its own for each connection that a log speaks of, given at first sight."""
    kept: dict[Any, Any] = connection.kept
    number: int | None = kept.get(_identity)
    if number is None:
        number = kept[_identity] = next(_numbers)
    return number


_numbers = iter(range(1, 2**63))

NAMES: Final[dict[str, Any]] = {
    "between": between,
    "camel_names": _CAMEL,
    "get": get,
    "grpc_status_name": grpc_status_name,
    "grpc_status_number": grpc_status_number,
    "identity": _identity,
    "request_headers_bytes": request_headers_bytes,
    "response_headers_bytes": response_headers_bytes,
    "snake_names": _GRPC_NAMES,
    "uuid4": uuid.uuid4,
}

# Envoy has these, on connections without TLS too, where they are never there.
_OF_BOTH_SIDES: Final = (
    "LOCAL_DNS_SAN",
    "LOCAL_IP_SAN",
    "LOCAL_URI_SAN",
    "PEER_CERT",
    "PEER_CERT_V_END",
    "PEER_CERT_V_START",
    "PEER_DNS_SAN",
    "PEER_IP_SAN",
    "PEER_ISSUER",
    "PEER_SUBJECT",
    "PEER_URI_SAN",
    "TLS_CIPHER",
    "TLS_GROUP",
    "TLS_SESSION_ID",
    "TLS_VERSION",
)
_OF_DOWNSTREAM: Final = (
    "HANDSHAKE_DURATION",
    "LOCAL_EMAIL_SAN",
    "LOCAL_OTHERNAME_SAN",
    "LOCAL_SUBJECT",
    "PEER_CHAIN_FINGERPRINTS_1",
    "PEER_CHAIN_FINGERPRINTS_256",
    "PEER_CHAIN_SERIALS",
    "PEER_EMAIL_SAN",
    "PEER_FINGERPRINT_1",
    "PEER_FINGERPRINT_256",
    "PEER_ISSUER_FINGERPRINT_256",
    "PEER_ISSUER_SERIAL",
    "PEER_OTHERNAME_SAN",
    "PEER_SERIAL",
    "TRANSPORT_FAILURE_REASON",
)
_NEVER: Final = Expression("None", TEXT, True)
_NEVER_THERE: Final[dict[str, Expression]] = {
    **{f"DOWNSTREAM_{what}": _NEVER for what in (*_OF_BOTH_SIDES, *_OF_DOWNSTREAM)},
    **{f"UPSTREAM_{what}": _NEVER for what in (*_OF_BOTH_SIDES, "SERVER_NAME")},
    "TLS_JA3_FINGERPRINT": _NEVER,
    "TLS_JA4_FINGERPRINT": _NEVER,
    "ROUNDTRIP_DURATION": _NEVER,
}

PLAIN_COMMANDS: Final[dict[str, Expression]] = {
    "REQUEST_DURATION": _duration("DS_RX_BEG", "DS_RX_END"),
    "REQUEST_TX_DURATION": _duration("DS_RX_BEG", "US_TX_END"),
    "RESPONSE_DURATION": _duration("DS_RX_BEG", "US_RX_BEG"),
    "RESPONSE_TX_DURATION": _duration("US_RX_BEG", "DS_TX_END"),
    "REQUEST_HEADERS_BYTES": Expression("request_headers_bytes(x)", NUMBER),
    "RESPONSE_HEADERS_BYTES": Expression("response_headers_bytes(x)", NUMBER),
    "CONNECTION_ID": Expression("identity(x.downstream)", NUMBER),
    "UNIQUE_ID": Expression("str(uuid4())", PLAIN),
    **_NEVER_THERE,
    "LOCAL_REPLY_BODY": Expression(f"x.kept({LOCAL_REPLY_BODY!r}) or b''", BYTES),
}

METERED: Final = frozenset(
    (
        "REQUEST_DURATION",
        "REQUEST_TX_DURATION",
        "RESPONSE_DURATION",
        "RESPONSE_TX_DURATION",
        "COMMON_DURATION",
        "TRAILER",
        "RESPONSE_TRAILER",
    )
)

_BYTES_OF_HEADS: Final = "bytes are counted per connection, not per request"
_ENDS: Final = "how the transport ended is not kept"
NOT_IMPLEMENTED: Final[dict[str, str]] = {
    **{
        f"{side}_{what}_BYTES_{way}": _BYTES_OF_HEADS
        for side in ("UPSTREAM", "DOWNSTREAM")
        for what in ("WIRE", "HEADER", "DECOMPRESSED_HEADER")
        for way in ("SENT", "RECEIVED")
    },
    **{
        f"{side}_{what}": _ENDS
        for side in ("UPSTREAM", "DOWNSTREAM")
        for what in ("DETECTED_CLOSE_TYPE", "LOCAL_CLOSE_REASON")
    },
    **{
        f"UPSTREAM_{what}_ATTEMPTED": "only the last host is kept" for what in ("HOSTS", "HOST_NAMES", "CONNECTION_IDS")
    },
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT": "only the last host is kept",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT": "only the last host is kept",
    "UPSTREAM_CONNECTION_ID": "upstream connections have no numbers",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION": "the wait for a connection is not timed",
    "BYTES_RETRANSMITTED": "it is QUIC's",
    "PACKETS_RETRANSMITTED": "it is QUIC's",
    "FILTER_STATE": "filters here share no state",
    "UPSTREAM_FILTER_STATE": "filters here share no state",
    "QUERY_PARAMS": "log the path, or one parameter by QUERY_PARAM",
    "COALESCE": "REQ(A?B) has an alternative for headers",
    "STREAM_INFO_REQ": "it belongs to gRPC access logs",
    "CEL": "there is no CEL here",
}
