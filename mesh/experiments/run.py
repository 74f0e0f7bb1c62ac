"""How far an experiment has come: what is kept of it, and how it is written down. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from mesh.experiments.data import Counts, Latencies

MOST_EVENTS: Final = 500
MOST_POINTS: Final = 400  # of the series that is kept for the report


class Phase(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    FINISHED = "finished"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        return self not in (Phase.RUNNING, Phase.PAUSED)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was decided or happened, and on what grounds."""

    time: float
    what: str
    reason: str = ""
    stage: int = 0
    weight: int = 0
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Brief:
    """What is shown of one version over time: everything counted so far. Quantiles in milliseconds."""

    requests: float
    failures: float
    p50: float | None
    p99: float | None


def brief(counts: Counts) -> Brief:
    latencies = counts.latencies
    return Brief(counts.requests, counts.failures, latencies.quantile(0.5), latencies.quantile(0.99))


@dataclass(frozen=True, slots=True)
class Point:
    """One look: what was asked for, the candidate's share of what came since the last look, and the versions so far."""

    time: float
    weight: int
    split: float | None
    baseline: Brief
    candidate: Brief


@dataclass(frozen=True, slots=True)
class Run:
    """Times are Unix times. `asked` is the fingerprint of what was asked for. `original` is the VirtualService before the
    experiment, None where there was none; `written` is what the experiment made of it last: another one is somebody's
    edit. `recovered` is since when a system has been what it was before a fault."""

    began: float
    phase: Phase = Phase.RUNNING
    reason: str = ""
    stage: int = 0
    stage_began: float = 0.0
    stage_requests: float = 0.0
    approved: bool = False
    original: Mapping[str, Any] | None = None
    written: Mapping[str, Any] | None = None
    ended: float = 0.0
    baseline: Counts = field(default_factory=Counts)
    candidate: Counts = field(default_factory=Counts)
    recovered: float = 0.0
    asked: str = ""
    events: tuple[Event, ...] = ()
    points: tuple[Point, ...] = ()

    def with_event(self, event: Event) -> Run:
        return replace(self, events=(*self.events, event)[-MOST_EVENTS:])

    def with_point(self, point: Point) -> Run:
        """Every other point is dropped when there are too many."""
        points = (*self.points, point)
        return replace(self, points=points if len(points) <= MOST_POINTS else (*points[:-1:2], points[-1]))

    def encode(self) -> dict[str, Any]:
        data = {name: getattr(self, name) for name in _PLAIN}
        return {
            **data,
            "asked": self.asked,
            "recovered": self.recovered,
            "phase": self.phase.value,
            "original": self.original,
            "written": self.written,
            "baseline": encode_counts(self.baseline),
            "candidate": encode_counts(self.candidate),
            "events": [{**asdict(event), "evidence": list(event.evidence)} for event in self.events],
            "points": [asdict(point) for point in self.points],
        }

    @classmethod
    def decode(cls, data: Mapping[str, Any]) -> Run:
        """Raises KeyError, TypeError or ValueError for what `encode` did not write."""
        return cls(
            **{name: data[name] for name in _PLAIN},
            asked=data.get("asked", ""),
            recovered=data.get("recovered", 0.0),
            phase=Phase(data["phase"]),
            original=data["original"],
            written=data["written"],
            baseline=decode_counts(data["baseline"]),
            candidate=decode_counts(data["candidate"]),
            events=tuple(Event(**{**row, "evidence": tuple(row["evidence"])}) for row in data["events"]),
            points=tuple(
                Point(**{**row, "baseline": Brief(**row["baseline"]), "candidate": Brief(**row["candidate"])})
                for row in data["points"]
            ),
        )


_PLAIN: Final = ("began", "reason", "stage", "stage_began", "stage_requests", "approved", "ended")


def encode_counts(counts: Counts) -> dict[str, Any]:
    latencies = counts.latencies
    return {
        "requests": counts.requests,
        "failures": counts.failures,
        "bounds": list(latencies.bounds),
        "counts": [round(each, 3) for each in latencies.counts],
        "total": latencies.total,
    }


def decode_counts(data: Mapping[str, Any]) -> Counts:
    latencies = Latencies(tuple(data["bounds"]), tuple(data["counts"]), data["total"])
    return Counts(data["requests"], data["failures"], latencies)
