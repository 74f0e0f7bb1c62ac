"""The client side: one connection to a host, told from the pool's and the stream's side."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.codec.framing import CHUNKED, UNTIL_CLOSE
from sidecar.codec.h1_client import ClientConnection
from sidecar.codec.h1_parser import ResponseParser
from sidecar.http.head import RequestHead
from sidecar.http.streams import ResetReason, Trailers
from sidecar.process.timers import Deadlines
from sidecar.telemetry.stats import ClusterStats, Stats
from tests.harness.playbook import aborted, blocked, eof, got, lost, meanwhile, play, sent, unblocked
from tests.harness.stage import ManualLoop

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nhost: a\r\nx-a: b\r\ncontent-length: 3\r\n\r\n"


def begin(client: ClientConnection, stream: Any, *, end: bool) -> None:
    """The request; one whose end is not there yet is a POST of three bytes, of which none has come."""
    head = RequestHead(b"GET" if end else b"POST", b"/", [(b"x-a", b"b")], {}, {})
    head.authority = b"a"
    client.send(stream, head, 0 if end else 3, b"", end)


class Pool:
    """Writes down what becomes of a connection."""

    def __init__(self) -> None:
        self.stats = ClusterStats(Stats(), "up")
        self.said: list[str] = []

    def release(self, _connection: Any) -> None:
        self.said.append("free")

    def withdraw(self, _connection: Any) -> None:
        self.said.append("withdrawn")

    def closed(self, _connection: Any, *, in_use: bool) -> None:
        self.said.append("lost in use" if in_use else "lost")


class Stream:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.interim: list[int] = []

    def on_response(self, head: ResponseParser, length: int, body: bytes, end: bool, trailers: Trailers = ()) -> None:
        self.told.append((head.status, length, body, end, *trailers))

    def on_interim(self, head: ResponseParser) -> None:
        self.interim.append(head.status)

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = ()) -> None:
        self.told.append((data, end, *trailers))

    def on_upstream_reset(self, reason: ResetReason, _connection: Any) -> None:
        self.told.append(reason.value)

    def on_upstream_closed(self, orderly: bool) -> None:
        self.told.append("closed" if orderly else "torn")

    def on_upstream_blocked(self) -> None:
        self.told.append("blocked")

    def on_upstream_ready(self) -> None:
        self.told.append("ready")


def connection(loop: ManualLoop, **fields: Any) -> ClientConnection:
    deadlines = Deadlines(loop, 0.1)  # type: ignore[arg-type]
    settings = {"max_requests": 0, "idle_timeout": 5.0, "enable_trailers": True, **fields}
    return ClientConnection(Pool(), deadlines=deadlines, **settings)


@pytest.mark.parametrize(
    ("parts", "told", "said"),
    [
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], [(200, 2, b"ok", True)], ["free"]),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", b"k"], [(200, 2, b"o", False), (b"k", True)], ["free"]),
        ([b"HTTP/1.1 20", b"0 OK\r\ncontent-length: 0\r\n\r", b"\n"], [(200, 0, b"", True)], ["free"]),
        ([b"HTTP/1.1 200 OK\ncontent-length: 0\n\n"], [(200, 0, b"", True)], ["free"]),
        (
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na", b"\r\n0\r\nx: y\r\n\r\n"],
            [(200, CHUNKED, b"a", False), (b"", True, (b"x", b"y"))],
            ["free"],
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"], [(204, 0, b"", True)], ["free"]),
        ([b"HTTP/1.1 304 Not\r\ncontent-length: 9\r\n\r\n"], [(304, 0, b"", True)], ["free"]),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"], [(200, 1, b"a", True)], []),
        ([b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"], [(200, 0, b"", True)], []),
        ([b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"], [(200, 0, b"", True)], []),
        ([b"HTTP/1.1 200 OK\r\n\r\nall", b"of it"], [(200, UNTIL_CLOSE, b"all", False), (b"of it", False)], []),
        ([b"nonsense"], ["protocol error"], ["withdrawn"]),
        ([b"HTTP/1.1 204 No\r\ncontent-length: 1\r\n\r\n"], ["protocol error"], ["withdrawn"]),
        ([b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 101 + b"\r\n"], ["protocol error"], ["withdrawn"]),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"y" * 82_000], ["protocol error"], ["withdrawn"]),
        (
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"zz\r\n"],
            [(200, CHUNKED, b"", False), "protocol error"],
            ["withdrawn"],
        ),
    ],
)
def test_responses(loop: ManualLoop, parts: list[bytes], told: list[Any], said: list[str]) -> None:
    client, stream = connection(loop), Stream()
    transport = play(client, meanwhile("a request", lambda: begin(client, stream, end=True)), sent(REQUEST))
    for part in parts:
        client.data_received(part)
    assert stream.told == told
    assert client.pool.said == said
    assert transport.is_closing() is (said != ["free"] and told[-1][-1] is not False)


@pytest.mark.parametrize(
    ("before", "how", "told"),
    [
        ([], lost(), ["connection termination"]),
        ([], lost(ConnectionResetError()), ["connection termination"]),
        ([b"HTTP/1.1 2"], lost(), ["protocol error"]),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"], lost(), ["protocol error"]),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"], lost(OSError()), ["connection termination"]),
        ([b"HTTP/1.1 200 OK\r\n\r\nall"], lost(OSError()), [(b"", True)]),
    ],
)
def test_the_end_of_the_connection(loop: ManualLoop, before: list[bytes], how: Any, told: list[Any]) -> None:
    client, stream = connection(loop), Stream()
    play(client, meanwhile("a request", lambda: begin(client, stream, end=True)), sent(REQUEST), got(*before), how)
    assert [said for said in stream.told if not (isinstance(said, tuple) and said[0] == 200)] == told
    assert client.pool.said[-1].startswith("lost")


def test_fin_is_the_end_even_with_bytes_to_send(loop: ManualLoop) -> None:
    client = connection(loop)
    play(client, meanwhile("a request", lambda: begin(client, Stream(), end=True)), sent(REQUEST), eof(), aborted())


def test_what_nobody_asked_for_ends_it(loop: ManualLoop) -> None:
    client = connection(loop)
    play(client, got(b"HTTP/1.1 408 Request Timeout\r\n\r\n"), aborted())
    assert client.pool.said == ["withdrawn"]


def test_flow_control_is_the_stream_s(loop: ManualLoop) -> None:
    client, stream = connection(loop), Stream()
    play(
        client,
        blocked(),
        unblocked(),
        meanwhile("a request", lambda: begin(client, stream, end=False)),
        sent(UPLOAD),
        blocked(),
        unblocked(),
    )
    assert stream.told == ["blocked", "ready"]


def test_an_unused_connection_ends_and_a_used_one_does_not(loop: ManualLoop) -> None:
    client = connection(loop)
    transport = play(client)
    begin(client, Stream(), end=True)
    loop.advance(20.0)
    assert not transport.is_closing()
    client.data_received(b"HTTP/1.1 204 No\r\n\r\n")
    loop.advance(4.0)
    assert not transport.is_closing()
    loop.advance(6.0)
    assert transport.is_closing()
    assert client.pool.stats.upstream_cx_idle_timeout.value >= 1


BODIES = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(BODIES), st.lists(st.integers(0, 100), max_size=6))
def test_a_response_is_the_same_however_it_is_cut(loop: ManualLoop, wire: bytes, cuts: list[int]) -> None:
    client, stream = connection(loop, idle_timeout=0.0), Stream()
    play(client, meanwhile("a request", lambda: begin(client, stream, end=True)), sent(REQUEST))
    cuts = sorted(min(cut, len(wire)) for cut in cuts)
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        if start < end:
            client.data_received(wire[start:end])
    body = b"".join(said[2] if len(said) == 4 else said[0] for said in stream.told)
    assert body == b"hello world"
    assert [said[-1] for said in stream.told].count(True) == 1
    assert client.pool.said == ["free"]


async def test_the_far_end_of_a_tunnel_may_speak_first(loop: ManualLoop) -> None:
    """Its bytes may be there before whoever asked for the connection knows that it stands."""
    client = connection(loop)
    client.dedicated = True
    client.data_received(b"220 welcome")
    handler = Stream()
    client.tunnel(handler)  # type: ignore[arg-type]
    assert handler.told == [(b"220 welcome", False)]
