"""Istio's metrics of gRPC calls of all four kinds, as Prometheus gets them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest

from tests.harness.ports import free_port
from tests.harness.process import http_get
from tests.integration.http2.greeter import Client, Greeter, serve
from tests.integration.http2.proxies import Proxy

SAMPLE = re.compile(r"(istio_\w+)\{([^}]*)\} (\d+)")


@pytest.fixture(params=["INBOUND", "OUTBOUND"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    made = Proxy("ours", tmp_path, free_port(), listener={"traffic_direction": request.param})
    yield made
    made.stop()


def samples(text: str) -> dict[tuple[str, str], int]:
    """(metric, grpc_response_status) → value, of gRPC's."""
    found: dict[tuple[str, str], int] = {}
    for name, labels, value in SAMPLE.findall(text):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if said.get("request_protocol") == "grpc":
            key = (name, said["grpc_response_status"])
            found[key] = found.get(key, 0) + int(value)
    return found


async def test_calls_and_messages_are_counted(proxy: Proxy) -> None:
    server = await serve(Greeter(), proxy.upstream)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
            client = Client(channel)
            await client.say("you")
            assert len([text async for text in client.count("7")]) == 7
            await client.collect(["a", "b", "c"])
            assert len([text async for text in client.chat(["a", "b"])]) == 2
            for code in (5, 14):
                with pytest.raises(grpc.aio.AioRpcError):
                    await client.say(f"fail:{code}:no")
        _, text = await asyncio.to_thread(http_get, proxy.admin, "/stats/prometheus")
        found = samples(text)
        assert found["istio_requests_total", "0"] == 4
        assert found["istio_requests_total", "5"] == found["istio_requests_total", "14"] == 1
        assert found["istio_request_messages_total", "0"] == 1 + 1 + 3 + 2
        assert found["istio_response_messages_total", "0"] == 1 + 7 + 1 + 2
        assert found["istio_request_messages_total", "5"] == 1
        assert found.get(("istio_response_messages_total", "5"), 0) == 0
        assert found["istio_request_duration_milliseconds_count", "0"] == 4
    finally:
        await server.stop(0)
