"""Conversations on a `Stage`, written down: after each step what the client and the upstreams got, what was counted, how
the hosts are judged, and what the access log would be told."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from unittest import mock

from sidecar.forward import mirror
from sidecar.http.exchange import Exchange
from sidecar.http.response_flags import flags_text
from sidecar.telemetry.cells import Histogram
from tests.harness.stage import Stage, Wire

Step = tuple[str, ...] | tuple[str, bytes] | tuple[str, float] | tuple[str, Callable[[Stage], object]]
OWN: Final = "192.0.2.1"
_HOST = (
    "active",
    "connections",
    "ejected",
    "ejections",
    "consecutive_5xx",
    "consecutive_gateway",
    "consecutive_local",
    "interval_total",
    "interval_success",
    "interval_local_total",
    "interval_local_success",
    "cx_total",
    "cx_connect_fail",
    "rq_total",
    "rq_success",
    "rq_error",
    "rq_timeout",
)
_MOMENTS = ("received_all", "sent_first", "sent_all", "answered_first", "answered_all", "replied_first", "replied_all")
_LOGGED = (
    "method",
    "path",
    "original_path",
    "authority",
    "original_authority",
    "status",
    "details",
    "attempts",
    "bytes_received",
    "bytes_sent",
    "cluster_name",
    "upstream_failure",
    "upstream_local",
    "termination",
    "response_trailers",
)
_DATE = re.compile(r"date: [A-Z][a-z]{2}, .* GMT")


class Transcript:
    """Of one stage. Clients and upstreams are named by their order: c1, c2, u1, u2 …"""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._wires: dict[str, Wire] = {}
        self._states: dict[str, list[str]] = {}
        self._numbers: dict[str, float] = self._look()
        self._logged = self._in_progress = 0

    async def after(self, step: Step) -> dict[str, Any]:
        """What is new after the step."""
        await self._do(step)
        await self._stage.settle()
        changes: dict[str, Any] = {}
        for name, wire in self._wires.items():
            got, states = (
                _text(wire.received()),
                [state for state in ("lost", "finished", "waits") if getattr(wire, state)],
            )
            if got:
                changes[name] = got
            if states != self._states.get(name, []):
                changes[f"{name} is"] = " ".join(states) or "open"
                self._states[name] = states
        if self._stage.loop.dials:
            changes["dials"] = [str(dial.address) for dial in self._stage.loop.dials]
        numbers = self._look()
        moved = {name: round(numbers[name] - self._numbers.get(name, 0), 3) for name in numbers}
        changes |= {"counted": found} if (found := {name: by for name, by in sorted(moved.items()) if by}) else {}
        self._numbers = numbers
        for title, told, count in (
            ("logged", self._stage.finished, self._logged),
            ("told", self._stage.in_progress, self._in_progress),
        ):
            if len(told) > count:
                changes[title] = [self._entry(exchange) for exchange in told[count:]]
        self._logged, self._in_progress = len(self._stage.finished), len(self._stage.in_progress)
        return changes

    async def _do(self, step: Step) -> None:
        what, *rest = step
        if what == "client":
            self._wires[f"c{sum(name[0] == 'c' for name in self._wires) + 1}"] = client = self._stage.client()
            client.sends(*rest)  # type: ignore[arg-type]
        elif what == "accept":
            self._wires[f"u{sum(name[0] == 'u' for name in self._wires) + 1}"] = await self._stage.upstream()
        elif what == "refuse":
            (await self._stage.dial()).refuses(*(TimeoutError() for _ in rest))
        elif what == "wait":
            await self._stage.advance(float(rest[0]))
        elif callable(rest[0]):
            rest[0](self._stage)
        elif isinstance(rest[0], bytes):
            self._wires[str(what)].sends(rest[0])
        else:
            getattr(self._wires[str(what)], str(rest[0]))()

    def _look(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in self._stage.stats.parts():
            for stat in part:
                if isinstance(stat.cell, Histogram):
                    found[f"{stat.name} (sum)"] = stat.cell.sum
                    found[f"{stat.name} (count)"] = stat.cell.count
                else:
                    found[stat.name] = stat.cell.value  # type: ignore[union-attr]
        for cluster in self._stage.upstreams.clusters.values():
            for host in cluster.hosts:
                found |= {f"{host.name} {name}": float(getattr(host, name)) for name in _HOST}
            found |= {
                f"{cluster.name} budget {name}": getattr(cluster.budget, name) for name in ("requests", "retries")
            }
        return found

    def _entry(self, exchange: Exchange) -> dict[str, Any]:
        entry: dict[str, Any] = {name: _plain(getattr(exchange, name)) for name in _LOGGED}
        entry["flags"] = flags_text(exchange.flags)
        entry["host"] = exchange.endpoint.name if exchange.endpoint is not None else ""
        entry["route"] = exchange.route.name if exchange.route is not None else ""
        entry["grpc"] = _plain(exchange.grpc.status) if getattr(exchange.grpc, "status", None) is not None else ""
        for name in ("upstream_started", *_MOMENTS):
            at = getattr(exchange, name, 0.0)
            entry[name] = round(at - exchange.started, 3) if at else ""
        return {name: value for name, value in entry.items() if value not in ("", "-", [], None)}


def _text(data: bytes) -> list[str]:
    """Line by line, a long one by its length."""
    if not data:
        return []
    lines = _DATE.sub("date: …", data.decode("latin-1")).split("\r\n")
    return [line if len(line) < 300 else f"({len(line)} characters)" for line in lines]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


async def written(make: Callable[[], Stage], steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The whole conversation, on a machine with a certain address; at its end nothing may be left."""
    with mock.patch.object(mirror, "own_address", return_value=OWN):
        return await _written(make(), steps)


async def _written(stage: Stage, steps: Sequence[Step]) -> list[dict[str, Any]]:
    transcript = Transcript(stage)
    told = [{"do": " ".join(_words(step)), **await transcript.after(step)} for step in steps]
    for cluster in stage.clusters:
        stage.upstreams.set_cluster(_unjudged(cluster))
    await stage.leaves_nothing()
    return told


def _unjudged(cluster: Any) -> Any:
    return replace(cluster, circuit_breaker=None, outlier=None)


def _words(step: Step) -> list[str]:
    words = [each for each in step if not callable(each)]
    return [" | ".join(_text(each)) if isinstance(each, bytes) else str(each) for each in words]
