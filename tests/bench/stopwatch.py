"""One operation's time: for the micro-benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

RUNS = 5


def report(what: str, operation: Callable[[], object], rounds: int) -> None:
    """Prints the best of the runs, without the cost of an empty call."""
    empty = min(repeat(lambda: None, number=rounds, repeat=RUNS))
    microseconds = max(min(repeat(operation, number=rounds, repeat=RUNS)) - empty, 0.0) / rounds * 1e6
    print(f"{microseconds:9.2f}  {what}")
