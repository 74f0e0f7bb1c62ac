"""The states of several workers as one: what is counted is added, what all of them know alike is taken once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import itemgetter

from sidecar.telemetry.cells import Counter, Histogram
from sidecar.telemetry.process_metrics import SHARED
from sidecar.telemetry.registry import Stat
from sidecar.workers.state import Averages, Breaker, ClusterState, HostState, MetricState, Outlier, Series

# Every worker has the whole configuration: what is counted of it is the same in all of them, but for the moments in which
# one has heard of a change already and another has not.
_SAME = re.compile(
    r"^(listener_manager|cluster_manager)\.|\.(membership_|circuit_breakers\.|lb_subsets_active$|update_|version$)"
    r"|^overload\..*\.(pressure|active|scale_percent)$|\.mesh_circuit_breaker\.state$|\.health_check\.(healthy|degraded)$"
)
_ADDED = frozenset(
    ("active", "connections", "cx_total", "cx_connect_fail", "rq_total", "rq_success", "rq_error", "rq_timeout")
)
_RATES = frozenset(("success_rate", "local_success_rate"))
_EITHER = frozenset(each.name for each in fields(HostState) if each.type == "bool")
# The state that a reader has to know of, when workers are in several.
_WORST = ("open", "half-open", "closed")


def stats(workers: Sequence[Iterable[Stat]]) -> list[Stat]:
    """Cells by name; those of the first worker are written to."""
    found: dict[str, Stat] = {}
    for worker in workers:
        for stat in worker:
            known = found.setdefault(stat.name, stat)
            if known is not stat and type(known.cell) is type(stat.cell):
                _add(known, stat)
    return list(found.values())


def _add(known: Stat, more: Stat) -> None:
    cell, other = known.cell, more.cell
    if isinstance(cell, Histogram) and isinstance(other, Histogram):
        cell.merge(other)
    elif isinstance(cell, Histogram) or isinstance(other, Histogram):
        return
    elif _SAME.search(known.name):
        cell.value = max(cell.value, other.value)
    elif isinstance(cell, Counter):
        cell.value += int(other.value)
    else:
        cell.value += other.value


def clusters(workers: Sequence[Iterable[ClusterState]]) -> dict[str, ClusterState]:
    found: dict[str, list[ClusterState]] = {}
    for worker in workers:
        for cluster in worker:
            found.setdefault(cluster.name, []).append(cluster)
    return {name: _cluster(name, states) for name, states in found.items()}


def _cluster(name: str, states: Sequence[ClusterState]) -> ClusterState:
    hosts: dict[tuple[str, int], list[HostState]] = {}
    for state in states:
        for host in state.hosts:
            hosts.setdefault((str(host.address), host.locality.priority), []).append(host)
    outliers = [state.outlier for state in states if state.outlier is not None]
    outlier = None
    if outliers:
        outlier = Outlier(
            _averages([each.rates for each in outliers]), _averages([each.local_rates for each in outliers])
        )
    circuit = worst([state.circuit for state in states])
    return ClusterState(name, [_host(same) for same in hosts.values()], outlier, circuit)


def _host(states: Sequence[HostState]) -> HostState:
    first, *others = states
    for other in others:
        for name in _ADDED:
            setattr(first, name, getattr(first, name) + getattr(other, name))
        for name in _EITHER:
            setattr(first, name, getattr(first, name) or getattr(other, name))
    for name in _RATES:
        setattr(first, name, _mean([getattr(state, name) for state in states]))
    first.breaker = worst([state.breaker for state in states])
    return first


def _averages(found: Sequence[Averages]) -> Averages:
    return Averages(_mean([each.average for each in found]), _mean([each.threshold for each in found]))


def _mean(values: Sequence[float]) -> float:
    """Of those that are known; -1 stands for unknown."""
    known = [value for value in values if value >= 0]
    return sum(known) / len(known) if known else -1.0


def worst(breakers: Sequence[Breaker | None]) -> Breaker | None:
    """The breaker that blocks most, None when there is none."""
    found = [breaker for breaker in breakers if breaker is not None]
    return min(found, key=lambda each: _WORST.index(each.state) if each.state in _WORST else 0, default=None)


def metrics(workers: Sequence[Iterable[MetricState]]) -> list[MetricState]:
    found: dict[str, MetricState] = {}
    for worker in workers:
        for metric in worker:
            known = found.setdefault(metric.name, metric)
            if known is not metric and metric.name not in SHARED:
                _add_series(known, metric.series)
    return list(found.values())


def _add_series(metric: MetricState, more: Iterable[Series]) -> None:
    known = {series.text: series for series in metric.series}
    for series in more:
        same = known.get(series.text)
        if same is None:
            metric.series.append(series)
        elif isinstance(same.value, tuple):
            counts = [one + other for one, other in zip(same.value[0], series.value[0], strict=True)]
            same.value = counts, same.value[1] + series.value[1]
            for at, exemplar in series.exemplars.items():
                same.exemplars[at] = max(exemplar, same.exemplars.get(at, exemplar), key=itemgetter(2))  # the latest
        else:
            same.value += series.value


def memory(processes: Iterable[dict[str, str]]) -> dict[str, str]:
    """Bytes by name, added."""
    total: dict[str, int] = {}
    for process in processes:
        for name, value in process.items():
            total[name] = total.get(name, 0) + int(value)
    return {name: str(value) for name, value in total.items()}
