"""Which hosts a retry passes over: Envoy's retry host predicates, compiled. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sidecar.config.model import RetryPolicy

# Takes a host and those that attempts were made to; True rejects it.
HostTest = Callable[[Any, Sequence[Any]], bool]


def host_tests(policy: RetryPolicy) -> tuple[HostTest, ...]:
    tests: list[HostTest] = []
    if policy.avoid_previous_hosts:
        tests.append(lambda host, tried: host in tried)
    if policy.omit_canaries:
        tests.append(lambda host, _tried: _labels(host).get("canary") is True)
    tests.extend(_omitting(labels) for labels in policy.omit_metadata)
    return tuple(tests)


def _omitting(wanted: Mapping[str, Any]) -> HostTest:
    """Rejects hosts with all these labels; a host's list stands for any of its entries."""

    def test(host: Any, _tried: Sequence[Any]) -> bool:
        labels = _labels(host)
        return all(name in labels and _has(labels[name], value) for name, value in wanted.items())

    return test


def _has(label: Any, value: Any) -> bool:
    return bool(label == value) or (isinstance(label, list) and value in label)


def _labels(host: Any) -> Mapping[str, Any]:
    labels = host.metadata.get("envoy.lb", {})
    return labels if isinstance(labels, Mapping) else {}


class PreviousPriorities:
    """The priorities that one request's attempts were made at. After every `frequency` of them the retries leave out all
    that were tried; when nothing usable is left, it begins anew."""

    __slots__ = ("_frequency", "_left_out", "_tried")

    def __init__(self, frequency: int) -> None:
        self._frequency = frequency
        self._tried: list[int] = []
        self._left_out: frozenset[int] = frozenset()

    def attempted(self, priority: int) -> None:
        self._tried.append(priority)

    def left_out(self, usable_without: Callable[[frozenset[int]], bool]) -> frozenset[int]:
        """What the next attempt leaves out."""
        if self._tried and len(self._tried) % self._frequency == 0:
            self._left_out |= frozenset(self._tried)
            if not usable_without(self._left_out):
                self._left_out = frozenset()
                self._tried.clear()
        return self._left_out
