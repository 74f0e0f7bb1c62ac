"""Answers of the admin port: small ones at once, large ones in pieces that a slow reader cannot hold against us."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from json import dumps
from typing import Any, Final, Protocol

from aiohttp import web

from sidecar.admin.views import QueryError, compile_filter
from sidecar.telemetry.trace import Span

TEXT: Final = "text/plain; charset=UTF-8"
JSON: Final = "application/json"

# A reader that takes nothing for this long is let go.
WRITE_TIMEOUT = 30.0
# The quickest: metrics are so repetitive that the usual level costs three times as much for a third of the bytes less.
GZIP_LEVEL: Final = 1
_GZIP: Final = 31  # zlib's word for gzip's own head and end


class Compressor(Protocol):
    """A zlib.compressobj."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


async def headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["cache-control"] = "no-cache, max-age=0"
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["server"] = "envoy"


def text(content: str, *, status: int = 200) -> web.Response:
    return web.Response(body=content.encode(), status=status, headers={"content-type": TEXT})


def ok() -> web.Response:
    return text("OK\n")


def as_json(content: Any) -> web.Response:
    return web.Response(body=(dumps(content, indent=1) + "\n").encode(), headers={"content-type": JSON})


def query_of(request: web.Request, *known: str) -> dict[str, str]:
    for name in request.query:
        if name not in known:
            raise QueryError(f"{name}: not implemented; {', '.join(known)} are")
    return dict(request.query)


def since_of(request: web.Request) -> float:
    """`after`, in Unix seconds; 0.0 without one. Raises QueryError."""
    after = query_of(request, "after").get("after", "0")
    try:
        return float(after)
    except ValueError as error:
        raise QueryError(f"after={after}: expected Unix seconds") from error


def format_of(query: dict[str, str]) -> str:
    form = query.get("format", "text")
    if form not in ("text", "json"):
        raise QueryError(f"format={form}: expected text or json")
    return form


def filter_of(pattern: str | None) -> Callable[[str], object]:
    return compile_filter(pattern) if pattern is not None else bool


async def breathing(pieces_of: Iterator[str] | Iterator[bytes]) -> AsyncIterator[str | bytes]:
    """Lets requests through between two pieces."""
    for piece in pieces_of:
        yield piece
        await asyncio.sleep(0)


async def listing(name: str, items: Iterator[str]) -> AsyncIterator[str]:
    """`{"name": [...]}`, an item at a time."""
    yield f'{{"{name}":['
    first = True
    for item in items:
        yield item if first else "," + item
        first = False
        await asyncio.sleep(0)
    yield "]}\n"


async def stream(
    request: web.Request, content_type: str, body: AsyncIterator[str] | AsyncIterator[str | bytes]
) -> web.StreamResponse:
    """Sends what comes as it comes. The first piece is made before the head is sent, so that a bad query can still be
    answered with 400; after that a reader that stops reading is let go."""
    first = await anext(body, "")
    response = web.StreamResponse(headers={"content-type": content_type})
    gzip = None
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response.headers["content-encoding"] = "gzip"
        gzip = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)
    await response.prepare(request)
    try:
        await _send(response, first, gzip)
        async for piece in body:
            await _send(response, piece, gzip)
        if gzip is not None:
            await _send(response, gzip.flush())
        await response.write_eof()
    except ConnectionResetError:  # a scraper whose time is over, a reader that has seen enough
        pass
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


async def _send(response: web.StreamResponse, piece: str | bytes, gzip: Compressor | None = None) -> None:
    data = piece.encode() if isinstance(piece, str) else piece
    if gzip is not None:
        data = gzip.compress(data)
    if data:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await response.write(data)


def span_fields(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start,
        "endTimeUnixNano": span.end,
        "attributes": dict(span.attributes),
        "error": span.error,
    }
