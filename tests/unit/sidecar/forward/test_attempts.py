"""Towards a host: what fails, what is tried again, and that nothing is left of it."""

from __future__ import annotations

import pytest

from sidecar.config.model import RetryPolicy
from tests.harness.stage import ManualLoop, Stage, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ON_ANYTHING = RetryPolicy(frozenset({"5xx", "connect-failure", "reset"}), attempts=2)


# ── the way there ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_goes_and_comes_back(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    assert upstream.received().startswith(b"GET / HTTP/1.1\r\nhost: a\r\n")
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    assert stage.in_use() == {
        "http.test.downstream_cx_active": 1,
        "http.test.downstream_cx_http1_active": 1,
        "cluster.up.upstream_cx_active": 1,
        "up connections": 1,
        "10.0.0.1:80 connections": 1,
        "10.0.0.1:80 idle": 1,
        "idle deadlines": 2,
    }
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    "framing", [b"content-length: 4\r\n\r\nbody", b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
async def test_a_body_is_framed_when_its_first_attempt_never_was_sent(loop: ManualLoop, framing: bytes) -> None:
    stage = Stage(loop, hcm(forward(ON_ANYTHING)))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\n" + framing)
    (await stage.dial()).refuses()
    await stage.advance(1.0)
    upstream = await stage.upstream()
    head, _, body = upstream.received().partition(b"\r\n\r\n")
    name, _, sent = framing.partition(b"\r\n\r\n")
    assert name in head.split(b"\r\n")
    assert body == sent
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    await stage.leaves_nothing()
