"""Redirects that are followed here, and that nothing is left of the request before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sidecar.config.model import (
    MILLION,
    UNLIMITED,
    FaultConfig,
    HttpFilter,
    InternalRedirects,
    OutlierDetection,
    PathMatch,
    RetryPolicy,
    RouteMatch,
)
from tests.harness.stage import ManualLoop, Stage, cluster, forward, hcm

GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GO = b"HTTP/1.1 302 Found\r\nlocation: http://b/y\r\ncontent-length: 2\r\n\r\ngo"


def stage_of(loop: ManualLoop, retry: RetryPolicy | None = None, **fields: Any) -> Stage:
    return Stage(loop, hcm(forward(retry, redirects=InternalRedirects(**fields))))


async def test_the_client_gets_the_answer_to_the_next_request(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.received()
    upstream.sends(GO)
    following = upstream.received()  # the whole response came: the connection is used again
    assert following.startswith(b"GET /y HTTP/1.1\r\nhost: b\r\n")
    assert following.count(b"x-envoy-expected-rq-timeout-ms") == 1
    assert b"x-envoy-original-url: http://a/x\r\n" in following
    assert client.received() == b""
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    assert [(each.status, each.details) for each in stage.finished] == [
        (302, "internal_redirect"),
        (200, "via_upstream"),
    ]
    client.sends(GET)
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    await stage.leaves_nothing()


async def test_a_response_that_is_not_complete_costs_its_connection(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(GO[:-1])
    await stage.settle()
    assert upstream.lost
    (await stage.upstream()).sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    await stage.leaves_nothing()


async def test_bodies_are_sent_again(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(POST + b"bo", b"dy")
    upstream = await stage.upstream()
    upstream.received()
    upstream.sends(GO)
    following = upstream.received()
    assert following.startswith(b"POST /y")
    assert following.count(b"content-length") == 1
    assert following.endswith(b"\r\n\r\nbody")
    await stage.leaves_nothing()


async def test_bodies_that_were_not_kept_are_not(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    stage.manager.buffer_limit = 3
    client = stage.client()
    client.sends(POST)
    upstream = await stage.upstream()
    client.sends(b"body")
    upstream.sends(GO)
    assert client.received().startswith(b"HTTP/1.1 302 Found")
    assert stage.counter("cluster.up.retry_or_shadow_abandoned") == 1
    assert stage.counter("cluster.up.upstream_internal_redirect_failed_total") == 1
    await stage.leaves_nothing()


async def test_a_request_may_be_retried_and_redirected(loop: ManualLoop) -> None:
    stage = stage_of(loop, RetryPolicy(frozenset({"5xx"})))
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK.replace(b"200", b"503"))
    await stage.advance(1.0)
    upstream.sends(GO)
    upstream.sends(OK.replace(b"200", b"503"))
    await stage.advance(1.0)
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    assert [each.attempts for each in stage.finished] == [2, 2]
    await stage.leaves_nothing()


async def test_a_loop_ends(loop: ManualLoop) -> None:
    stage = stage_of(loop, limit=3)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    for _ in range(4):
        assert client.received() == b""
        upstream.sends(GO)
    assert client.received().startswith(b"HTTP/1.1 302 Found")
    assert stage.counter("http.test.passthrough_internal_redirect_too_many_redirects") == 1
    assert stage.counter("cluster.up.upstream_internal_redirect_succeeded_total") == 3
    await stage.leaves_nothing()


async def test_the_client_may_leave_in_between(loop: ManualLoop) -> None:
    route = replace(forward(redirects=InternalRedirects()), match=RouteMatch(PathMatch.PREFIX, "/"))
    fault = FaultConfig(delay=1.0, delay_chance=MILLION, max_active=UNLIMITED)
    stage = Stage(loop, hcm(route, filters=(HttpFilter("fault", fault),)))
    client = stage.client()
    client.sends(GET)
    await stage.advance(1.1)
    (await stage.upstream()).sends(GO)
    client.resets()
    await stage.settle()
    assert [each.details for each in stage.finished] == ["internal_redirect", "downstream_remote_disconnect"]
    await stage.leaves_nothing()


async def test_outlier_detection_hears_of_it(loop: ManualLoop) -> None:
    route = forward(redirects=InternalRedirects())
    stage = Stage(loop, hcm(route), (cluster(outlier=OutlierDetection()),))
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).sends(GO)
    assert stage.cluster.hosts[0].interval_total == 1
    client.resets()
    stage.cluster.close()
    await stage.leaves_nothing()
