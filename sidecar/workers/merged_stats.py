"""The statistics that a supervisor shows: its own and its workers'."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecar.telemetry.registry import Cell, Family, Row, Stat, Stats, labels_text


class MergedStats(Stats):
    """The supervisor's own statistics, and those of its workers as they were last asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.merged: list[Stat] = []

    def parts(self) -> Iterator[Iterator[Stat]]:
        yield from super().parts()
        yield iter(self.merged)

    def families(self, wanted: Callable[[str, Cell], bool] | None = None) -> Iterator[Family]:
        found: dict[tuple[str, type[Cell]], Family] = {}
        for stat in (stat for part in self.parts() for stat in part):
            if wanted is None or wanted(stat.name, stat.cell):
                key = stat.family, type(stat.cell)
                row = Row(stat.cell, stat.labels, labels_text(stat.labels))
                found.setdefault(key, Family(*key, [])).rows.append(row)
        yield from found.values()
