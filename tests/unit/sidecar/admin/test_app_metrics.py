"""An app's metrics behind the proxy's, from real apps of every kind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families as parse

from sidecar.admin import AdminServer, app_metrics
from sidecar.telemetry.station import Telemetry
from sidecar.telemetry.stats import ClusterStats, Stats
from tests.harness.ports import free_port
from tests.unit.sidecar.admin.fakes import FakeRuntime
from tests.unit.sidecar.telemetry.exchanges import clock, node

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 7\n# TYPE orders counter\norders_total 3\n"


@asynccontextmanager
async def app(answer: Handler) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/metrics", answer)
    async with TestServer(application) as server:
        assert server.port
        yield server.port


async def scrape(port: int, times: int = 1, **headers: str) -> str:
    telemetry = Telemetry(Stats(), node(), asyncio.get_running_loop(), clock=clock())
    ClusterStats(telemetry.stats, "up").complete(200, 3.0)
    mine = app_metrics.of(replace(node(), app_metrics=f":{port}/metrics")) if port else None
    admin = AdminServer(FakeRuntime(), telemetry, app=mine)
    try:
        async with TestClient(TestServer(admin.application())) as client:
            for _ in range(times):
                async with client.get("/stats/merged", headers=headers) as response:
                    assert response.status == 200
                    found = await response.text()
    finally:
        await telemetry.close()
    return found


def values(text: str) -> dict[str, float]:
    samples = [sample for family in parse(text) for sample in family.samples]
    assert len({(each.name, *sorted(each.labels.items())) for each in samples}) == len(samples), "nothing twice"
    return {each.name: each.value for each in samples}


def fixed(text: str, content_type: str = "text/plain", status: int = 200) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert "openmetrics" not in request.headers["Accept"]
        return web.Response(text=text, content_type=content_type, status=status)

    return answer


async def test_both_are_on_one_page() -> None:
    async with app(fixed(PAGE)) as port:
        found = values(await scrape(port))
    assert found["orders_total"] == 3
    assert found["envoy_cluster_upstream_rq_completed"] == 1
    assert found["process_cpu_seconds_total"] == 7, "the app's, not ours"
    assert (found["istio_agent_scrapes_total"], found["istio_agent_scrape_failures_total"]) == (1, 0)


async def test_openmetrics_that_nobody_asked_for_loses_its_end() -> None:
    async with app(fixed(PAGE + "# EOF\n", "application/openmetrics-text")) as port:
        text = await scrape(port)
    assert "# EOF" not in text and values(text)["orders_total"] == 3


async def _slow(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response(text=PAGE)


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"a 1\n" * 10_000)


async def _away(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://example.com/")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (fixed("no", status=500), "status 500"),
        (fixed("<html>", "text/html"), "no page of metrics"),
        (_slow, "no answer in time"),
        (_endless, "more than 100000 bytes"),
        (_away, "status 302"),
        (None, "Cannot connect"),
    ],
    ids=["500", "html", "slow", "endless", "redirect", "nobody"],
)
async def test_an_app_that_fails_costs_its_own_metrics(
    answer: Handler | None, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app_metrics, "MOST_BYTES", 100_000)
    caplog.set_level(logging.WARNING)
    patience: dict[str, Any] = {"X-Prometheus-Scrape-Timeout-Seconds": "0.5" if answer is _slow else "10"}
    if answer is None:
        found = values(await scrape(free_port(), times=2, **patience))
    else:
        async with app(answer) as port:
            found = values(await scrape(port, times=2, **patience))
    assert found["istio_agent_scrape_failures_total"] == 2
    assert found["envoy_cluster_upstream_rq_completed"] == 1
    (message,) = [message for message in caplog.messages if "metrics of the app" in message]  # once
    assert said in message


async def test_without_an_app_it_is_the_proxys_page() -> None:
    found = values(await scrape(0))
    assert found["envoy_cluster_upstream_rq_completed"] == 1 and "istio_agent_scrapes_total" not in found
