"""grpcio's clients and servers, with proxies between them: ours alone, and with a real Envoy on either side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tests.harness.ports import free_port
from tests.harness.process import http_get
from tests.integration.http2.greeter import Client, Greeter, serve
from tests.integration.http2.proxies import Proxy

CHAINS = [("ours",), ("ours", "ours"), ("ours", "envoy"), ("envoy", "ours")]


class Stage:
    """A server, and proxies in front of it; `port` is the outermost one's."""

    def __init__(self, kinds: tuple[str, ...], folder: Path, **options: object) -> None:
        self.greeter = Greeter()
        self.server_port = free_port()
        self.proxies: list[Proxy] = []
        upstream = self.server_port
        for number, kind in enumerate(reversed(kinds)):
            self.proxies.append(Proxy(kind, folder / f"{number}-{kind}", upstream, **options))
            upstream = self.proxies[-1].port
        self.port = upstream

    def stop(self) -> None:
        for proxy in self.proxies:
            proxy.stop()


@pytest.fixture(scope="module", params=CHAINS, ids="-".join)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(request.param, tmp_path_factory.mktemp("chain"))
    yield made
    made.stop()


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    stage.greeter = Greeter()
    server = await serve(stage.greeter, stage.server_port)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        await channel.channel_ready()
        yield Client(channel)
    await server.stop(0)


async def test_all_four_kinds(client: Client) -> None:
    assert await client.say("you") == "hello you"
    assert [text async for text in client.count("5")] == list("01234")
    assert await client.collect(["a", "b", "c"]) == "a,b,c"
    assert [text async for text in client.chat(["a", "b"])] == ["you said a", "you said b"]


async def test_a_status_comes_through_with_its_words(client: Client) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.say("fail:5:no such greeting: ü")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no such greeting: ü"


async def test_messages_of_a_chat_pass_one_by_one(client: Client) -> None:
    call = client.chat()
    for text in ("first", "second", "third"):
        await call.write(text)
        assert await call.read() == f"you said {text}"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_deadline_of_the_client_ends_the_call(client: Client) -> None:
    started = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.say("slow:5", timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 3


async def test_a_cancelled_call_ends_at_the_server(client: Client, stage: Stage) -> None:
    call = client.chat()
    await call.write("one")
    assert await call.read() == "you said one"
    call.cancel()
    assert await client.say("after") == "hello after"


async def test_many_calls_at_once(client: Client, stage: Stage) -> None:
    answers = await asyncio.gather(*[client.say(str(number)) for number in range(300)])
    assert answers == [f"hello {number}" for number in range(300)]
    assert stage.greeter.calls == 300


async def test_large_messages_both_ways(client: Client) -> None:
    large = "x" * 3_000_000
    assert await client.say(large) == f"hello {large}"
    assert len(await client.collect([large[:500_000]] * 6)) == 3_000_005


async def test_a_reader_that_takes_its_time_holds_up_nobody_else(client: Client) -> None:
    slow = client.count("200000")
    assert await slow.read() == "0"
    for number in range(50):
        assert await client.say(str(number)) == f"hello {number}"
    slow.cancel()


async def test_statistics_and_log(client: Client, stage: Stage) -> None:
    if len(stage.proxies) > 1:
        pytest.skip("one proxy is enough")
    with pytest.raises(grpc.aio.AioRpcError):
        await client.say("fail:8:enough")
    admin = stage.proxies[0].admin
    _, stats = await asyncio.to_thread(http_get, admin, "/stats?filter=http2")
    values = dict(line.split(": ") for line in stats.splitlines())
    assert int(values["http.in.downstream_rq_http2_total"]) > 300
    assert int(values["cluster.up.upstream_cx_http2_total"]) > 0
    deadline = time.monotonic() + 3
    while "ResourceExhausted" not in stage.proxies[0].access_log.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_the_blocking_client(stage: Stage) -> None:
    async def served() -> str:
        server = await serve(Greeter(), stage.server_port)
        try:
            return await asyncio.to_thread(_say_blocking, stage.port)
        finally:
            await server.stop(0)

    assert asyncio.run(served()) == "hello sync"


def _say_blocking(port: int) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer: str = Client(channel).say("sync", timeout=10, wait_for_ready=True)
        return answer


async def test_a_retry_on_unavailable(tmp_path: Path) -> None:
    policy = {"retry_on": "unavailable", "num_retries": 3, "retry_back_off": {"base_interval": "0.01s"}}
    stage = Stage(("ours",), tmp_path, route={"retry_policy": policy})
    server = await serve(stage.greeter, stage.server_port)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
            stage.greeter.failures = 2
            assert await Client(channel).say("again") == "hello again"
            assert stage.greeter.calls == 3
    finally:
        await server.stop(0)
        stage.stop()


async def test_a_deadline_counts_at_the_proxy(tmp_path: Path) -> None:
    stage = Stage(("ours",), tmp_path, route={"max_grpc_timeout": "0.2s"})
    server = await serve(stage.greeter, stage.server_port)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
            started = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await Client(channel).say("slow:5", timeout=20)
            assert time.monotonic() - started < 5
            # The server is told the deadline, too (grpc-timeout), and may be the first to say so.
            assert (caught.value.code(), caught.value.details()) in (
                (grpc.StatusCode.UNAVAILABLE, "upstream request timeout"),
                (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
            )
    finally:
        await server.stop(0)
        stage.stop()


async def test_a_server_that_restarts_costs_no_call(tmp_path: Path) -> None:
    """GOAWAY, then nobody: calls that the old server has not begun are sent to the new one."""
    policy = {
        "retry_on": "connect-failure,refused-stream,unavailable,cancelled,reset",
        "num_retries": 20,
        "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.1s"},
    }
    unlimited = {"circuit_breakers": {"thresholds": [{"max_retries": 1000}]}}
    stage = Stage(("ours",), tmp_path, route={"retry_policy": policy}, cluster=unlimited)
    server = await serve(stage.greeter, stage.server_port)
    stop = asyncio.Event()
    done = 0

    async def calls(client: Client) -> None:
        nonlocal done
        while not stop.is_set():
            assert await client.say("still there") == "hello still there"
            done += 1

    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel, asyncio.TaskGroup() as group:
            tasks = [group.create_task(calls(Client(channel))) for _ in range(8)]
            for _ in range(3):
                await asyncio.sleep(0.3)
                await server.stop(2)
                server = await serve(stage.greeter, stage.server_port)
            await asyncio.sleep(0.3)
            stop.set()
            await asyncio.wait(tasks)
        assert done > 50
    finally:
        await server.stop(0)
        stage.stop()
