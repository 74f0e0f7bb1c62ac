"""Who a resource is for, reduced to what makes it different from everybody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from control_plane.translate.index import Index
from mesh.node import GENERATOR_GRPC, INTERCEPT_NONE, ROUTER, Locality, Node


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
    those that no VirtualService asks for, `rule_labels` those that some DestinationRule asks for; `locality` is empty
    where no DestinationRule prefers any place."""

    namespace: str
    audience: Audience
    labels: tuple[tuple[str, str], ...] = ()
    rule_labels: tuple[tuple[str, str], ...] = ()
    locality: Locality = Locality()  # noqa: RUF009 - frozen


def audience_of(node: Node) -> Audience:
    if node.generator == GENERATOR_GRPC:
        return Audience.GRPC
    if node.kind == ROUTER:
        return Audience.GATEWAY
    return Audience.EXPLICIT if node.interception == INTERCEPT_NONE else Audience.TRANSPARENT


def viewer_of(index: Index, node: Node) -> Viewer:
    return Viewer(
        node.namespace,
        audience_of(node),
        _those(index.source_labels, node.labels),
        _those(index.rule_labels, node.labels),
        node.locality if index.prefers_places else Locality(),
    )


def _those(names: tuple[str, ...], labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, labels[name]) for name in names if name in labels)
