"""A registered workload, as the rest of the control plane sees it, and as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from mesh.istio.scalars import host_problem, is_ip
from mesh.naming import service_host
from mesh.node import GENERATOR_GRPC, INTERCEPT_REDIRECT, ROUTER, Locality, Node

MAX_PORT: Final = 65536


@dataclass(frozen=True, slots=True)
class Workload:
    """`since` is the Unix time at which it connected, or was lost; `joined` when it first came; `beat` when it was last
    heard of, 0 for always now: its stream is open, and it tells nothing by itself. `healthy` says whether others use it;
    `problem` is what its probe found, `draining` that it is about to end."""

    node: Node
    healthy: bool = True
    connected: bool = True
    since: float = 0.0
    joined: float = 0.0
    beat: float = 0.0
    problem: str = ""
    draining: bool = False


def answers_itself(node: Node) -> bool:
    """Whether clients reach the workload on the ports of its own: iptables redirects them, it has no proxy, or it is
    one. Otherwise on one port of its proxy for each of its service ports."""
    return node.interception == INTERCEPT_REDIRECT or node.kind == ROUTER or node.generator == GENERATOR_GRPC


def accepts(node: Node) -> Mapping[int, int]:
    """Service port → where the workload accepts it."""
    if answers_itself(node):
        return {port.number: port.app_port for port in node.ports}
    return {port.number: node.inbound(index) for index, port in enumerate(node.ports)}


class Heartbeat(StrEnum):
    """What is to be said of a workload: `LOST` has no stream, and did not say that it would end."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    LOST = "lost"


def heartbeat(workload: Workload) -> Heartbeat:
    if workload.draining:
        return Heartbeat.DRAINING
    if not workload.connected:
        return Heartbeat.LOST
    return Heartbeat.HEALTHY if workload.healthy else Heartbeat.UNHEALTHY


def last_beat(workload: Workload, now: float) -> float:
    """The Unix time at which the workload was last heard of: now, while its stream is open and it has no probe."""
    return now if workload.connected and not workload.beat else workload.beat or workload.since


def problem_of(node: Node) -> str:
    """Why others cannot be sent to what a proxy says that it serves, or an empty string. Everybody's configuration is
    made of it: one workload's slip must not be everybody's rejection."""
    if not is_ip(node.address):
        return f"its address {node.address!r} is no IP address"
    if node.service and (problem := host_problem(service_host(node.service, node.namespace), wildcard=False)):
        return f"its service {problem}"
    accepted = accepts(node)
    for port in node.ports:
        reached = accepted[port.number]
        if not (0 < port.number < MAX_PORT and 0 < reached < MAX_PORT):
            return f"its port {port.number}, reached on {reached}, is out of range"
    return ""


def encode(workload: Workload) -> dict[str, Any]:
    return {
        "node": workload.node.to_xds(),
        "healthy": workload.healthy,
        "since": workload.since,
        "joined": workload.joined,
        "problem": workload.problem,
    }


def decode(data: Mapping[str, Any]) -> Workload:
    """Raises KeyError, TypeError or ValueError for what `encode` did not write."""
    node = dict(data["node"])
    locality = Locality(**node.get("locality", {}))
    return Workload(
        Node.from_xds(node["id"], dict(node["metadata"]), locality),
        healthy=bool(data["healthy"]),
        connected=False,
        since=float(data["since"]),
        joined=float(data.get("joined", 0.0)),
        problem=str(data.get("problem", "")),
    )
