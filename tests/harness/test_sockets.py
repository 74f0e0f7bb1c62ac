"""The raw client against the scripted upstream: each has to report truthfully what the other did."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.ports import free_port, free_ports
from tests.harness.process import Process, http_get, wait_until
from tests.harness.upstream import (
    Close,
    Echo,
    Hang,
    Pause,
    ReadBody,
    Reset,
    Send,
    Upstream,
    chunked,
    raw,
    reply,
    response_bytes,
)

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_bytes_go_both_ways_unchanged() -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        upstream.reset([reply(201, b"done", [("X-Case", "Kept")])])
        head = b"POST /p?q HTTP/1.1\r\nHOST: a\r\nX-A: 1\r\nx-a:2\r\nContent-Length: 3\r\n\r\n"
        await client.send(head + b"abc")
        response = await client.response()
        assert response is not None
        assert (response.status, response.body, response.framing) == (201, b"done", "length")
        assert response.headers[0] == ("X-Case", "Kept")
        assert await client.end(0.05) == "open"
        (received,) = upstream.requests
        assert received.raw_head == head
        assert (received.line, received.body, received.framing) == ("POST /p?q HTTP/1.1", b"abc", "length")
        assert received.headers[1:3] == [("X-A", "1"), ("x-a", "2")]
        assert received.complete


async def test_chunks_and_trailers_both_ways() -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        upstream.reset([chunked(b"aa", b"b", trailers=[("T", "1")])])
        await client.send(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=y\r\n!\r\n0\r\nU: 2\r\n\r\n"
        )
        response = await client.response("POST")
        assert response is not None
        assert (response.body, response.framing, response.trailers) == (b"aab", "chunked", [("T", "1")])
        assert (upstream.requests[0].body, upstream.requests[0].trailers) == (b"hi!", [("U", "2")])


@pytest.mark.parametrize(
    ("plan", "status", "complete", "end"),
    [
        ([ReadBody(), Close()], None, None, "fin"),
        ([ReadBody(), Reset()], None, None, "rst"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", Close()), 200, False, "fin"),
        (raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\npart", Close()), 200, False, "fin"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\nall of it", Close()), 200, True, "fin"),
        (raw(b"HTTP/1.1 204 None\r\n\r\n"), 204, True, "open"),
        ([ReadBody(), Pause(0.05), Send(response_bytes())], 200, True, "open"),
        ([Send(b"HTTP/1.1 100 Continue\r\n\r\n"), *reply()], 200, True, "open"),
    ],
)
async def test_ways_to_end(plan: list[object], status: int | None, complete: bool | None, end: str) -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        upstream.reset([plan])  # type: ignore[list-item]
        await client.send(GET)
        response = await client.response()
        assert (response.status if response else None) == status
        assert (response.complete if response else None) == complete
        assert await client.end(0.1) == end


async def test_a_script_goes_by_request_and_its_last_plan_repeats() -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        upstream.reset([reply(500), reply(200)])
        statuses = []
        for _ in range(3):
            await client.send(GET)
            response = await client.response()
            statuses.append(response.status if response else None)
        assert statuses == [500, 200, 200]
        await upstream.wait_for_requests(3)


async def test_without_a_script_the_path_says_what_to_do() -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        for path, status, body in (
            ("/status/503", 503, b"status 503"),
            ("/size/4", 200, b"xxxx"),
            ("/chunked", 200, b"hello world"),
        ):
            await client.send(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            response = await client.response()
            assert response is not None
            assert (response.status, response.body) == (status, body)


async def test_a_tunnel_echoes() -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        upstream.reset([[Send(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhi "), Echo()]])
        await client.send(GET)
        response = await client.response()
        assert response is not None
        assert response.status == 101
        await client.send(b"there!")
        assert await client.bytes_until(b"!") == b"hi there!"
        assert upstream.requests[0].tunnel == b"there!"


@pytest.mark.parametrize(("abort", "how"), [(True, "rst"), (False, "fin")])
async def test_the_upstream_tells_how_the_client_left(abort: bool, how: str) -> None:
    async with Upstream() as upstream:
        upstream.reset([[ReadBody(), Hang()]])
        async with Client(upstream.port) as client:
            await client.send(GET)
            await upstream.wait_for_requests(1)
            if abort:
                client.reset()
        await upstream.wait_idle()
        assert upstream.requests[0].ended == how


async def test_a_silent_upstream_is_a_time_out() -> None:
    async with Upstream() as upstream, Client(upstream.port) as client:
        upstream.reset([[ReadBody(), Hang()]])
        await client.send(GET)
        with pytest.raises(TimeoutError):
            await client.response(seconds=0.05)


def test_ports_are_free_and_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))


def test_a_process_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('what went wrong'); sys.exit(3)"]
    with (
        Process(command, tmp_path / "log") as process,
        pytest.raises(AssertionError, match=r"(?s)ended with 3.*what went"),
    ):
        process.wait_ready(lambda: False)
    assert process.returncode == 3


def test_a_process_is_gone_after_its_block(tmp_path: Path) -> None:
    with Process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") as process:
        assert process.returncode is None
    assert process.returncode is not None
    with Process([sys.executable, "-c", "pass"], tmp_path / "log") as process:
        assert process.wait() == 0


def test_waiting_has_a_deadline() -> None:
    with pytest.raises(AssertionError, match=r"pigs fly: not within 0\.05 s"):
        wait_until(lambda: False, 0.05, "pigs fly")


def test_http_get_says_zero_while_nobody_answers() -> None:
    assert http_get(free_port(), "/") == (0, "")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    assert http_get(server.server_address[1], "/")[0] == 501
    thread.join()
    server.server_close()
