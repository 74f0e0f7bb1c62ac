"""What proxies and a Prometheus may answer, and what is made of it."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control_plane.experiments import collector
from control_plane.experiments.collector import PrometheusCollector, ProxyCollector
from control_plane.registry.workload import Workload
from mesh.experiments.samples import Selection
from mesh.node import Node

HOST = "reviews.default.svc.cluster.local"
LABELS = {"reporter": "source", "destination_service": HOST, "destination_version": "v1", "response_code": "200"}


class Answers:
    """An HTTP server; `text` is what it answers, `moved` where it sends everybody instead."""

    def __init__(self) -> None:
        self.text = ""
        self.moved = ""
        self.paths: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        if self.moved and request.path != self.moved:
            return web.Response(status=302, headers={"location": self.moved}, text=self.text)
        return web.Response(text=self.text)


class Place:
    def __init__(self, answers: Answers, session: aiohttp.ClientSession, port: int) -> None:
        self.answers = answers
        self.prometheus = PrometheusCollector(session, f"http://127.0.0.1:{port}")
        node = Node("sidecar", "127.0.0.1", "a", metrics_port=port)
        self.proxies = ProxyCollector(session, lambda: [Workload(node)])


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    answers = Answers()
    app = web.Application()
    app.router.add_get("/{path:.*}", answers.handle)
    async with TestServer(app) as server, aiohttp.ClientSession(trust_env=False) as session:
        assert server.port is not None
        yield Place(answers, session, server.port)


def data(kind: str, result: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


def vector(*values: Any, **labels: str) -> str:
    return data("vector", [{"metric": {**LABELS, **labels}, "value": [1.0, value]} for value in values])


FOREIGN = {
    "a matrix": data("matrix", [{"metric": LABELS, "values": [[1.0, "1"], [2.0, "2"]]}]),
    "a string": data("string", [1.0, "text"]),
    "no result": data("vector", None),
    "a value that is none": data("vector", [{"metric": LABELS, "value": []}]),
    "labels that are none": data("vector", [{"metric": [], "value": [1.0, "1"]}]),
    "rows that are none": data("vector", [1]),
    "a scalar that is none": data("scalar", []),
    "a list": "[]",
    "deep": "[" * 100_000,
    "nothing": "",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_prometheus_that_answers_something_else_gives_nothing(place: Place, text: str) -> None:
    place.answers.text = text
    assert await place.prometheus.number("up[5m]") is None
    assert await place.prometheus.look(Selection(HOST)) == {}


async def test_a_query_gives_one_number_or_none(place: Place) -> None:
    for text, number in (
        (vector("2.5"), 2.5),
        (data("scalar", [1.0, "3"]), 3.0),
        (vector(), None),
        (vector("1", "2"), None),
        (vector("many"), None),
        (vector("+Inf"), math.inf),
    ):
        place.answers.text = text
        assert await place.prometheus.number("up") == number
    place.answers.text = vector("NaN")
    assert math.isnan(await place.prometheus.number("up") or 0.0)


async def test_rows_that_cannot_be_read_are_left_out(place: Place) -> None:
    place.answers.text = vector("many", "NaN", "7", job="j", instance="i")
    found = await place.prometheus.look(Selection(HOST))
    # Both metrics are answered with the same rows: those of the second have no bound.
    assert {proxy: [each.value for each in samples] for proxy, samples in found.items()} == {"j/i": [7.0]}


async def test_a_proxy_with_one_bad_line_is_heard(place: Place) -> None:
    pairs = ",".join(f'{name}="{value}"' for name, value in LABELS.items())
    bucket = f'istio_request_duration_milliseconds_bucket{{{pairs},le="x"}} 1'
    place.answers.text = f"istio_requests_total{{{pairs}}} many\n{bucket}\nistio_requests_total{{{pairs}}} 5\n"
    (samples,) = (await place.proxies.look(Selection(HOST))).values()
    assert [each.value for each in samples] == [5.0]


async def test_an_answer_without_an_end_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST_BYTES", 100_000)
    place.answers.text = " " * 100_000
    assert len(await place.proxies.look(Selection(HOST))) == 1
    place.answers.text += " "
    assert await place.proxies.look(Selection(HOST)) == {}


async def test_nobody_is_followed_elsewhere(place: Place) -> None:
    place.answers.text, place.answers.moved = vector("1"), "/elsewhere"
    assert await place.prometheus.number("up") is None
    assert await place.proxies.look(Selection(HOST)) == {}
    assert "/elsewhere" not in place.answers.paths
