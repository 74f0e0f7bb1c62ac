"""Other clients than grpcio: httpx, curl, Node; gRPC through an explicit proxy's tunnel."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import httpx
import pytest

from tests.harness.h2_upstream import H2Upstream, reply
from tests.harness.ports import free_port
from tests.integration.http2.greeter import Client, Greeter, serve
from tests.integration.http2.proxies import Proxy

NODE = """
const client = require('http2').connect('http://127.0.0.1:%d');
let left = 20;
for (let number = 0; number < 20; number++) {
  const request = client.request({':path': '/' + number, ':method': 'POST'});
  let body = '';
  request.on('data', piece => body += piece);
  request.on('end', () => { console.log(body); if (!--left) client.close(); });
  request.end('x'.repeat(100000));
}
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    made = Proxy("ours", tmp_path_factory.mktemp("proxy"), free_port())
    yield made
    made.stop()


async def test_httpx(proxy: Proxy) -> None:
    async with (
        H2Upstream(proxy.upstream) as upstream,
        httpx.AsyncClient(http1=False, http2=True, base_url=f"http://127.0.0.1:{proxy.port}") as client,
    ):
        answers = await asyncio.gather(*[client.get(f"/{number}") for number in range(30)])
        assert [answer.text for answer in answers] == [f"/{number}" for number in range(30)]
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        upstream.reset([reply(200, b"x" * 1_000_000)])
        assert len((await client.post("/", content=b"y" * 1_000_000)).content) == 1_000_000
        assert len(upstream.requests[0].message.body) == 1_000_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl(proxy: Proxy) -> None:
    command = ["curl", "-s", "--http2-prior-knowledge", "-w", " %{http_version}", f"http://127.0.0.1:{proxy.port}/curl"]
    async with H2Upstream(proxy.upstream):
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "/curl 2"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
async def test_node(proxy: Proxy, tmp_path: Path) -> None:
    script = tmp_path / "client.js"
    script.write_text(NODE % proxy.port)
    async with H2Upstream(proxy.upstream):
        done = await asyncio.to_thread(subprocess.run, ["node", script], capture_output=True, text=True, timeout=60)
    assert sorted(done.stdout.split()) == sorted(f"/{number}" for number in range(20))


async def test_grpc_through_the_tunnel_of_an_explicit_proxy(tmp_path: Path) -> None:
    """The calls are requests of the proxy: each is logged, and goes where its authority says."""
    routes = [
        {
            "match": {"connect_matcher": {}},
            "metadata": {"filter_metadata": {"mesh.connect": {"http2": True}}},
            "route": {"cluster": "up", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
        },
        {"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}},
    ]
    hosts = [{"name": "greeter", "domains": ["greeter.test:50051"], "routes": routes}]
    hcm = {
        "route_config": {"name": "all", "virtual_hosts": hosts},
        "upgrade_configs": [{"upgrade_type": "CONNECT"}],
    }
    proxy = await asyncio.to_thread(Proxy, "ours", tmp_path, free_port(), hcm=hcm)
    server = await serve(Greeter(), proxy.upstream)
    options = [("grpc.http_proxy", f"http://127.0.0.1:{proxy.port}")]
    try:
        async with grpc.aio.insecure_channel("greeter.test:50051", options=options) as channel:
            for number in range(3):
                assert await Client(channel).say(str(number)) == f"hello {number}"
        await asyncio.sleep(0.2)
        lines = proxy.access_log.read_text().splitlines()
        assert [line.split()[0] for line in lines].count("/test.Greeter/Say") == 3
    finally:
        await server.stop(0)
        proxy.stop()


@pytest.mark.skipif(shutil.which("nghttp") is None, reason="needs nghttp")
async def test_nghttp(proxy: Proxy, tmp_path: Path) -> None:
    """Several requests on a connection, with trailers, a body, and what nghttp makes of priorities."""
    body = tmp_path / "body"
    body.write_bytes(b"b" * 200_000)
    target = f"http://127.0.0.1:{proxy.port}"
    async with H2Upstream(proxy.upstream) as upstream:
        command = ["nghttp", "-v", f"--data={body}", "--trailer=x-sum: 1", *(f"{target}/{n}" for n in range(3))]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(":status: 200") == 3
        assert {len(received.message.body) for received in upstream.requests} == {200_000}
        assert [received.message.trailer("x-sum") for received in upstream.requests] == ["1"] * 3


@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load")
async def test_h2load(proxy: Proxy) -> None:
    command = ["h2load", "-n", "400", "-c", "4", "-m", "10", f"http://127.0.0.1:{proxy.port}/load"]
    async with H2Upstream(proxy.upstream):
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert "400 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
