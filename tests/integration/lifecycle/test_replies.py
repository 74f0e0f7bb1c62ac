"""Replies of the proxy's own say why: in a header to who may know, in the log, on the admin port."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.process import wait_until
from tests.harness.sidecar import sidecar_command
from tests.harness.upstream import Upstream
from tests.integration.lifecycle.proxy import Edit, Proxy, address

ISTIO = {"config": "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews"}
GONE = "outbound|9080|v9|reviews.shop.svc.cluster.local"
WHOLE = GONE.replace("v9", "")


def route(prefix: str, **action: Any) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, "route": action}


def cluster(name: str, port: int = 0, **more: Any) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}] if port else []
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}, **more}


def scene(upstream: int, closed: int, *, wish: str = "own", direction: str = "OUTBOUND") -> Edit:
    ejects = {"consecutive_5xx": 1, "enforcing_consecutive_5xx": 100, "max_ejection_percent": 100}
    calm = {"healthy_panic_threshold": {"value": 0}}
    routes = [
        route("/empty", cluster="empty"),
        route("/refused", cluster="closed", retry_policy={"retry_on": "connect-failure", "num_retries": 1}),
        route("/delay", cluster="up", timeout="0.1s"),
        route("/status", cluster="ejects"),
        route("/overflow", cluster="full"),
        route("/up", cluster="up"),
        route("/gone", cluster=GONE)
        | {"metadata": {"filter_metadata": {"istio": ISTIO, "mesh.origin": {"http": 2, "match": 0}}}},
    ]
    clusters = [
        cluster("up", upstream),
        cluster(WHOLE, upstream),
        cluster("empty"),
        cluster("closed", closed),
        cluster("ejects", upstream, outlier_detection=ejects, common_lb_config=calm),
        cluster("full", upstream, circuit_breakers={"thresholds": [{"max_requests": 0}]}),
    ]

    def edit(config: dict[str, Any]) -> None:
        config["node"]["metadata"] = {"EXPLAIN_REPLIES": wish}
        config["static_resources"]["clusters"] = clusters
        listener, _ = config["static_resources"]["listeners"]
        listener["traffic_direction"] = direction
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        log = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% why=%DYNAMIC_METADATA(mesh:why)%\n"
        manager["access_log"][0]["typed_config"]["log_format"]["text_format_source"]["inline_string"] = log
        manager["route_config"]["validate_clusters"] = False
        manager["route_config"]["virtual_hosts"] = [{"name": "shop", "domains": ["a"], "routes": routes}]

    return edit


async def why(proxy: Proxy, path: str, host: str = "a") -> str | None:
    async with Client(proxy.http) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        response = await client.response()
    assert response is not None
    return response.header("x-mesh-why")


@pytest.fixture
async def closed() -> int:
    return free_port()


async def test_05_21_22_errors_name_their_cause(tmp_path: Path, closed: int) -> None:
    """Of the complaints: 503s without a hint, opaque fail-fast errors, `no healthy upstream`."""
    async with (
        Upstream(free_port()) as upstream,
        Proxy("ours", tmp_path, upstream.port, edit=scene(upstream.port, closed)) as proxy,
    ):
        rule = "VirtualService shop/reviews http[2]"
        expected = {
            "/none": "no route: virtual host shop has 7 rules, none matched",
            "/empty": "no healthy upstream: cluster empty, it has no endpoints",
            "/gone": f"no cluster: no DestinationRule of reviews.shop.svc.cluster.local has a subset v9, {rule}",
            "/delay/1": f"too late: the route's time-out (0.1 s) is over: 127.0.0.1:{upstream.port} of up",
            "/overflow": "too much at once: cluster full is at a limit of its circuit breaker",
        }
        for path, text in expected.items():
            assert await why(proxy, path) == text
        assert await why(proxy, "/x", "nobody") == "no route: no virtual host is for nobody"
        refused = await why(proxy, "/refused")
        assert refused is not None
        assert refused.startswith(f"remote connection failure: 127.0.0.1:{closed} of closed, 2 tries (")
        assert "Connection refused" in refused

        assert await why(proxy, "/status/503") is None  # the upstream's own answer
        assert await why(proxy, "/status/503") == (
            "no healthy upstream: cluster ejects, 0 of 1 endpoints healthy (ejected 1)"
        )
        assert await why(proxy, "/up") is None

        page = json.loads(await proxy.get("/why"))["replies"]
        assert [each["why"] for each in page[: len(expected)]] == list(expected.values())
        assert page[0]["status"] == 404 and page[0]["details"] == "route_not_found" and page[0]["request_id"]
        last = page[-1]["at"]
        assert json.loads(await proxy.get(f"/why?after={last}"))["replies"] == []
        log = await asyncio.to_thread(wait_until, lambda: _whole(proxy.log, 10), 5, "the log")
        assert "404 route_not_found why=no route: virtual host shop has 7 rules, none matched\n" in log
        assert "200 via_upstream why=-\n" in log


def _whole(log: Path, lines: int) -> str:
    text = log.read_text() if log.exists() else ""
    return text if text.count("\n") >= lines else ""


@pytest.mark.parametrize(
    ("wish", "direction", "told"),
    [("own", "INBOUND", False), ("off", "OUTBOUND", False), ("all", "INBOUND", True), ("own", "OUTBOUND", True)],
)
async def test_who_is_told(tmp_path: Path, closed: int, wish: str, direction: str, told: bool) -> None:
    edit = scene(closed, closed, wish=wish, direction=direction)
    async with Proxy("ours", tmp_path, closed, edit=edit) as proxy:
        assert (await why(proxy, "/none") is not None) is told
        assert len(json.loads(await proxy.get("/why"))["replies"]) == 1


async def test_several_processes_tell_as_one(tmp_path: Path, closed: int) -> None:
    async with Proxy("ours", tmp_path, closed, "--concurrency", "2", edit=scene(closed, closed)) as proxy:
        for number in range(8):
            assert await why(proxy, f"/none/{number}") is not None
        assert len(json.loads(await proxy.get("/why"))["replies"]) == 8


def test_a_wish_that_is_none_is_refused(tmp_path: Path) -> None:
    wish = "node: {id: a, cluster: b, metadata: {EXPLAIN_REPLIES: yes}}"
    config = tmp_path / "x.yaml"
    config.write_text(wish.replace("yes", "sometimes"))
    done = subprocess.run([*sidecar_command(config), "--mode", "validate"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "x.yaml:1: node.metadata.EXPLAIN_REPLIES: 'sometimes' is not one of off, own, all" in done.stderr
