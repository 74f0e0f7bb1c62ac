"""What the client of an HTTP/2 case does, as bytes: for connections that have no proxy around them."""

from __future__ import annotations

from collections.abc import Sequence

import hpack

from tests.harness.h2_wire import DATA, END_HEADERS, END_STREAM, HEADERS, Frame, request_fields
from tests.oracle.h2_case import HOST, Block, Data, H2Action, Request, Send


def written(steps: Sequence[H2Action]) -> list[bytes]:
    """Of each step that sends anything."""
    return [text for text in map(_written, steps) if text]


def _written(step: H2Action) -> bytes:
    match step:
        case Send(parts):
            return b"".join(map(bytes, parts))
        case Block(fields, stream, end, flags):
            return bytes(Frame(HEADERS, flags | _last(end), stream, _block(fields)))
        case Data(data, stream, end):
            return bytes(Frame(DATA, _last(end), stream, data))
        case Request():
            return _request(step)
    return b""


def _request(step: Request) -> bytes:
    ends = step.body is None and not step.trailers and step.end
    fields = request_fields(step.path, step.host, *step.fields, method=step.method)
    text = bytes(Frame(HEADERS, END_HEADERS | _last(ends), step.stream, _block(fields)))
    if step.body is not None:
        text += bytes(Frame(DATA, _last(step.end and not step.trailers), step.stream, step.body))
    if step.trailers:
        text += bytes(Frame(HEADERS, END_HEADERS | END_STREAM, step.stream, _block(step.trailers)))
    return text


def _last(end: bool) -> int:
    return END_STREAM if end else 0


def _block(fields: Sequence[tuple[str, str]]) -> bytes:
    """Nothing of it enters the table: a block may come twice."""
    plain = [hpack.NeverIndexedHeaderTuple(name, value.replace(HOST, "h2spec.test")) for name, value in fields]
    return bytes(hpack.Encoder().encode(plain, huffman=False))
