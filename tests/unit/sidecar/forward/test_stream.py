"""How a request begins: what is counted, and what becomes of one that is not forwarded."""

from __future__ import annotations

import pytest

from sidecar.config.model import (
    DirectResponse,
    HeaderAdd,
    HeaderOps,
    PathMatch,
    Redirect,
    Route,
    RouteConfig,
    RouteMatch,
    VirtualHost,
)
from sidecar.http.response_flags import flags_text
from tests.harness.stage import ManualLoop, Stage, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ANY = RouteMatch(PathMatch.PREFIX, "/")


async def answered(loop: ManualLoop, *routes: Route, request: bytes = GET, domain: str = "*") -> tuple[Stage, bytes]:
    """What the client reads of a request that goes nowhere."""
    config = hcm(routes=RouteConfig("local", (VirtualHost("v", (domain,), routes),)))
    stage = Stage(loop, config)
    client = stage.client()
    client.sends(request)
    received = client.received()
    assert not loop.dials
    return stage, received


@pytest.mark.parametrize(("domain", "path"), [("b", b"/"), ("*", b"/elsewhere")])
async def test_without_a_route_it_is_404(loop: ManualLoop, domain: str, path: bytes) -> None:
    here = Route(RouteMatch(PathMatch.PATH, "/here"), DirectResponse(200))
    stage, received = await answered(loop, here, request=GET.replace(b"/ ", path + b" "), domain=domain)
    assert received.startswith(b"HTTP/1.1 404 Not Found\r\n")
    (exchange,) = stage.finished
    assert (flags_text(exchange.flags), exchange.details, exchange.attempts) == ("NR", "route_not_found", 0)
    counted = {name: stage.counter(f"http.test.{name}") for name in ("no_route", "rq_total", "downstream_rq_total")}
    assert counted == {"no_route": 1, "rq_total": 1, "downstream_rq_total": 1}
    assert stage.counter("http.test.downstream_rq_http1_total") == 1
    await stage.leaves_nothing()


async def test_a_direct_response_and_a_redirect_are_counted_as_such(loop: ManualLoop) -> None:
    stage, received = await answered(loop, Route(ANY, DirectResponse(200, b"hello")))
    assert received.endswith(b"\r\n\r\nhello")
    assert stage.counter("http.test.rq_direct_response") == 1
    assert stage.finished[0].details == "direct_response"
    await stage.leaves_nothing()
    stage, received = await answered(loop, Route(ANY, Redirect(path="/y", code=308)))
    assert received.startswith(b"HTTP/1.1 308 Permanent Redirect\r\n")
    assert b"location: http://a/y\r\n" in received
    assert stage.counter("http.test.rq_direct_response") == 1
    await stage.leaves_nothing()


async def test_a_cluster_that_is_not_there(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(cluster_not_found_code=504)), clusters=[])
    client = stage.client()
    client.sends(GET)
    assert client.received().startswith(b"HTTP/1.1 504 ")
    assert flags_text(stage.finished[0].flags) == "NC"
    assert stage.counter("http.test.no_cluster") == 1
    await stage.leaves_nothing()


async def test_failures_are_told_in_envoys_words(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster()])
    client = stage.client()
    client.sends(GET)
    (await stage.dial()).refuses()
    await stage.settle()
    (exchange,) = stage.finished
    start = (
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
    )
    assert exchange.details == start
    assert client.received().endswith(
        b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
    )
    await stage.leaves_nothing()


@pytest.mark.parametrize("action", [DirectResponse(200, b"x"), Redirect(path="/y")])
async def test_operations_on_a_direct_response_see_its_headers(
    loop: ManualLoop, action: DirectResponse | Redirect
) -> None:
    ops = HeaderOps((HeaderAdd(b"x-seen", "%RESP(location)% %RESP(content-type)%"),))
    stage, received = await answered(loop, Route(ANY, action, response_ops=ops))
    seen = b" text/plain" if isinstance(action, DirectResponse) else b"http://a/y "
    assert b"x-seen: " + seen + b"\r\n" in received
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    ("mode", "upstream", "got"),
    [
        ("OVERWRITE", b"server: s\r\n", b"server: envoy"),
        ("OVERWRITE", b"", b"server: envoy"),
        ("APPEND_IF_ABSENT", b"server: s\r\n", b"server: s"),
        ("APPEND_IF_ABSENT", b"", b"server: envoy"),
        ("PASS_THROUGH", b"server: s\r\n", b"server: s"),
        ("PASS_THROUGH", b"", b""),
    ],
)
async def test_who_answers(loop: ManualLoop, mode: str, upstream: bytes, got: bytes) -> None:
    stage = Stage(loop, hcm(forward(), server_header=mode))
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).sends(OK.replace(b"content", upstream + b"content"))
    lines = [line for line in client.received().split(b"\r\n") if line.startswith(b"server:")]
    assert lines == ([got] if got else [])
    await stage.leaves_nothing()
