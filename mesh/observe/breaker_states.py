"""Circuit breakers, limits and ejections of all proxies, edge by edge: from their /breakers and their statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh.circuit_state import CircuitState
from mesh.naming import ClusterName

_WORST: Final = tuple(reversed(CircuitState))  # first
ANY_HOST: Final = "*"  # the breaker of a cluster as a whole


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Whether one caller uses a service, or one of its endpoints. `why` is in the proxy's words, `since` is Unix seconds
    and 0.0 where nobody remembers a change; the counts are of the breaker's window, -1 where it has none."""

    caller: str
    cluster: str
    service: str
    subset: str
    host: str
    state: str
    why: str = ""
    since: float = 0.0
    requests: int = -1
    failed: int = -1
    slow: int = -1
    opens_at: str = ""

    @property
    def whole(self) -> bool:
        return self.host == ANY_HOST


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker that changed its state."""

    at: float
    caller: str
    service: str
    host: str
    state: str
    why: str


def states(answers: Mapping[str, Any]) -> list[BreakerState]:
    """What proxies answered (their /breakers, by pod): what blocks first, then by caller and service."""
    found = [
        _state(pod, breaker, answer.get("events", ()))
        for pod, answer in answers.items()
        for breaker in answer.get("breakers", ())
        if breaker["cluster"].startswith("outbound|")
    ]
    return sorted(found, key=lambda each: (_rank(each.state), each.caller, each.service, each.subset, each.host))


def changes(answers: Mapping[str, Any]) -> list[Change]:
    """The changes that proxies remember, newest first."""
    found = [
        Change(event["at"], pod, _service(event["cluster"]), event["host"], event["state"], event["reason"])
        for pod, answer in answers.items()
        for event in answer.get("events", ())
        if event["cluster"].startswith("outbound|")
    ]
    return sorted(found, key=lambda change: -change.at)


def _state(pod: str, breaker: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> BreakerState:
    cluster, host, state = str(breaker["cluster"]), str(breaker["host"]), str(breaker["state"])
    last = next((event for event in events if event["cluster"] == cluster and event["host"] == host), None)
    window = breaker.get("window") or {}
    name = ClusterName.parse(cluster)
    return BreakerState(
        pod,
        cluster,
        _service(cluster),
        (name.subset or "") if name is not None else "",
        host,
        state,
        str(breaker.get("reason") or (last["reason"] if last is not None and state != CircuitState.CLOSED else "")),
        float(last["at"]) if last is not None else 0.0,
        int(window.get("requests", -1)),
        int(window.get("failed", -1)),
        int(window.get("slow", -1)),
        str(breaker.get("opens_at", "")),
    )


def _service(cluster: str) -> str:
    name = ClusterName.parse(cluster)
    return name.host.partition(".")[0] if name is not None and name.host else cluster


def _rank(state: str) -> int:
    return _WORST.index(state) if state in _WORST else len(_WORST)
