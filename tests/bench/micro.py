"""`python -m tests.bench.micro [STATION …]`: what each station of a request costs by itself, without a kernel, in µs.

So that a regression can be placed: the bench says that a request costs more, this says where. The best of several runs is
printed, the figure least disturbed by a busy machine; two of them compare only from one session.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Callable

import uvloop

from tests.bench import micro_path, micro_stations, micro_telemetry
from tests.bench.stopwatch import report


def _listed(station: Callable[[], list[tuple[str, Callable[[], object]]]]) -> Callable[[int], None]:
    def run(rounds: int) -> None:
        for what, operation in station():
            report(what, operation, rounds)

    return run


def _account(rounds: int) -> None:
    micro_telemetry.measure_logs(rounds)
    micro_telemetry.measure_metrics(rounds)
    micro_telemetry.measure_traces(rounds)
    asyncio.run(micro_telemetry.measure_scrape())


def _path(rounds: int) -> None:
    uvloop.run(micro_path.both(max(1, rounds // 100)))


STATIONS: dict[str, Callable[[int], None]] = {
    "parse": _listed(micro_stations.parse),
    "match": _listed(micro_stations.match),
    "balance": _listed(micro_stations.balance),
    "render": _listed(micro_stations.render),
    "account": _account,
    "path": _path,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.micro", description=__doc__)
    parser.add_argument("station", nargs="*", help=f"of: {', '.join(STATIONS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=20_000)
    options = parser.parse_args()
    if unknown := set(options.station) - set(STATIONS):
        parser.error(f"no such station: {', '.join(sorted(unknown))}")
    random.seed(1)
    for name in options.station or STATIONS:
        print(f"── {name}: µs per operation")
        STATIONS[name](options.rounds)


if __name__ == "__main__":
    main()
