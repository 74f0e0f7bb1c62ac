"""Members of WorkloadGroups: what a proxy that names its group is, once the group's template has been laid under what it
says of itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from control_plane.registry.ports import named_protocol
from mesh.errors import MeshError
from mesh.node import Locality, Node, ServicePort

if TYPE_CHECKING:
    from mesh.istio.resource import Resource


class GroupError(MeshError):
    """A proxy names a group that is not there."""


def as_member(node: Node, groups: Iterable[Resource]) -> Node:
    """The node as a member of its group, itself when it names none. Its own labels, ports and place come before the
    template's. Raises GroupError."""
    if not node.group:
        return node
    for resource in groups:
        if (resource.key.namespace, resource.key.name) == (node.namespace, node.group):
            return _member(node, resource)
    raise GroupError(
        f"node {node.id!r}: there is no WorkloadGroup {node.namespace}/{node.group}: apply it, and this proxy registers"
    )


def _member(node: Node, group: Resource) -> Node:
    spec = group.spec
    ports = tuple(
        ServicePort(number, name, named_protocol(name, number)) for name, number in spec.template.ports.items()
    )
    locality = Locality(*spec.template.locality.split("/")) if spec.template.locality else Locality()
    return replace(
        node,
        labels={**spec.labels, **node.labels},
        ports=node.ports or ports,
        locality=node.locality if node.locality != Locality() else locality,
        workload=node.workload or node.group,
        weight=spec.template.weight,
    )
