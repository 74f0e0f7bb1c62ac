"""What becomes of a request's head before it is routed: shape, refusals, forwarding headers."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import Address, Direction, DirectResponse, PathMatch, Route, RouteMatch
from sidecar.http import forwarded
from sidecar.http.exchange import Exchange
from sidecar.http.head_policy import split_target
from sidecar.http.response_flags import Flag
from sidecar.process.drain import DrainPolicy
from tests.harness.stage import ManualLoop, Stage, hcm

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


async def seen_upstream(
    loop: ManualLoop, *lines: bytes, first: bytes = b"GET / HTTP/1.1", peer: str = "10.0.0.9", **fields: Any
) -> tuple[bytes, list[bytes]]:
    """The request line and the fields that the upstream gets; what is the same for all is left out."""
    stage = Stage(loop, hcm(**fields))
    client = stage.client()
    client.protocol.remote = Address(peer, 40000)  # type: ignore[attr-defined]
    client.sends(b"\r\n".join([first, b"host: a", *lines]) + b"\r\n\r\n")
    upstream = await stage.upstream()
    got, *sent = upstream.received().removesuffix(b"\r\n\r\n").split(b"\r\n")
    upstream.sends(OK)
    await stage.leaves_nothing()
    return got, [line for line in sent if not line.startswith((b"x-envoy-expected-rq", b"x-forwarded-proto: http"))]


async def refused(loop: ManualLoop, request: bytes, **fields: Any) -> int:
    stage = Stage(loop, hcm(**fields))
    client = stage.client()
    client.sends(request)
    status = int(client.received().split(b" ")[1])
    assert not loop.dials
    await stage.leaves_nothing()
    return status


async def test_hop_by_hop_fields_stay_here(loop: ManualLoop) -> None:
    _, lines = await seen_upstream(
        loop,
        b"connection: x-mine, close",
        b"x-mine: 1",
        b"keep-alive: 5",
        b"te: gzip, trailers",
        b"proxy-connection: a",
    )
    assert lines == [b"host: a", b"te: trailers"]


async def test_an_absolute_target_is_taken_apart(loop: ManualLoop) -> None:
    first, lines = await seen_upstream(loop, first=b"GET http://user@b:81/x?y HTTP/1.1")
    assert (first, lines) == (b"GET /x?y HTTP/1.1", [b"host: b:81"])


@pytest.mark.parametrize(
    ("request_", "status", "fields"),
    [
        (b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", 426, {}),
        (b"GET / HTTP/1.1\r\n\r\n", 400, {}),
        (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400, {}),
        (b"GET /#x HTTP/1.1\r\nhost: a\r\n\r\n", 400, {}),
        (b"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, {}),
        (b"GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", 400, {"normalize_path": True}),
        (b"GET / HTTP/1.1\r\nhost: a\r\na_b: c\r\n\r\n", 400, {"underscores": "REJECT_REQUEST"}),
        (b"CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n", 400, {}),
    ],
)
async def test_refusals(loop: ManualLoop, request_: bytes, status: int, fields: dict[str, Any]) -> None:
    assert await refused(loop, request_, **fields) == status


async def test_fields_with_underscores_may_be_dropped(loop: ManualLoop) -> None:
    assert (await seen_upstream(loop, b"a_b: c", b"d: e", underscores="DROP_HEADER"))[1] == [b"host: a", b"d: e"]


async def test_paths_are_normalized_when_asked_for(loop: ManualLoop) -> None:
    first, _ = await seen_upstream(loop, first=b"GET /a/../b//c HTTP/1.1", normalize_path=True, merge_slashes=True)
    assert first == b"GET /b/c HTTP/1.1"


@pytest.mark.parametrize(
    ("fields", "lines", "peer", "wanted"),
    [
        ({}, [b"x-forwarded-for: 1.1.1.1"], "10.0.0.9", [b"x-forwarded-for: 1.1.1.1"]),
        ({}, [b"x-envoy-max-retries: 9", b"x-envoy-internal: true"], "10.0.0.9", []),
        (
            {"use_remote_address": True},
            [b"x-forwarded-for: 1.1.1.1", b"x-envoy-original-path: /y"],
            "10.0.0.9",
            [b"x-forwarded-for: 1.1.1.1,10.0.0.9", b"x-envoy-external-address: 10.0.0.9"],
        ),
        (
            {"use_remote_address": True, "xff_num_trusted_hops": 1},
            [b"x-forwarded-for: 1.1.1.1, 2.2.2.2"],
            "10.0.0.9",
            [b"x-forwarded-for: 1.1.1.1, 2.2.2.2,10.0.0.9", b"x-envoy-external-address: 2.2.2.2"],
        ),
        (
            {"use_remote_address": True, "skip_xff_append": True},
            [],
            "10.0.0.9",
            [b"x-envoy-external-address: 10.0.0.9"],
        ),
        (
            {"use_remote_address": True, "internal_ranges": ("10.0.0.0/8",)},
            [],
            "10.0.0.9",
            [b"x-forwarded-for: 10.0.0.9", b"x-envoy-internal: true"],
        ),
        (
            {"use_remote_address": True},
            [],
            "127.0.0.1",
            [b"x-forwarded-for: 192.0.2.7", b"x-envoy-external-address: 127.0.0.1"],
        ),
        ({"via": "mesh"}, [b"via: 1.1 other"], "10.0.0.9", [b"via: 1.1 other, mesh"]),
    ],
)
async def test_who_the_client_is(
    loop: ManualLoop,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    lines: list[bytes],
    peer: str,
    wanted: list[bytes],
) -> None:
    monkeypatch.setattr(forwarded, "own_address", lambda: "192.0.2.7")
    _, got = await seen_upstream(loop, *lines, peer=peer, **fields)
    assert [line for line in got if line != b"host: a"] == wanted


async def test_a_request_keeps_its_id_or_gets_one(loop: ManualLoop) -> None:
    _, got = await seen_upstream(loop, b"x-request-id: mine", generate_request_id=True)
    assert b"x-request-id: mine" in got
    _, got = await seen_upstream(loop, generate_request_id=True)
    assert [len(line) for line in got if line.startswith(b"x-request-id: ")] == [50]
    _, got = await seen_upstream(loop, b"x-request-id: mine", generate_request_id=True, use_remote_address=True)
    assert b"x-request-id: mine" not in got  # it comes from the edge


GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
HELLO = Route(RouteMatch(PathMatch.PREFIX, "/"), DirectResponse(200, b"hello"))


async def test_the_end_ends_what_is_idle_at_once_and_the_rest_in_time(loop: ManualLoop) -> None:
    stage = Stage(loop, direction=Direction.OUTBOUND)
    idle, busy = stage.client(), stage.client()
    busy.sends(GET)
    upstream = await stage.upstream()
    stage.manager.end_soon()
    await stage.settle()
    assert (idle.lost, busy.closing) == (True, False)
    upstream.sends(OK)
    assert b"connection: close\r\n" in busy.received()
    await stage.settle()
    assert busy.lost
    await stage.leaves_nothing()


async def test_a_drain_announces_the_end_of_connections_with_their_responses(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(HELLO, drain_timeout=2.0))
    stage.manager.drain(DrainPolicy(immediate=True).begin())
    for client in (stage.client(), stage.client()):
        client.sends(GET)
        assert b"connection: close\r\n" in client.received()
        client.sends(GET)  # it had not read that yet
        assert b"connection: close\r\n" in client.received()
        assert not client.closing
        await stage.advance(3.3)
        assert client.lost
    assert stage.counter("http.test.downstream_cx_drain_close") == 2
    await stage.leaves_nothing()


async def test_a_failing_health_check_can_be_taken_back(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(HELLO))
    before, late = stage.client(), stage.client()
    stage.manager.fail(True)
    before.sends(GET)
    assert b"connection: close\r\n" in before.received()
    stage.manager.fail(False)
    for client, closes in ((late, False), (stage.client(), False), (before, True)):
        client.sends(GET)
        assert (b"connection: close\r\n" in client.received()) is closes
    await stage.leaves_nothing()


async def test_what_is_cut_off_is_accounted_at_once(loop: ManualLoop) -> None:
    stage = Stage(loop)
    idle, busy = stage.client(), stage.client()
    busy.sends(GET)
    await stage.upstream()
    stage.manager.cut_off("downstream_local_disconnect(why)")
    [exchange] = stage.finished
    assert (exchange.details, exchange.status, exchange.flags) == ("downstream_local_disconnect(why)", 0, Flag.DC)
    await stage.settle()
    assert (idle.lost, busy.lost) == (True, True)
    assert stage.counter("http.test.downstream_cx_destroy_local") == 2
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    ("method", "target", "wanted"),
    [
        (b"GET", b"http://a", (b"a", b"/", "")),
        (b"OPTIONS", b"*", (b"", b"*", "")),
        (b"GET", b"*", (b"", b"*", "http1.invalid_url")),
        (b"GET", b"a", (b"", b"a", "http1.codec_error")),
        (b"CONNECT", b"a:1", (b"a:1", b"", "")),
        (b"CONNECT", b":1", (b"", b":1", "http1.invalid_url")),
    ],
)
def test_targets_that_are_not_paths(method: bytes, target: bytes, wanted: tuple[bytes, bytes, str]) -> None:
    exchange = Exchange(None, method, target, [], 0.0)
    detail = split_target(exchange, target)
    assert (exchange.authority, exchange.path, detail) == wanted
