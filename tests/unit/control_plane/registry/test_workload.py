from __future__ import annotations

import json
from dataclasses import replace

import pytest

from control_plane.registry.workload import Workload, decode, encode, problem_of
from mesh.node import Locality, Node, ServicePort

NODE = Node(
    "sidecar",
    "127.0.1.2",
    "reviews-1",
    "shop",
    "reviews",
    {"app": "reviews"},
    (ServicePort(80, "http", "HTTP", 8080),),
    "reviews",
    Locality("eu", "a", "b"),
    inbound_port=25006,
)


@pytest.mark.parametrize("healthy", [True, False])
def test_what_is_kept_comes_back_unconnected(healthy: bool) -> None:
    kept = json.loads(json.dumps(encode(Workload(NODE, healthy=healthy, since=17.5))))
    assert decode(kept) == Workload(NODE, healthy=healthy, connected=False, since=17.5)


@pytest.mark.parametrize("data", [{}, {"node": {}}, {"node": {"id": "x", "metadata": 1}, "healthy": True, "since": 1}])
def test_what_is_something_else_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(data)


def test_what_others_can_be_sent_to() -> None:
    assert not problem_of(NODE)
    assert not problem_of(replace(NODE, service="", ports=()))
    assert not problem_of(replace(NODE, address="fd00::1"))


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (replace(NODE, address="my-laptop"), "no IP address"),
        (replace(NODE, service="two words"), "not a DNS name"),
        (replace(NODE, service="*"), "not a DNS name"),
        (replace(NODE, namespace="a/b"), "not a DNS name"),
        (replace(NODE, ports=(ServicePort(0),)), "out of range"),
        (replace(NODE, ports=(ServicePort(70000),)), "out of range"),
        (replace(NODE, inbound_port=65500, ports=(ServicePort(80), ServicePort(81))), "out of range"),
    ],
)
def test_what_others_cannot_be_sent_to(node: Node, problem: str) -> None:
    assert problem in problem_of(node)
