"""A registered workload, as the rest of the control plane sees it, and as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh.node import GENERATOR_GRPC, INTERCEPT_REDIRECT, ROUTER, Locality, Node


@dataclass(frozen=True, slots=True)
class Workload:
    """`since` is the Unix time at which it connected, or was lost."""

    node: Node
    healthy: bool = True
    connected: bool = True
    since: float = 0.0


def answers_itself(node: Node) -> bool:
    """Whether clients reach the workload on the ports of its own: iptables redirects them, it has no proxy, or it is
    one. Otherwise on one port of its proxy for each of its service ports."""
    return node.interception == INTERCEPT_REDIRECT or node.kind == ROUTER or node.generator == GENERATOR_GRPC


def accepts(node: Node) -> Mapping[int, int]:
    """Service port → where the workload accepts it."""
    if answers_itself(node):
        return {port.number: port.app_port for port in node.ports}
    return {port.number: node.inbound(index) for index, port in enumerate(node.ports)}


def encode(workload: Workload) -> dict[str, Any]:
    return {"node": workload.node.to_xds(), "healthy": workload.healthy, "since": workload.since}


def decode(data: Mapping[str, Any]) -> Workload:
    """Raises KeyError, TypeError or ValueError for what `encode` did not write."""
    node = dict(data["node"])
    locality = Locality(**node.get("locality", {}))
    return Workload(
        Node.from_xds(node["id"], dict(node["metadata"]), locality),
        healthy=bool(data["healthy"]),
        connected=False,
        since=float(data["since"]),
    )
