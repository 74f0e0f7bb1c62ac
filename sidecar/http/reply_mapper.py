"""`local_reply_config`: replies that the proxy makes itself, changed before they go out."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config.model import LocalReplies, ReplyFormat, ReplyMapping
from sidecar.http.exchange import LOCAL_REPLY_BODY
from sidecar.http.headers import Headers, drop, get, put
from sidecar.http.local_reply import grpc_headers
from sidecar.router.header_ops import Mutation, compile_ops
from sidecar.telemetry.expression import Occasion
from sidecar.telemetry.formatter import compile_json, compile_text
from sidecar.telemetry.log_filter import Wanted, compile_filter

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

_OCCASION = Occasion("NotSet")
_JSON = b"application/json"

Format = Callable[["Exchange"], bytes]


class _Body(NamedTuple):
    content_type: bytes
    render: Format


class _Mapping(NamedTuple):
    wanted: Wanted
    status: int | None
    body: bytes | None
    format: _Body | None
    headers: tuple[Mutation, ...]


class ReplyMapper:
    """The first mapping that wants a reply changes it; a format, the mapping's or the one for all, makes its body."""

    def __init__(self, config: LocalReplies, rng: random.Random) -> None:
        self._mappings = [_compiled(each, rng) for each in config.mappings]
        self._format = _body(config.format)

    def rewrite(
        self, exchange: Exchange, status: int, headers: Headers, body: bytes, grpc: bool, grpc_status: int | None
    ) -> tuple[int, Headers, bytes]:
        """The status, headers and body that go out. `headers` are those that the reply has already; they are changed in
        place."""
        exchange.status = status
        exchange.response_headers = headers
        before = get(headers, b"content-type")
        made, content_type, now = self._format, b"text/plain", monotonic()
        mapping = next((each for each in self._mappings if each.wanted(exchange, now)), None)
        if mapping is not None:
            body = body if mapping.body is None else mapping.body
            for mutate in mapping.headers:
                mutate(exchange, headers)
            if mapping.status is not None:
                exchange.status = mapping.status
            made = mapping.format or made
        if made is not None:
            content_type = made.content_type
            body = _rendered(made, exchange, body)
        own_type = get(headers, b"content-type") != before
        status = exchange.status
        if grpc:
            if content_type == _JSON:
                body = body.removesuffix(b"\n")  # the line's end has no place in a header
            drop(headers, b"content-type")
            drop(headers, b"content-length")
            return 200, [*grpc_headers(status, body, grpc_status), *headers], b""
        drop(headers, b"content-length")
        if not body:
            drop(headers, b"content-type")
        else:
            headers.insert(0, (b"content-length", b"%d" % len(body)))
            if not own_type or get(headers, b"content-type") is None:
                put(headers, b"content-type", content_type)
        return status, headers, body


def _rendered(made: _Body, exchange: Exchange, body: bytes) -> bytes:
    exchange.keep(LOCAL_REPLY_BODY, body)
    try:
        return made.render(exchange)
    finally:
        exchange.keep(LOCAL_REPLY_BODY, b"")


def _compiled(config: ReplyMapping, rng: random.Random) -> _Mapping:
    wanted = compile_filter(config.filter, _OCCASION, rng)
    return _Mapping(wanted, config.status, config.body, _body(config.format), compile_ops([config.headers]))


def _body(config: ReplyFormat | None) -> _Body | None:
    if config is None:
        return None
    if config.json is not None:
        line = compile_json(config.json, omit_empty=config.omit_empty, occasion=_OCCASION)
    else:
        line = compile_text(config.text or "", omit_empty=config.omit_empty, occasion=_OCCASION)
    return _Body(config.content_type, lambda exchange: line(exchange, monotonic()))
