from __future__ import annotations

import json

import pytest

from control_plane.registry.workload import Workload, decode, encode
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
