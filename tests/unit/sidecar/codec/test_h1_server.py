"""The server side: requests in order however they are cut, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.codec.framing import LAST_CHUNK, ChunkedDecoder, chunk
from sidecar.codec.h1_server import ServerConnection
from sidecar.config.model import DirectResponse, Hcm, PathMatch, Route, RouteMatch
from tests.harness.playbook import byte_by_byte, closed, got, play, sent
from tests.harness.stage import ManualLoop, Stage, Wire, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
HELLO = Route(RouteMatch(PathMatch.PREFIX, "/"), DirectResponse(200, b"hello"))
ANSWER = re.compile(rb"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n.*\r\n\r\nhello", re.DOTALL)
TWO_ANSWERS = re.compile(rb"(HTTP/1.1 200 OK\r\ncontent-length: 5\r\n.*\r\n\r\nhello){2}", re.DOTALL)


def refusal(status: int) -> re.Pattern[bytes]:
    return re.compile(rb"HTTP/1.1 %d .*\r\nconnection: close\r\n\r\n.*" % status, re.DOTALL)


def direct(**fields: object) -> Hcm:
    return hcm(HELLO, **fields)


# ── dialogues ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_requests_are_answered_in_order(loop: ManualLoop) -> None:
    server = ServerConnection(Stage(loop, direct()).manager)
    play(
        server,
        got(GET),
        sent(ANSWER),
        got(GET + GET),
        sent(TWO_ANSWERS),
        byte_by_byte(GET[:-1]),
        got(GET[-1:]),
        sent(ANSWER),
        got(b"\r\n\r\n"),
        got(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + GET),
        sent(re.compile(rb"HTTP/1.1 200 .*\r\nconnection: close\r\n\r\nhello", re.DOTALL)),
        closed(),
    )


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.0\r\n\r\n", 426),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_what_is_refused(loop: ManualLoop, wire: bytes, status: int) -> None:
    stage = Stage(loop, direct())
    client = stage.client()
    client.sends(wire + GET)
    assert refusal(status).fullmatch(client.received())
    await stage.advance(1.2)
    assert client.lost
    assert client.received() == b""
    await stage.leaves_nothing()


async def test_a_bad_chunk_is_the_client_s_fault(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    upstream = await stage.upstream()
    client.sends(b"zz\r\n")
    assert refusal(400).fullmatch(client.received())
    await stage.advance(1.2)
    assert upstream.lost
    await stage.leaves_nothing()


async def test_expect_is_answered_at_once(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    assert client.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await stage.leaves_nothing()


# ── time, and what is ahead of its turn ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fields", [{"request_headers_timeout": 1.0}, {"request_timeout": 1.0}, {"stream_idle_timeout": 1.0}]
)
async def test_a_head_has_its_time(loop: ManualLoop, fields: dict[str, float]) -> None:
    stage = Stage(loop, direct(**fields))
    client = stage.client()
    client.sends(GET[:10])
    await stage.advance(0.9)
    client.sends(GET[10:12])
    assert client.received() == b""
    await stage.advance(0.2)
    assert refusal(408).fullmatch(client.received())
    await stage.leaves_nothing()


async def test_a_client_that_sends_ahead_is_held_up(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    client.sends(*[GET * 1000] * 4)
    assert client.waits
    for _ in range(4001):
        upstream.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
        stage.loop.run_ready()
    assert not client.waits
    assert client.received().count(b"HTTP/1.1 204 ") == 4001
    await stage.leaves_nothing()


async def test_many_requests_in_one_piece_do_not_nest(loop: ManualLoop) -> None:
    stage = Stage(loop, direct())
    client = stage.client()
    client.sends(GET * 5000)
    assert client.received().count(b"HTTP/1.1 200 ") == 5000
    await stage.leaves_nothing()


# ── any cut ───────────────────────────────────────────────────────────────────────────────────────────────────────────

requests = st.tuples(
    st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE"]),
    st.text("abc/", min_size=0, max_size=5).map(lambda text: ("/" + text).encode()),
    st.one_of(st.none(), st.binary(max_size=30), st.lists(st.binary(min_size=1, max_size=10), max_size=4)),
)


def rendered(method: bytes, path: bytes, body: bytes | list[bytes] | None) -> bytes:
    head = b"%b %b HTTP/1.1\r\nhost: a\r\n" % (method, path)
    if body is None:
        return head + b"\r\n"
    if isinstance(body, bytes):
        return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    return head + b"transfer-encoding: chunked\r\n\r\n" + b"".join(map(chunk, body)) + LAST_CHUNK


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests, min_size=1, max_size=6), st.lists(st.integers(0, 600), max_size=8))
async def test_a_stream_of_requests_is_the_same_however_it_is_cut(
    loop: ManualLoop, wanted: list[tuple[bytes, bytes, bytes | list[bytes] | None]], cuts: list[int]
) -> None:
    stage = Stage(loop)
    client = stage.client()
    wire = b"".join(rendered(*request) for request in wanted)
    cuts = sorted(min(cut, len(wire)) for cut in cuts)
    parts = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    upstream: Wire | None = None
    seen: list[tuple[bytes, bytes, bytes]] = []
    pending = b""
    for part in [*parts, *[b""] * len(wanted)]:
        if part:
            client.sends(part)
        if upstream is None:
            await stage.settle()
            upstream = await stage.upstream() if loop.dials else None
            if upstream is None:
                continue
        pending += upstream.received()
        while found := complete(pending):
            head, body, size = found
            seen.append((*head.split(b" ")[:2], body))  # type: ignore[arg-type]
            pending = pending[size:]
            upstream.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
            pending += upstream.received()
    assert seen == [
        (method, path, b"".join(body) if isinstance(body, list) else body or b"") for method, path, body in wanted
    ]
    assert client.received().count(b"HTTP/1.1 204 ") == len(wanted)
    await stage.leaves_nothing()


def complete(wire: bytes) -> tuple[bytes, bytes, int] | None:
    """The request at the beginning of what an upstream got, when all of it is there."""
    head, end, rest = wire.partition(b"\r\n\r\n")
    if not end:
        return None
    at = len(head) + 4
    if b"\r\ntransfer-encoding: chunked" in head:
        decoder = ChunkedDecoder()
        payload = decoder.feed(rest)
        return (head, payload, len(wire) - len(decoder.rest)) if decoder.done else None
    length = int(re.search(rb"\r\ncontent-length: (\d+)", head)[1]) if b"\r\ncontent-length: " in head else 0  # type: ignore[index]
    return (head, rest[:length], at + length) if len(rest) >= length else None
