"""`filter_metadata["mesh.circuit_breaker"]` of a cluster → CircuitBreaker. An Envoy takes it for metadata and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.config.model import CircuitBreaker
from sidecar.config.reader import Reader

KEY: Final = "mesh.circuit_breaker"

_COUNTS: Final = {"consecutive_failures": 1, "minimum_requests": 1, "half_open_requests": 1}
_PERCENTS: Final = ("failure_rate", "slow_call_rate")
_SECONDS: Final = ("window", "open_time", "slow_call_duration")
_LONGEST: Final = 3600.0


def circuit_breaker(reader: Reader, metadata: Mapping[str, Mapping[str, Any]]) -> CircuitBreaker | None:
    """The cluster's breaker, None when its metadata has none."""
    fields = metadata.get(KEY)
    if fields is None:
        return None

    def problem(name: str, message: str) -> None:
        reader.problem(message, f'metadata.filter_metadata["{KEY}"]' + (f".{name}" if name else ""))

    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _COUNTS:
            good = type(value) is int and _COUNTS[name] <= value <= 1_000_000
            wanted = f"a whole number from {_COUNTS[name]} to 1000000"
        elif name in _PERCENTS:
            good, wanted = type(value) in (int, float) and 0 < value <= 100, "a percentage above 0, at most 100"
        elif name in _SECONDS:
            good, wanted = type(value) in (int, float) and 0 < value <= _LONGEST, "seconds above 0, at most 3600"
        else:
            problem(name, "is not known")
            continue
        if good:
            values[name] = value
        else:
            problem(name, f"is {value!r}, must be {wanted}")
    compiled = CircuitBreaker(**values)
    if fields.keys().isdisjoint(("consecutive_failures", "failure_rate", "slow_call_rate")):
        problem("", "needs one of consecutive_failures, failure_rate and slow_call_rate")
    if compiled.slow_call_rate and "slow_call_duration" not in fields:
        problem("slow_call_duration", "is required with slow_call_rate")
    return compiled
