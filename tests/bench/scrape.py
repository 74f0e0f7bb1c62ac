"""What a scrape costs a proxy that knows 200 services: its own time, and what requests notice of it."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench import growth, measure, proxies, tools
from tests.bench.bootstraps import Ports
from tests.bench.cases import CLIENT_HEADERS, Request
from tests.bench.load import BuiltIn, Wrk
from tests.bench.run import READY_SECONDS, Load, Options, listens, started_upstream
from tests.harness.ports import free_port
from tests.harness.process import Process

SERVICES = 200
EVERY_SECONDS = 1.0  # fifteen times as often as Prometheus does by default
CONNECTIONS = 4
ALONE = 5

Figures = dict[str, dict[str, list[float]]]  # as tests.bench.timings'


def run(options: Options, folder: Path, divisor: int) -> Figures:
    """Each proxy by itself: every service is called once, then the proxy is scraped alone, and under load."""
    count = max(1, SERVICES // divisor)
    requests = tuple(Request(headers=(f"Host: service-{number}", *CLIENT_HEADERS)) for number in range(count))
    load = _load(options, folder, requests)
    generator_core, proxy_core = measure.cores()
    found: Figures = {}
    with ExitStack() as stack:
        with measure.starting_on(generator_core):
            upstream = stack.enter_context(started_upstream(options.built_in, folder))
        for name in options.competitors(references=False):
            ports = Ports(free_port(), free_port(), upstream, "")
            bootstrap = growth.clusters(ports, count)
            bootstrap["static_resources"]["listeners"][0]["traffic_direction"] = "OUTBOUND"
            command = proxies.started_from(name, bootstrap, folder / f"{name}.yaml")
            if command is None:
                continue
            with measure.starting_on(proxy_core):
                process = Process(command, folder / f"{name}.log", options.environment(name))
            with process, measure.starting_on(generator_core):
                process.wait_ready(lambda at=ports.listener: listens(at), READY_SECONDS)  # type: ignore[misc]
                _measure(options, load, ports, count, process.pid, found.setdefault(name, {}))
    return found


def _measure(options: Options, load: Load, ports: Ports, count: int, pid: int, figures: dict[str, list[float]]) -> None:
    for number in range(count):
        assert _get(ports.listener, "/", f"service-{number}")[0] == 200
    for _ in range(options.rounds):
        for _ in range(ALONE):
            used = measure.cpu_ns(pid)
            seconds, size = _scrape(ports.admin)
            _note(figures, "CPU ms of a scrape", (measure.cpu_ns(pid) - used) / 1e6)
            _note(figures, "ms of a scrape", seconds * 1000)
        _note(figures, "KiB of a scrape", size / 1024)
        quiet = load.run(ports.listener, CONNECTIONS, options.seconds)
        with _Scraper(ports.admin) as scraper:
            scraped = load.run(ports.listener, CONNECTIONS, options.seconds)
        _note(figures, "p99 of requests, µs", quiet.p99)
        _note(figures, f"p99 while scraped every {EVERY_SECONDS:g} s, µs", scraped.p99)
        for seconds in scraper.seconds:
            _note(figures, "ms of a scrape under load", seconds * 1000)


class _Scraper:
    """Scrapes every second, from a thread, while it is entered."""

    def __init__(self, admin: int) -> None:
        self.seconds: list[float] = []
        self._admin = admin
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Scraper:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.seconds.append(_scrape(self._admin)[0])
            if self._end.wait(EVERY_SECONDS):
                return


def _scrape(admin: int) -> tuple[float, int]:
    began = time.perf_counter()
    status, body = _get(admin, "/stats/prometheus", "127.0.0.1")
    assert status == 200
    return time.perf_counter() - began, len(body)


def _get(port: int, path: str, host: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _note(figures: dict[str, list[float]], what: str, value: float) -> None:
    figures.setdefault(what, []).append(value)


def _load(options: Options, folder: Path, requests: tuple[Request, ...]) -> Load:
    wrk = None if options.built_in else tools.find("wrk")
    return BuiltIn(requests) if wrk is None else Wrk(wrk, requests, folder / "scrape.lua")
