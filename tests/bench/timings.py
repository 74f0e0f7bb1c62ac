"""What configuration costs: how long a proxy takes to start with it, to take a change of it, and how much it holds."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mesh.xds import ENDPOINT, ROUTE
from tests.bench import bootstraps, churn, growth, measure, memory, proxies, scrape
from tests.bench.bootstraps import Ports
from tests.bench.plane import Plane, dynamic, resources
from tests.bench.report import Goal, markdown
from tests.bench.run import READY_SECONDS, Options, started_upstream
from tests.harness.ports import free_port
from tests.harness.process import Process

ROUTES, CLUSTERS, ENDPOINTS = 10_000, 1_000, 10
POLL_SECONDS = 0.001
SETTLE_SECONDS = 0.5

Figures = dict[str, dict[str, list[float]]]  # by row and what was measured, a value a round
Bootstrap = Callable[[Ports], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Timing:
    """`run` measures all proxies; `divisor` makes everything so many times smaller."""

    name: str
    about: str
    run: Callable[[Options, Path, int], Figures]


def _started(make: Callable[[int], Bootstrap], options: Options, folder: Path, divisor: int) -> Figures:
    """From a file: seconds until the first answer."""
    found: Figures = {}
    with _upstream(options, folder) as upstream:
        for number in range(options.rounds):
            for name in options.competitors(references=False):
                ports = Ports(free_port(), free_port(), upstream, str(folder / "access.log"))
                path = folder / f"{name}-{number}.yaml"
                command = proxies.started_from(name, make(divisor)(ports), path)
                if command is not None:
                    with _running(name, command, ports, options, folder, found.setdefault(name, {})):
                        pass
    return found


@contextlib.contextmanager
def _running(
    name: str, command: list[str], ports: Ports, options: Options, folder: Path, figures: dict[str, list[float]]
) -> Iterator[Process]:
    """A proxy that has answered its first request; what it took until then goes to `figures`."""
    began = time.perf_counter()
    with measure.starting_on(measure.cores()[1]):
        process = Process(command, folder / f"{name}-{ports.listener}.log", options.environment(name))
    with process:
        process.wait_ready(lambda: _status(ports.listener, "/") == 200, READY_SECONDS)
        _note(figures, "seconds to the first answer", time.perf_counter() - began)
        _note(figures, "CPU seconds", measure.cpu_ns(process.pid) / 1e9)
        time.sleep(SETTLE_SECONDS)
        _note(figures, "MiB resident", measure.resident_mib(process.pid))
        _note(figures, "MiB at most", measure.peak_mib(process.pid))
        yield process


def _updated(options: Options, folder: Path, divisor: int) -> Figures:
    """Over ADS: the start, then changes, each until it serves."""
    found: Figures = {}
    with _upstream(options, folder) as upstream:
        for number in range(options.rounds):
            for name in options.competitors(references=False):
                ports = Ports(free_port(), free_port(), upstream, "")
                figures = found.setdefault(name, {})
                _updated_once(name, ports, options, folder / f"{name}-{number}", divisor, found, figures)
    return found


def _updated_once(
    name: str,
    ports: Ports,
    options: Options,
    folder: Path,
    divisor: int,
    found: Figures,
    figures: dict[str, list[float]],
) -> None:
    folder.mkdir()
    whole = growth.scale(ports, ROUTES // divisor, max(2, CLUSTERS // divisor), ENDPOINTS)
    states = _States(whole, ports, 10_000 // divisor)
    extra = () if name == proxies.ENVOY else ("--state-dir", str(folder / "state"))
    with measure.starting_on(measure.cores()[0]), Plane() as plane:
        plane.publish(states.resources)
        command = proxies.started_from(name, dynamic(whole, plane.port), folder / "bootstrap.yaml", *extra)
        if command is None:
            return
        with _running(name, command, ports, options, folder, figures) as process:
            for what, path, before, after, change in states.changes():
                _await(ports.listener, path, before)
                used, began = measure.cpu_ns(process.pid), time.perf_counter()
                change()
                plane.publish(states.resources)
                _await(ports.listener, path, after)
                _note(figures, f"{what}, s", time.perf_counter() - began)
                time.sleep(SETTLE_SECONDS)
                _note(figures, f"{what}, CPU s", (measure.cpu_ns(process.pid) - used) / 1e9)
    if extra:  # the control plane is gone; what it said is on disk
        row = found.setdefault(f"{name}, from its own disk", {})
        with _running(name, command, ports, options, folder, row):
            pass
    shutil.rmtree(folder)


class _States:
    """The resources of the moment, and changes of them that a request can see."""

    def __init__(self, whole: dict[str, Any], ports: Ports, many: int) -> None:
        static = whole["static_resources"]
        hcm = static["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        routes = hcm["route_config"]["virtual_hosts"][0]["routes"]
        routes[:0] = [
            {"match": {"path": "/version"}, "direct_response": {"status": 201}},
            {"match": {"path": "/one"}, "route": {"cluster": "one"}},
            {"match": {"path": "/many"}, "route": {"cluster": "many"}},
        ]
        one = bootstraps.cluster("one", ports.upstream, ENDPOINTS)
        many_hosts = bootstraps.cluster("many", ports.upstream, many)
        many_hosts["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
        for endpoint in many_hosts["load_assignment"]["endpoints"][0]["lb_endpoints"][1:]:
            endpoint["health_status"] = "UNHEALTHY"
        static["clusters"] += [one, many_hosts]
        self.resources = resources(whole)

    def changes(self) -> Iterator[tuple[str, str, int, int, Callable[[], None]]]:
        """(what changes, a path that shows it, its status before, its status after, how to change it)."""
        yield "one of all routes", "/version", 201, 202, self._route
        yield "a cluster's 10 endpoints", "/one", 200, 503, self._no_endpoints
        yield "1 of 10,000 endpoints", "/many", 200, 503, self._one_endpoint_less

    def _route(self) -> None:
        self._changed(ROUTE, "routes").virtual_hosts[0].routes[0].direct_response.status = 202

    def _no_endpoints(self) -> None:
        del self._changed(ENDPOINT, "one").endpoints[:]

    def _one_endpoint_less(self) -> None:
        del self._changed(ENDPOINT, "many").endpoints[0].lb_endpoints[0]

    def _changed(self, type_url: str, name: str) -> Any:
        """A copy in the place of a resource: what was published must not change."""
        old = self.resources[type_url][name]
        new = type(old)()
        new.CopyFrom(old)
        self.resources = {**self.resources, type_url: {**self.resources[type_url], name: new}}
        return new


@contextlib.contextmanager
def _upstream(options: Options, folder: Path) -> Iterator[int]:
    with measure.starting_on(measure.cores()[0]), started_upstream(options.built_in, folder) as port:
        yield port


def _await(port: int, path: str, status: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while (found := _status(port, path)) != status:
        if time.monotonic() > until:
            raise AssertionError(f"{path} answers {found}, not {status}, after {READY_SECONDS} s")
        time.sleep(POLL_SECONDS)


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _note(figures: dict[str, list[float]], what: str, value: float) -> None:
    figures.setdefault(what, []).append(value)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def table(timing: Timing, found: Figures) -> str:
    """A row per figure, a column per proxy: median, lowest and highest, and how many times Envoy's."""
    rows = []
    for what in dict.fromkeys(what for figures in found.values() for what in figures):
        cells = [_cell(figures.get(what), (found.get(proxies.ENVOY) or {}).get(what)) for figures in found.values()]
        rows.append([what, *cells])
    return f"### {timing.name}\n\n{timing.about}\n\n{markdown(['', *found], rows)}"


def _cell(values: list[float] | None, envoy: list[float] | None) -> str:
    if not values:
        return ""
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 2 if middle >= 0.1 else 3
    text = f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"
    return text if envoy is None or envoy is values else f"{text} {_ratio(middle, statistics.median(envoy))}"


def _ratio(value: float, to: float) -> str:
    return f"{value / to:.2f} ×" if to else ""


def goals(timing: Timing, found: Mapping[str, Mapping[str, list[float]]]) -> list[Goal]:
    """Memory is to be at most Envoy's; times are shown beside its, as (case, what, at most, measured)."""
    ours, envoy = found.get(proxies.OURS), found.get(proxies.ENVOY)
    if not ours or not envoy:
        return []

    def ratio(what: str) -> float:
        return statistics.median(ours[what]) / statistics.median(envoy[what])

    if timing.run is churn.run:
        return [
            Goal(timing.name, f"time of a connect, {each} at a time", 2.0, 1 / ratio(churn.rate(each)))
            for each in churn.AT_A_TIME
        ]
    if timing.run is scrape.run:
        return [
            Goal(timing.name, "CPU ms of a scrape, of 100", 1.0, statistics.median(ours["CPU ms of a scrape"]) / 100)
        ]
    return [Goal(timing.name, "resident memory", 1.0, ratio("MiB resident"))]


def _plain(_divisor: int) -> Bootstrap:
    return bootstraps.plain


def _scale(divisor: int) -> Bootstrap:
    return partial(growth.scale, routes=ROUTES // divisor, clusters=max(1, CLUSTERS // divisor), endpoints=ENDPOINTS)


SIZE = f"{ROUTES:,} routes in one virtual host over {CLUSTERS:,} clusters × {ENDPOINTS} endpoints"
TIMINGS: dict[str, Timing] = {
    timing.name: timing
    for timing in (
        Timing("start-plain", "start-up from a file with one route", partial(_started, _plain)),
        Timing("start-scale", f"start-up from a file with {SIZE}", partial(_started, _scale)),
        Timing(
            "updates",
            f"start-up over delta ADS with {SIZE} and a cluster of 10,000 endpoints, then changes, each from the moment the "
            "control plane has it until it serves (its work is in there, the same for both)",
            _updated,
        ),
        Timing("churn", "connections that serve one request each, so many at a time", churn.run),
        Timing(
            "h2-memory",
            f"{memory.CONNECTIONS:,} connections × {memory.STREAMS} streams over HTTP/2, none of which is answered yet",
            memory.run,
        ),
        Timing("scrape", f"Prometheus scrapes a proxy that has served {scrape.SERVICES} services", scrape.run),
    )
}
