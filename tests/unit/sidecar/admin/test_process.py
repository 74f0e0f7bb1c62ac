from __future__ import annotations

from sidecar.admin import process
from sidecar.process.hostinfo import memory
from sidecar.telemetry.stats import Stats
from tests.unit.sidecar.admin.fakes import FakeRuntime, reviews


def test_the_version_has_envoys_five_parts() -> None:
    assert len(process.version().split("/")) == 5


def test_memory_is_in_bytes_as_text() -> None:
    found = memory()
    assert set(found) >= {"allocated", "heap_size", "total_physical_bytes"}
    assert int(found["total_physical_bytes"]) > 1_000_000


def values(stats: Stats) -> dict[str, float]:
    return {stat.name: getattr(stat.cell, "value", 0) for part in stats.parts() for stat in part}


def test_gauges_follow_the_runtime() -> None:
    stats, runtime = Stats(), FakeRuntime(ready=False)
    process.register(stats, runtime)
    assert (values(stats)["server.live"], values(stats)["server.state"]) == (0, 2)
    runtime.ready = True
    runtime.add(reviews())
    found = values(stats)
    assert (found["server.live"], found["server.state"], found["cluster_manager.active_clusters"]) == (1, 0, 1)
    assert found["server.memory_physical_size"] > 1_000_000
    runtime.health.failed = True
    assert (values(stats)["server.live"], values(stats)["server.state"]) == (0, 1)
