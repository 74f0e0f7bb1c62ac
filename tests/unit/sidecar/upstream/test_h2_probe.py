"""Health checks over HTTP/2: grpcio's own health service answers them."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.http2_model import Http2
from sidecar.config.model import Address, Cluster, Discovery, GrpcProbe, HealthCheck, HttpProbe
from sidecar.http.head import ResponseHead
from sidecar.http.streams import UNKNOWN_LENGTH
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.h2_probe import GrpcAnswer, GrpcCheck, Http2Check, HttpAnswer, question, says_serving
from sidecar.upstream.health import PASSED, Failure, Verdict
from tests.harness.h2_upstream import H2Upstream
from tests.harness.ports import free_port

CLUSTER = Cluster("c", Discovery.STATIC, http2=Http2())


def check(probe: GrpcProbe | HttpProbe, *, timeout: float = 2.0, reuse: bool = True) -> HealthCheck:
    return HealthCheck(timeout, 1.0, 1, 1, probe, *[1.0] * 5, reuse_connection=reuse)


def probing(port: int, authority: str, *, timeout: float = 2.0, reuse: bool = True, service: str = "") -> GrpcCheck:
    probe, address = GrpcProbe(service), Address("127.0.0.1", port)
    stats = ClusterStats(Stats(), "c")
    return GrpcCheck(CLUSTER, check(probe, timeout=timeout, reuse=reuse), probe, address, authority, stats)


@given(st.text(max_size=300))
def test_the_question_is_one_message(service: str) -> None:
    asked = question(service)
    assert asked[:1] == b"\0" and int.from_bytes(asked[1:5]) == len(asked) - 5
    assert health_pb2.HealthCheckRequest.FromString(asked[5:]).service == service


@given(st.binary(max_size=40))
def test_whatever_a_host_says_it_serves_or_not(message: bytes) -> None:
    try:
        judge = health_pb2.HealthCheckResponse.FromString(message).status == health_pb2.HealthCheckResponse.SERVING
    except Exception:
        judge = False
    if judge:
        assert says_serving(message)
    elif says_serving(message):  # protobuf refuses what nobody reads: a group, a field without a number
        assert b"\x08\x01" in message


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"])
def test_statuses(status: str) -> None:
    message = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    assert says_serving(message) is (status == "SERVING")


async def test_grpcios_health_service() -> None:
    server, servicer, port = grpc.aio.server(), aio.HealthServicer(), free_port()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    one, other = probing(port, "a"), probing(port, "a", service="a.B")
    assert await one.check() == PASSED
    assert await other.check() == Verdict(Failure.ACTIVE)  # there is no such service
    await servicer.set("a.B", health_pb2.HealthCheckResponse.SERVING)
    assert await other.check() == PASSED
    await servicer.set("a.B", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert await other.check() == Verdict(Failure.ACTIVE)
    await server.stop(0)
    assert await one.check() == Verdict(Failure.NETWORK)
    one.close()
    other.close()


@pytest.mark.parametrize(("reuse", "connections"), [(True, 1), (False, 3)])
async def test_connections_are_kept_or_not(reuse: bool, connections: int) -> None:
    async with H2Upstream(free_port()) as upstream:
        probe = probing(upstream.port, "serving.check", reuse=reuse)
        assert [await probe.check() for _ in range(3)] == [PASSED] * 3
        assert len({received.connection for received in upstream.requests}) == connections
        probe.close()


async def test_after_a_goaway_there_is_another_connection() -> None:
    async with H2Upstream(free_port()) as upstream:
        probe = probing(upstream.port, "goaway.check")
        assert [await probe.check() for _ in range(2)] == [PASSED] * 2
        assert [received.connection for received in upstream.requests] == [0, 1]
        probe.close()


async def test_a_time_out_leaves_the_connection() -> None:
    async with H2Upstream(free_port()) as upstream:
        probe = probing(upstream.port, "slow.check", timeout=0.05)
        assert [await probe.check() for _ in range(2)] == [Verdict(Failure.TIMEOUT)] * 2
        assert [received.connection for received in upstream.requests] == [0, 0]
        assert upstream.requests[0].message.header("grpc-timeout") == "50m"
        probe.close()


async def test_a_check_of_http() -> None:
    probe = HttpProbe("/x", http2=True, receive=(b"ok",))
    async with H2Upstream(free_port()) as upstream:
        address, stats = Address("127.0.0.1", upstream.port), ClusterStats(Stats(), "c")
        for authority, verdict in (("plain.check", PASSED), ("http-503.check", Verdict(Failure.ACTIVE))):
            one = Http2Check(CLUSTER, check(probe), probe, address, authority, stats)
            assert await one.check() == verdict
            one.close()
        assert upstream.requests[0].message.header("user-agent") == "Envoy/HC"


SERVING = b"\x08\x01"
OK = [(b"grpc-status", b"0")]


def message(content: bytes, size: int | None = None) -> bytes:
    return b"\0" + (len(content) if size is None else size).to_bytes(4) + content


async def heard(*pieces: bytes, trailers: list[tuple[bytes, bytes]] = OK) -> Verdict | None:
    """What a gRPC check concludes from an answer that comes in pieces; None when it has not heard enough."""
    answer = GrpcAnswer(asyncio.get_running_loop().create_future())
    head = ResponseHead(200, [(b"content-type", b"application/grpc")])
    answer.on_response(head, UNKNOWN_LENGTH, b"", False)
    for piece in pieces[:-1]:
        answer.on_response_body(piece, False)
    answer.on_response_body(pieces[-1], True, trailers)
    return answer.verdict.result() if answer.verdict.done() else None


@pytest.mark.parametrize("at", range(1, 7))
async def test_an_answer_may_come_in_any_pieces(at: int) -> None:
    whole = message(SERVING)
    assert await heard(whole[:at], whole[at:]) == PASSED


@pytest.mark.parametrize(
    "pieces",
    [
        (message(SERVING), message(SERVING)),
        (message(SERVING) + message(SERVING),),
        (b"\1" + message(SERVING)[1:],),
        (message(SERVING)[:-1],),
        (b"",),
        (message(b"", 64 * 1024 + 1), b""),
    ],
    ids=["two", "two at once", "compressed", "half", "none", "too long"],
)
async def test_what_is_not_one_message_is_a_failure(pieces: tuple[bytes, ...]) -> None:
    assert await heard(*pieces) == Verdict(Failure.ACTIVE)


async def test_a_message_may_be_as_long_as_the_limit() -> None:
    rest = 64 * 1024 - len(SERVING) - 4  # a field that nobody knows: its key, and a length of three bytes
    unknown = b"\x12" + bytes((rest & 0x7F | 0x80, rest >> 7 & 0x7F | 0x80, rest >> 14)) + b"x" * rest
    assert len(SERVING + unknown) == 64 * 1024
    assert await heard(message(SERVING + unknown)) == PASSED


async def test_a_status_other_than_0_is_a_failure() -> None:
    assert await heard(message(SERVING), trailers=[(b"grpc-status", b"5")]) == Verdict(Failure.ACTIVE)
    assert await heard(message(SERVING), trailers=[]) == Verdict(Failure.ACTIVE)


@pytest.mark.parametrize(("length", "serves"), [(10, True), (11, False)])
def test_a_varint_is_ten_bytes_at_the_most(length: int, serves: bool) -> None:
    assert says_serving(b"\x18" + b"\x80" * (length - 1) + b"\x00" + SERVING) is serves


@pytest.mark.parametrize(
    ("limit", "wanted", "verdict"),
    [(6, b"cd", PASSED), (6, b"fg", Verdict(Failure.ACTIVE)), (6, b"ef", PASSED), (0, b"gh", PASSED)],
)
async def test_a_body_is_read_up_to_the_limit(limit: int, wanted: bytes, verdict: Verdict) -> None:
    probe = HttpProbe("/", http2=True, receive=(wanted,), body_limit=limit)
    answer = HttpAnswer(asyncio.get_running_loop().create_future(), probe)
    answer.on_response(ResponseHead(200, []), UNKNOWN_LENGTH, b"abcd", False)
    answer.on_response_body(b"ef", False)
    answer.on_response_body(b"gh", True)
    assert answer.verdict.result() == verdict


async def test_whoever_stops_checking_leaves_nothing() -> None:
    async with H2Upstream(free_port()) as upstream:
        probe = probing(upstream.port, "slow.check")
        task = asyncio.get_running_loop().create_task(probe.check())
        async with asyncio.timeout(5):
            while not upstream.requests:  # noqa: ASYNC110  # what is waited for is a list
                await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.wait([task])
        probe.close()
        assert task.cancelled()
