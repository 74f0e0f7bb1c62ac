"""gRPC-Web as a browser speaks it, over HTTP/1.1, in front of a server of grpcio; a real Envoy as the neighbour."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path

import httpx
import pytest

from tests.harness.ports import free_port
from tests.integration.http2.greeter import SERVICE, Greeter, serve
from tests.integration.http2.proxies import TYPE, Proxy

FILTER = {
    "name": "envoy.filters.http.grpc_web",
    "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"},
}


def message(text: str) -> bytes:
    return b"\0" + len(text).to_bytes(4) + text.encode()


def frames(data: bytes) -> list[tuple[int, str]]:
    found = []
    while data:
        size = int.from_bytes(data[1:5])
        found.append((data[0], data[5 : 5 + size].decode()))
        data = data[5 + size :]
    return found


def text_frames(data: bytes) -> list[tuple[int, str]]:
    """Of base64 that is padded frame by frame."""
    plain, at = b"", 0
    while at < len(data):
        end = data.find(b"=", at)
        stop = len(data) if end < 0 else (end + 3) // 4 * 4 if end % 4 == 3 else end + 4 - end % 4
        plain += b64decode(data[at:stop])
        at = stop
    return frames(plain)


@pytest.mark.parametrize("kinds", [("ours",), ("ours", "envoy"), ("envoy", "ours")], ids="-".join)
async def test_a_browsers_calls(kinds: tuple[str, ...], tmp_path: Path) -> None:
    greeter, server_port = Greeter(), free_port()
    inner = [Proxy(kind, tmp_path / "inner", server_port) for kind in kinds[1:]]
    outer = Proxy(kinds[0], tmp_path / "outer", inner[0].port if inner else server_port, filters=(FILTER,))
    server = await serve(greeter, server_port)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{outer.port}") as client:
            web, text = {"content-type": "application/grpc-web+proto"}, "application/grpc-web-text"
            answer = await client.post(f"/{SERVICE}/Say", content=message("you"), headers=web)
            assert answer.http_version == "HTTP/1.1"
            assert frames(answer.content)[0] == (0, "hello you")
            assert frames(answer.content)[-1][0] == 0x80
            assert "grpc-status:0" in frames(answer.content)[-1][1]
            coded = {"content-type": text, "accept": text}
            answer = await client.post(f"/{SERVICE}/Count", content=b64encode(message("40")), headers=coded)
            *numbers, last = text_frames(answer.content)
            assert numbers == [(0, str(number)) for number in range(40)]
            assert last[0] == 0x80 and "grpc-status:0" in last[1]
            answer = await client.post(f"/{SERVICE}/Say", content=message("fail:8:enough"), headers=web)
            assert answer.headers["grpc-status"] == "8" and answer.headers["grpc-message"] == "enough"
            await server.stop(0)
            answer = await client.post(f"/{SERVICE}/Say", content=message("you"), headers=web)
            assert (answer.headers["grpc-status"], answer.content) == ("14", b"")
    finally:
        await server.stop(0)
        for proxy in (outer, *inner):
            proxy.stop()
