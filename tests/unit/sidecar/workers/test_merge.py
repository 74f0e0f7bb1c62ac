"""Several workers as one: sums, what is the same in all, and what is worst."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config import model
from sidecar.telemetry.cells import Counter, Gauge, Histogram
from sidecar.telemetry.registry import Stat, Stats, describe
from sidecar.workers import merge
from sidecar.workers.state import Averages, Breaker, ClusterState, HostState, MetricState, Outlier, Series
from tests.unit.sidecar.admin.fakes import FakeHost

ADDRESS = model.Address("10.0.0.1", 80)


def counted(name: str, *values: int, kind: type[Counter] | type[Gauge] = Counter) -> list[list[Stat]]:
    """A statistic in as many workers as there are values."""
    workers = []
    for value in values:
        cell = kind()
        cell.value = value
        workers.append([Stat(name, cell, *describe(name))])
    return workers


def value(workers: list[list[Stat]]) -> float:
    [stat] = merge.stats(workers)
    assert not isinstance(stat.cell, Histogram)
    return stat.cell.value


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("http.in.downstream_rq_active", 5),
        ("cluster.up.upstream_cx_active", 5),
        ("cluster.up.membership_total", 3),
        ("cluster.up.circuit_breakers.default.cx_open", 3),
        ("cluster.up.mesh_circuit_breaker.state", 3),
        ("listener_manager.total_listeners_active", 3),
        ("cluster.up.health_check.healthy", 3),
        ("cluster.up.health_check.attempt", 5),
    ],
)
def test_what_all_of_them_know_is_not_added(name: str, wanted: int) -> None:
    assert value(counted(name, 2, 3, kind=Gauge)) == wanted


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_counters_are_added(values: list[int]) -> None:
    assert value(counted("a.b", *values)) == sum(values)


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=20), min_size=1, max_size=4), st.data())
def test_histograms_are_as_if_one_had_recorded_everything(workers: list[list[float]], data: st.DataObject) -> None:
    whole, parts = Histogram(), []
    latched = [data.draw(st.integers(0, len(values))) for values in workers]
    for values, at in zip(workers, latched, strict=True):
        part = Histogram()
        for value in values[:at]:
            part.record(value)
            whole.record(value)
        part.latch()
        parts.append(part)
    whole.latch()
    for part, values, at in zip(parts, workers, latched, strict=True):
        for value in values[at:]:
            part.record(value)
            whole.record(value)
    [stat] = merge.stats([[Stat("a.b", part, *describe("a.b"))] for part in parts])
    assert isinstance(stat.cell, Histogram)
    assert (stat.cell.bins, stat.cell.interval()) == (whole.bins, whole.interval())
    assert stat.cell.sum == pytest.approx(whole.sum)


def test_what_only_one_has_is_there_too() -> None:
    assert {stat.name for stat in merge.stats([*counted("a", 1), *counted("b", 1)])} == {"a", "b"}


def test_a_worker_s_statistics_survive_the_way() -> None:
    stats = Stats()
    stats.histogram("h").record(5.0)
    stats.counter("c").value = 3
    sent = [stat for part in stats.parts() for stat in part]
    again = pickle.loads(pickle.dumps(sent))
    assert [(stat.name, type(stat.cell)) for stat in again] == [(stat.name, type(stat.cell)) for stat in sent]


# ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def host(**fields: Any) -> HostState:
    made = HostState.of(FakeHost(ADDRESS))
    for name in ("active", "connections", "rq_total"):
        setattr(made, name, 1)
    made.breaker, made.ejected, made.success_rate = None, False, -1.0
    for name, given_ in fields.items():
        setattr(made, name, given_)
    return made


def merged(*hosts: HostState) -> HostState:
    workers: Sequence[list[ClusterState]] = [[ClusterState("up", [each], None, None)] for each in hosts]
    [found] = merge.clusters(workers)["up"].hosts
    return found


def test_hosts_are_one_with_all_they_did() -> None:
    found = merged(host(rq_total=3), host(rq_total=4, ejected=True, breaker=Breaker("open", "5xx")), host())
    assert (found.rq_total, found.active, found.ejected) == (8, 3, True)
    assert found.breaker == Breaker("open", "5xx")


def test_rates_are_those_of_who_knows() -> None:
    assert merged(host(success_rate=50.0), host(success_rate=-1.0), host(success_rate=100.0)).success_rate == 75.0
    assert merged(host(), host()).success_rate == -1.0


def test_a_host_of_two_priorities_is_two() -> None:
    second = host(locality=model.LocalityEndpoints((), priority=1))
    workers = [[ClusterState("up", [host(), second], None, None)]] * 1
    assert len(merge.clusters(workers)["up"].hosts) == 2


def test_the_worst_breaker_is_shown() -> None:
    states = [Breaker("closed", ""), Breaker("half-open", "x"), None]
    assert merge.worst(states) == Breaker("half-open", "x")
    assert merge.worst([None, None]) is None


def test_outlier_averages_are_averaged() -> None:
    outlier = [Outlier(Averages(average, -1.0), Averages(-1.0, -1.0)) for average in (80.0, 100.0)]
    found = merge.clusters([[ClusterState("up", [], each, None)] for each in outlier])["up"].outlier
    assert found == Outlier(Averages(90.0, -1.0), Averages(-1.0, -1.0))


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_series_are_added_by_their_labels() -> None:
    def worker(*series: tuple[str, Any]) -> list[MetricState]:
        return [MetricState("m", "counter", "", [Series((), text, value) for text, value in series])]

    [found] = merge.metrics([worker(("a", 1), ("b", ([1, 2], 3.0))), worker(("b", ([1, 1], 1.0)), ("c", 5), ("a", 1))])
    assert {series.text: series.value for series in found.series} == {"a": 2, "b": ([2, 3], 4.0), "c": 5}


def test_of_two_exemplars_of_a_bucket_the_later_one_is_shown() -> None:
    def worker(exemplars: dict[int, tuple[str, float, float]]) -> list[MetricState]:
        return [MetricState("m", "histogram", "", [Series((), "a", ([1, 2], 3.0), exemplars)])]

    old, new, only = ("aa", 1.0, 100.0), ("bb", 1.5, 200.0), ("cc", 9.0, 50.0)
    for one, other in (({0: old, 1: only}, {0: new}), ({0: new}, {0: old, 1: only})):
        [found] = merge.metrics([worker(dict(one)), worker(dict(other))])
        assert found.series[0].exemplars == {0: new, 1: only}


def test_memory_is_that_of_all_processes() -> None:
    assert merge.memory([{"allocated": "1"}, {"allocated": "2", "heap_size": "3"}]) == {
        "allocated": "3",
        "heap_size": "3",
    }
