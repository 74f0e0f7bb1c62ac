from __future__ import annotations

import pytest

from control_plane.registry.groups import GroupError, as_member
from mesh.istio.load import load
from mesh.node import SIDECAR, Locality, Node, ServicePort

GROUPS = load("""apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: shop}
spec:
  metadata: {labels: {app: web}}
  template: {labels: {tier: a, app: other}, ports: {http: 8080, odd: 7000}, locality: eu/x, weight: 3}
""")


def node(**more: object) -> Node:
    return Node(SIDECAR, "10.0.0.1", "vm-1", namespace="shop", group="vms", **more)  # type: ignore[arg-type]


def test_a_member_has_what_its_group_has() -> None:
    made = as_member(node(), GROUPS)
    assert (made.labels, made.locality, made.weight) == ({"app": "web", "tier": "a"}, Locality("eu", "x"), 3)
    assert made.ports == (ServicePort(8080, "http", "HTTP"), ServicePort(7000, "odd", ""))
    assert made.workload == "vms"


def test_what_it_says_itself_comes_first() -> None:
    ports = (ServicePort(9080),)
    made = as_member(node(labels={"tier": "b"}, ports=ports, locality=Locality("us")), GROUPS)
    assert (made.labels["tier"], made.ports, made.locality) == ("b", ports, Locality("us"))


def test_who_names_none() -> None:
    alone = Node(SIDECAR, "10.0.0.1", "vm-1")
    assert as_member(alone, GROUPS) is alone


def test_a_group_of_another_namespace_is_none() -> None:
    with pytest.raises(GroupError, match="there is no WorkloadGroup default/vms: apply it"):
        as_member(Node(SIDECAR, "10.0.0.1", "vm-1", group="vms"), GROUPS)
