"""From pressure to what is shed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.overload_model import Overload, OverloadAction, ResourceMonitor, Trigger
from sidecar.process.overload import LoadShed, OverloadManager, per_process, pressure_of, share_of
from sidecar.telemetry.stats import Stats

HEAP = ResourceMonitor("heap", max_bytes=1000)
FILE = ResourceMonitor("file", path="/x")


class Setting:
    def __init__(self, *actions: OverloadAction) -> None:
        self.pressure: dict[str, float | str] = {"heap": 0.0, "file": 0.0}
        self.changes = 0
        self.stats = Stats()
        self.manager = OverloadManager(Overload((HEAP, FILE), actions), self.stats, self._changed, read=self._read)

    def _changed(self, _shed: LoadShed) -> None:
        self.changes += 1

    def _read(self, monitor: ResourceMonitor) -> float:
        return float(self.pressure[monitor.name])

    def at(self, **pressure: float | str) -> LoadShed:
        self.pressure |= pressure
        self.manager.look()
        return self.manager.shed

    def stat(self, name: str) -> float:
        return next(s.cell.value for part in self.stats.parts() for s in part if s.name == f"overload.{name}")  # type: ignore[union-attr]


def test_a_threshold_is_all_or_nothing() -> None:
    setting = Setting(OverloadAction("stop_accepting_requests", (Trigger("heap", 0.9, 0.9),)))
    assert setting.at(heap=0.89).stop_accepting_requests == 0.0
    assert setting.changes == 0
    assert setting.at(heap=0.9).stop_accepting_requests == 1.0
    assert setting.stat("envoy.overload_actions.stop_accepting_requests.active") == 1
    assert setting.stat("heap.pressure") == 90
    assert setting.at(heap=0.95).stop_accepting_requests == 1.0
    assert setting.changes == 1
    assert setting.at(heap=0.5).stop_accepting_requests == 0.0
    assert setting.changes == 2


def test_what_is_scaled_grows() -> None:
    setting = Setting(OverloadAction("disable_http_keepalive", (Trigger("file", 0.5, 0.9),)))
    assert setting.at(file=0.7).disable_http_keepalive == pytest.approx(0.5)
    assert setting.stat("envoy.overload_actions.disable_http_keepalive.scale_percent") == 50
    assert setting.stat("envoy.overload_actions.disable_http_keepalive.active") == 0


def test_the_trigger_that_asks_for_most_counts() -> None:
    triggers = (Trigger("heap", 0.9, 0.9), Trigger("file", 0.5, 1.0))
    setting = Setting(OverloadAction("reject_incoming_connections", triggers))
    assert setting.at(heap=0.1, file=0.75).reject_incoming_connections == 0.5
    assert setting.at(heap=1.0, file=0.75).reject_incoming_connections == 1.0


def test_what_cannot_be_read_leaves_things_as_they_are() -> None:
    setting = Setting(OverloadAction("stop_accepting_requests", (Trigger("file", 0.9, 0.9),)))
    setting.at(file=1.0)
    assert setting.at(file="nonsense").stop_accepting_requests == 1.0
    assert setting.stat("file.failed_updates") == 1


def test_shrink_heap_sheds_nothing() -> None:
    setting = Setting(OverloadAction("shrink_heap", (Trigger("heap", 0.9, 0.9),)))
    setting.at(heap=1.0)
    assert setting.changes == 0
    assert setting.stat("envoy.overload_actions.shrink_heap.active") == 1


@given(st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_a_share_is_between_nothing_and_all(pressure: float, one: float, other: float) -> None:
    begins, complete = sorted((one, other))
    assert 0.0 <= share_of(Trigger("x", begins, complete), pressure) <= 1.0


def test_a_share_is_drawn() -> None:
    shed = LoadShed(rng=random.Random(1))
    assert [sum(shed.draw(share) for _ in range(1000)) for share in (0.0, 1.0)] == [0, 1000]
    assert 450 < sum(shed.draw(0.5) for _ in range(1000)) < 550


def test_several_processes_share_the_limits() -> None:
    shared = per_process(Overload((HEAP, FILE), max_connections=10), 4)
    assert (shared.max_connections, [monitor.max_bytes for monitor in shared.monitors]) == (3, [250, 0])
    assert per_process(Overload((HEAP,)), 4).max_connections == 0


def test_pressure_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pressure"
    path.write_text("0.75\n")
    assert pressure_of(ResourceMonitor("file", path=str(path))) == 0.75
    assert pressure_of(ResourceMonitor("heap", max_bytes=1)) > 1_000_000
