"""A trace that an app breaks in two is counted, and its service named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.upstream import Upstream
from tests.integration.lifecycle.proxy import Proxy
from tests.oracle.bootstrap import HCM_TYPE, ROUTER

CONTEXT = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"


def traced(config: dict[str, Any]) -> None:
    """The second listener carries HTTP, too: what the app sends on."""
    config["node"]["metadata"] = {"SERVICE": "reviews", "LABELS": {"app": "reviews"}, "NAME": "reviews-v1"}
    inbound, outbound = config["static_resources"]["listeners"]
    manager = inbound["filter_chains"][0]["filters"][0]["typed_config"]
    manager["tracing"] = {}
    everything = {"name": "any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
    own = {"@type": HCM_TYPE, "stat_prefix": "out", "http_filters": [ROUTER], "tracing": {}}
    own["route_config"] = {"name": "out", "virtual_hosts": [everything]}
    outbound["filter_chains"][0]["filters"][0]["typed_config"] = own


async def ask(port: int, path: bytes, more: bytes = b"") -> None:
    async with Client(port) as client:
        await client.send(b"GET " + path + b" HTTP/1.1\r\nhost: ratings\r\n" + more + b"\r\n")
        assert await client.response() is not None


async def test_08_a_trace_broken_in_two_is_seen(tmp_path: Path) -> None:
    """Of the complaints: traces are broken in two because an app does not forward headers, and nobody sees it."""
    async with Upstream(free_port()) as upstream, Proxy("ours", tmp_path, upstream.port, edit=traced) as proxy:
        await ask(proxy.tcp, b"/alone")  # with nothing open it is the beginning of a trace
        assert await proxy.stat("mesh_trace.gaps") == 0
        async with Client(proxy.http) as caller:
            await caller.send(b"GET /delay/3 HTTP/1.1\r\nhost: reviews\r\n\r\n")
            await upstream.wait_for_requests(2)
            await ask(proxy.tcp, b"/passes-it-on", CONTEXT)
            await ask(proxy.tcp, b"/in-b3", b"b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1\r\n")
            assert await proxy.stat("mesh_trace.gaps") == 0
            await ask(proxy.tcp, b"/forgets")
            await ask(proxy.tcp, b"/forgets-again")
            assert await proxy.stat("mesh_trace.gaps") == 2
            assert await caller.response() is not None
        await proxy.until("http.in.downstream_rq_active", 0)
        await ask(proxy.tcp, b"/alone-again")
        assert await proxy.stat("mesh_trace.gaps") == 2
        assert "envoy_mesh_trace_gaps 2" in await proxy.get("/stats/prometheus?filter=mesh_trace")
        log = await asyncio.to_thread(proxy.process.log)
        assert log.count("trace gap: ") == 1
        assert "trace gap: reviews asked ratings without the trace context" in log
