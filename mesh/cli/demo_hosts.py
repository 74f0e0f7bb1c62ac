"""Which endpoints a proxy has taken out of use, and what its circuit breakers did: from its admin port. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from mesh.circuit_state import CircuitState
from mesh.naming import ClusterName

# Envoy's page, which has no breakers' states, and our sidecar's, which has.
CLUSTERS_PAGE = "/clusters?filter=^outbound"
BREAKERS_PAGE = "/breakers"
FLAGS = {
    "/failed_outlier_check": "ejected after failures",
    "/failed_active_hc": "fails its health check",
    "/failed_eds_health": "unhealthy",
}


class BreakerEvent(NamedTuple):
    """`at` is Unix time; in the order of time."""

    at: float
    line: str


def out_of_use(texts: Mapping[str, str]) -> tuple[list[str], int]:
    """From the texts of CLUSTERS_PAGE by proxy: a line for each endpoint that is out of use, and how many are known."""
    known: set[str] = set()
    lines: dict[str, None] = {}
    for proxy, text in texts.items():
        for line in text.splitlines():
            parts = line.split("::")
            if len(parts) != 4 or parts[2] != "health_flags":
                continue
            known.add(parts[1])
            why = [words for flag, words in FLAGS.items() if flag in parts[3]]
            if why:
                lines[f"{proxy} → {_service(parts[0])} {parts[1]}: {', '.join(why)}"] = None
    return list(lines), len(known)


def breaker_events(texts: Mapping[str, str], since: float) -> list[BreakerEvent]:
    """From the texts of BREAKERS_PAGE by proxy ("" for a proxy without one): what happened after `since`."""
    events: set[BreakerEvent] = set()
    for proxy, text in texts.items():
        page: dict[str, Any] = json.loads(text) if text else {}
        for event in page.get("events", ()):
            if event["at"] > since:
                events.add(BreakerEvent(event["at"], _line(proxy, event)))
    return sorted(events)


def _line(proxy: str, event: Mapping[str, Any]) -> str:
    why = f": {event['reason']}" if event["reason"] and event["state"] != CircuitState.CLOSED else ""
    return f"{proxy} → {_service(event['cluster'])} {event['host']}: breaker {event['state']}{why}"


def _service(cluster: str) -> str:
    parsed = ClusterName.parse(cluster)
    return parsed.host.partition(".")[0] if parsed else cluster
