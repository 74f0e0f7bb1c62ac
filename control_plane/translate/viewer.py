"""Who a resource is for, reduced to what makes it different from everybody else's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from control_plane.translate.index import Index
from mesh.node import GENERATOR_GRPC, INTERCEPT_NONE, ROUTER, Node


class Audience(Enum):
    """The kinds of clients. An explicit sidecar is asked as an HTTP proxy, a transparent one gets captured connections,
    which still have their original destination."""

    EXPLICIT = "explicit"
    TRANSPARENT = "transparent"
    GATEWAY = "gateway"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Viewer:
    """All that shared resources may depend on: they are made once for each of these. `labels` are the client's, without
    those that no rule asks for."""

    namespace: str
    audience: Audience
    labels: tuple[tuple[str, str], ...] = ()


def audience_of(node: Node) -> Audience:
    if node.generator == GENERATOR_GRPC:
        return Audience.GRPC
    if node.kind == ROUTER:
        return Audience.GATEWAY
    return Audience.EXPLICIT if node.interception == INTERCEPT_NONE else Audience.TRANSPARENT


def viewer_of(index: Index, node: Node) -> Viewer:
    labels = tuple((name, node.labels[name]) for name in index.source_labels if name in node.labels)
    return Viewer(node.namespace, audience_of(node), labels)
