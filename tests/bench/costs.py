"""What seeing costs: logs, traces, metrics, a scrape; and what there is before the first request. Writes docs/costs.md.

python -m tests.bench.costs --write docs/costs.md       # three minutes; compiled, if `make native` was run before
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mesh.version import VERSION
from tests.bench import bootstraps, document, measure, proxies, scrape
from tests.bench.bootstraps import Ports
from tests.bench.cases import Case, mesh_requests
from tests.bench.report import Sample, markdown, median
from tests.bench.run import READY_SECONDS, Options, Running, listens, load_for, rounds_of, started_upstream
from tests.harness.ports import free_port
from tests.harness.process import Process

IMAGE = "asyncmesh:local"
COMMAND_SECONDS = 30.0
_CONFIGURED = {
    "no log, no traces": partial(bootstraps.mesh, log=False, traced=None),
    "a JSON log": partial(bootstraps.mesh, traced=None),
    "1 % traced": partial(bootstraps.mesh, log=False, traced=1.0),
    "100 % traced": partial(bootstraps.mesh, log=False, traced=100.0),
    "a JSON log, 100 % traced": partial(bootstraps.mesh, traced=100.0),
}
CASES = {name: Case(name, "", make, mesh_requests(), latency=False) for name, make in _CONFIGURED.items()}

_PAGE = """\
# What it costs to see

Written by `python -m tests.bench.costs --write docs/costs.md`. Only figures of one table compare; see
[tests/bench/README.md](../tests/bench/README.md).

## A request

CPU time of the proxy for one request of the bench's case `mesh`: 200 virtual hosts × 10 routes, header operations, Istio's
metrics (which are always on, and which Envoy does not have here). Traces go to a collector over OTLP/HTTP.

{requests}
## A scrape

Of a proxy that has called {services} services, with everything it knows; `GET /stats/prometheus` without compression. What
requests notice of it: their 99th percentile without a scrape, and with one each second.

{scrapes}
## Before the first request

{rest}
## How it was taken

{how}
"""


@dataclass(frozen=True, slots=True)
class Ready:
    seconds: float
    mib: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.costs", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each proxy, in turn (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per round (default 2)")
    parser.add_argument("--proxies", default="envoy,mesh-sidecar", help="default envoy,mesh-sidecar")
    parser.add_argument("--built-in", action="store_true", help="no wrk, no nginx: our own load generator and upstream")
    parser.add_argument("--divisor", type=int, default=1, help="so many times fewer services in the scrape")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page that is kept")
    given = parser.parse_args(arguments)
    options = Options(
        rounds=given.rounds, seconds=given.seconds, proxies=tuple(given.proxies.split(",")), built_in=given.built_in
    )
    page = _page(options, given.divisor)
    print(page)
    if given.write is not None:
        given.write.write_text(page, encoding="utf-8")
    return 0


def _page(options: Options, divisor: int) -> str:
    waiting = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="mesh-costs-") as scratch:
        folder = Path(scratch)
        samples, ready = _requests(options, folder)
        scrapes = scrape.run(options, folder, divisor)
    how = [*document.how(options, ["mesh", "scrape"]), ("waiting for a processor before", f"{waiting:.0f} processes")]
    return _PAGE.format(
        requests=_request_table(samples),
        services=scrape.SERVICES // divisor,
        scrapes=_scrape_table(scrapes),
        rest=_rest_table(ready),
        how="\n".join(f"- {what}: {value}" for what, value in how if value),
    )


def _requests(options: Options, folder: Path) -> tuple[dict[str, list[Sample]], dict[str, Ready]]:
    """Samples by row, all proxies in turn; and how soon each proxy's first was ready, and how large it was then."""
    generator_core, proxy_core = measure.cores()
    ready: dict[str, Ready] = {}
    with contextlib.ExitStack() as stack:
        running: list[Running] = []
        for variant, case in CASES.items():
            for name in options.competitors(references=False):
                with measure.starting_on(generator_core):
                    upstream = stack.enter_context(started_upstream(options.built_in, folder))
                ports = Ports(free_port(), free_port(), upstream, str(folder / f"{name}-{len(running)}.log"))
                command = proxies.command(name, case, ports, folder)
                if command is None:
                    continue
                began = time.perf_counter()
                with measure.starting_on(proxy_core):
                    process = Process(command, folder / f"{name}-{ports.listener}.txt", options.environment(name))
                stack.callback(process.stop)
                process.wait_ready(lambda at=ports.listener: listens(at), READY_SECONDS)  # type: ignore[misc]
                seconds = time.perf_counter() - began
                ready.setdefault(name, Ready(seconds, measure.resident_mib(process.pid)))
                load = load_for(case, options, folder)
                running.append(Running(f"{name}, {variant}", load, ports.listener, process, Path(ports.log)))
        with measure.starting_on(generator_core):
            return rounds_of(next(iter(CASES.values())), running, options), ready


def _request_table(samples: Mapping[str, Sequence[Sample]]) -> str:
    rows = []
    for row, found in samples.items():
        name, _, variant = row.partition(", ")
        least = median(samples[f"{name}, {next(iter(CASES))}"], "cpu_us")
        cpu = [sample.cpu_us for sample in found]
        middle, errors = median(found, "cpu_us"), sum(sample.errors for sample in found)
        more = f"{middle - least:+.1f}" if middle != least else ""
        shown = variant + (f" ({errors} errors)" if errors else "")
        spread = f"{min(cpu):.1f}–{max(cpu):.1f}"
        rows.append([name, shown, f"{middle:.1f}", spread, more, f"{median(found, 'resident_mib'):.0f}"])
    titles = ["proxy", "what is seen", "µs CPU/request", "spread", "more than nothing", "MiB"]
    return markdown(titles, sorted(rows, key=lambda row: row[0]))


def _scrape_table(figures: scrape.Figures) -> str:
    rows = []
    for what in dict.fromkeys(what for found in figures.values() for what in found):
        cells = [statistics.median(found[what]) for found in figures.values()]
        rows.append([what, *(f"{cell:,.0f}" for cell in cells)])
    return markdown(["", *figures], rows)


def _rest_table(ready: Mapping[str, Ready]) -> str:
    start = "from its start until it serves the case's configuration"
    rows = [[f"{name}: {start}", f"{each.seconds:.2f} s"] for name, each in ready.items()]
    rows += [[f"{name}: resident then", f"{each.mib:.0f} MiB"] for name, each in ready.items()]
    rows += [[f"the image of everything, release {VERSION}", size] for size in (_image_size(),) if size]
    return markdown(["what", "cost"], rows)


def _image_size() -> str:
    """As the container engine tells; empty where there is none, or no image."""
    if shutil.which("docker") is None:
        return ""
    command = ["docker", "image", "inspect", "--format", "{{.Size}}", IMAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    return f"{int(done.stdout) / 1e6:.0f} MB" if done.returncode == 0 else ""


if __name__ == "__main__":
    raise SystemExit(main())
