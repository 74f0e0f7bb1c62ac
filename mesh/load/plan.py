"""A load as it is asked for: all that its processes have to know, as plain data between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mesh.load.schedule import Constant, Poisson, Ramp, Replay, Schedule, Steps
from mesh.load.template import RequestSpec

HTTP1, HTTP2, GRPC = "http1", "h2", "grpc"
SCHEDULES: dict[str, type] = {each.__name__: each for each in (Constant, Poisson, Ramp, Steps, Replay)}


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` and `count` bound it, 0 is no bound of that kind; one of both is set, or the schedule is finite. A replay
    has `order`: which request each of its moments is of. `protocol` is HTTP1, HTTP2 or GRPC (unary calls)."""

    requests: tuple[RequestSpec, ...]
    schedule: Schedule
    seconds: float = 0.0
    count: int = 0
    connections: int = 64
    timeout: float = 10.0
    processes: int = 1
    keep_alive: bool = True
    proxy: str = ""
    label_header: str = ""
    seed: int = 1
    order: tuple[int, ...] = ()
    protocol: str = HTTP1

    def encode(self) -> dict[str, Any]:
        schedule = {"type": type(self.schedule).__name__, **asdict(self.schedule)}  # type: ignore[call-overload]
        return {**asdict(self), "requests": [asdict(each) for each in self.requests], "schedule": schedule}

    @classmethod
    def decode(cls, data: Mapping[str, Any]) -> Plan:
        schedule = dict(data["schedule"])
        kind = SCHEDULES[schedule.pop("type")]
        fields = {name: _tuples(value) for name, value in schedule.items()}
        requests = tuple(RequestSpec(**each) for each in data["requests"])
        return cls(**{**data, "requests": requests, "schedule": kind(**fields), "order": tuple(data["order"])})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
