"""Performs HTTP/2 cases, and flattens what was seen of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from tests.harness.client import Fields
from tests.harness.h2_upstream import H2Received, H2Upstream
from tests.harness.h2_wire import H2Client, Message, request_fields
from tests.harness.upstream import Upstream
from tests.oracle.bootstrap import ALIVE_HOST
from tests.oracle.case import Case
from tests.oracle.h2_case import HOST, Block, Data, Over, Quiet, Received, Request, Send, UntilEnd
from tests.oracle.observe import FIRST_TIMEOUT_STEP_MS, LATER_TIMEOUT_STEP_MS, Flat, stable_header

ALIVE_STREAM = 2001
ALIVE_SECONDS = 2.0
POLL_SECONDS = 0.02


async def perform(case: Case, client: H2Client, upstreams: Sequence[H2Upstream | Upstream]) -> None:
    """The case's steps."""
    for step in case.h2:
        match step:
            case Request():
                with client.together():
                    _request(case, client, step)
            case Block(fields, stream, end, flags):
                client.headers(stream, _filled(case, fields), end, flags)
            case Data(data, stream, end):
                client.data(stream, data, end)
            case Send(parts):
                client.send(*parts)
            case Over(streams):
                await client.until_over(*streams)
            case Quiet(seconds):
                await client.until_quiet(seconds)
            case UntilEnd(seconds):
                await client.until_end(seconds)
            case Received(requests):
                await _received_so_many(client, upstreams, requests)


def _request(case: Case, client: H2Client, step: Request) -> None:
    fields = _filled(case, request_fields(step.path, step.host, *step.fields, method=step.method))
    client.headers(step.stream, fields, step.body is None and not step.trailers and step.end)
    if step.body is not None:
        client.data(step.stream, step.body, step.end and not step.trailers)
    if step.trailers:
        client.headers(step.stream, step.trailers, True)


def _filled(case: Case, fields: Sequence[tuple[str, str]]) -> Fields:
    return [(name, value.replace(HOST, case.host)) for name, value in fields]


async def _received_so_many(client: H2Client, upstreams: Sequence[H2Upstream | Upstream], requests: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3.0):
            while sum(len(upstream.requests) for upstream in upstreams) < requests:
                await client.until_quiet(POLL_SECONDS)


async def finish(case: Case, client: H2Client) -> tuple[str, int]:
    """Whether the connection lives, and 1 when another request was made to find out. Whether it ends by FIN or by RST
    depends on what the other side had not read by then."""
    if case.end == "skip":
        return "", 0
    if client.end != "open":
        return _ended(client), 0
    if case.end == "wait":
        await client.until_end(0.6)
        return _ended(client), 0
    client.headers(ALIVE_STREAM, request_fields("/", ALIVE_HOST))
    await client.until_over(ALIVE_STREAM, seconds=ALIVE_SECONDS)
    answer = client.messages.pop(ALIVE_STREAM, Message(ALIVE_STREAM))
    if answer.status == "200":
        return "open", 1
    if client.end == "open":
        await client.until_end(ALIVE_SECONDS)
    return _ended(client), 0


def _ended(client: H2Client) -> str:
    return "open" if client.end == "open" else "over"


def flat_client(client: H2Client) -> Flat:
    """What the client got. RST_STREAM and GOAWAY count by their codes."""
    flat: Flat = {
        "h2.goaway": client.goaway.code if client.goaway is not None else None,
        "h2.pongs": client.pongs,
        "h2.pinged": client.pinged,
    }
    for stream, message in sorted(client.messages.items()):
        if message.headers or message.reset is not None:
            _message(flat, f"h2[{stream}]", message, FIRST_TIMEOUT_STEP_MS)
    return flat


def flat_upstream(requests: Sequence[H2Received]) -> Flat:
    """What the HTTP/2 upstream got."""
    flat: Flat = {"h2up.count": len(requests)}
    for number, received in enumerate(requests):
        path = f"h2up[{number}]"
        flat[f"{path}.connection"] = received.connection
        step = LATER_TIMEOUT_STEP_MS if number else FIRST_TIMEOUT_STEP_MS
        _message(flat, path, received.message, step)
    return flat


def _message(flat: Flat, path: str, message: Message, step: int) -> None:
    flat[f"{path}.body"] = message.body
    flat[f"{path}.ended"] = message.ended
    flat[f"{path}.reset"] = message.reset
    flat[f"{path}.trailers"] = tuple(message.trailers)
    flat[f"{path}.interim"] = tuple(tuple(fields) for fields in message.interim)
    for name, value in message.headers:
        key = f"{path}.header.{name}"
        flat[key] = (*flat.get(key, ()), stable_header(name, value, step))
