"""Every case on paper: its documents through our control plane, its call through the routes that come out."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from typing import Any

import pytest
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.route.v3.route_components_pb2 import RedirectAction
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from control_plane.mesh_config import mesh_of
from control_plane.registry.services import discover
from control_plane.registry.workload import Workload
from control_plane.translate import Resources, build
from control_plane.world import MeshConfig, World
from mesh.istio.load import load
from mesh.istio.resource import Resource
from mesh.node import ROUTER, SIDECAR, Locality, Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.simulation.cases import (
    EDGE_PORT,
    EDGES,
    REFUSED,
    TLS_PORT,
    VERSIONS,
    Case,
    called,
    common,
    documents,
    of_world,
)
from tests.simulation.evaluator import Call, Outcome, evaluate

CASES = called()
ENDS = {version: (f"10.0.0.{number + 1}", 8000) for number, version in enumerate(VERSIONS)}
NODES = {
    "sidecar": Node(
        SIDECAR,
        "127.0.1.1",
        "client-1",
        service="client",
        labels={"app": "client", "version": "v1"},
        locality=Locality("a", "a-1", "x"),
    ),
    "gateway": Node(ROUTER, "127.0.1.3", "edge-1", labels={"istio": "ingressgateway", "whose": "ours"}),
}
BEYOND = (502, 503)  # the endpoint does not take it
_CODES = {RedirectAction.RedirectResponseCode.Value(name): code for name, code in (
    ("MOVED_PERMANENTLY", 301), ("FOUND", 302), ("SEE_OTHER", 303), ("TEMPORARY_REDIRECT", 307),
    ("PERMANENT_REDIRECT", 308),
)}  # fmt: skip


@cache
def world(name: str) -> World:
    text = "---\n".join(filter(None, (common(), *(documents(h, c, ENDS) for h, c in of_world(name).items()))))
    by_kind: dict[str, list[Resource]] = {}
    for resource in load(text):
        by_kind.setdefault(resource.key.kind, []).append(resource)
    kinds = {kind: tuple(found) for kind, found in by_kind.items()}
    services, instances = discover(kinds, [Workload(node) for node in NODES.values() if node.kind == SIDECAR])
    return World(1, kinds, services, instances, mesh_of(MeshConfig(), kinds))


@cache
def built(name: str, node: str) -> Resources:
    return build(world(name), NODES[node])


def versions(made: Resources, clusters: Iterable[str]) -> set[str]:
    """Who may answer, from the endpoints of the clusters that the call may go to."""
    by_address = {address: version for version, (address, _) in ENDS.items()}
    found = set()
    for name in clusters:
        if (cluster := made[CLUSTER].get(name)) is not None:
            groups = (made[ENDPOINT].get(name) or cluster.load_assignment).endpoints
            first = [group for group in groups if group.priority == 0]
            ends = [e for g in first for e in g.lb_endpoints if e.health_status != HealthStatus.UNHEALTHY]
            found |= {by_address.get(e.endpoint.address.socket_address.address, "") for e in ends}
    return found - {""}


def connected(made: Resources, case: Case) -> set[str]:
    """Who a connection through the gateway may come to."""
    port = case.port or TLS_PORT
    listeners = [each for each in made[LISTENER].values() if each.address.socket_address.port_value == port]
    for listener in listeners:
        default = [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
        chains = sorted(
            listener.filter_chains, key=lambda c: -max(map(len, c.filter_chain_match.server_names), default=0)
        )
        for chain in (*chains, *default):
            names = chain.filter_chain_match.server_names
            if not names or any(fnmatch(case.authority, name) for name in names):
                proxy = TcpProxy()
                assert chain.filters[0].typed_config.Unpack(proxy)
                weighted = {each.name for each in proxy.weighted_clusters.clusters if each.weight}
                return versions(made, weighted or {proxy.cluster})
    return set()


def status(outcome: Outcome | None) -> int:
    """What the proxy itself answers, 0 when it forwards."""
    if outcome is None:
        return 404
    route: Any = outcome.route
    if route.HasField("direct_response"):
        return int(route.direct_response.status)
    return _CODES[route.redirect.response_code] if route.HasField("redirect") else 0


def routes(case: Case) -> Any:
    """The routes that a request is put to, None where nobody listens."""
    if case.via != "gateway":
        return built(case.world, "sidecar")[ROUTE]["http_proxy"]
    found = built(case.world, "gateway")[ROUTE]
    port = case.port or EDGE_PORT
    return found.get(f"http.{port}") or found.get(f"http.{port}.{EDGES[0]}")


@pytest.mark.parametrize("host", CASES, ids=[case.name for case in CASES.values()])
def test_a_case(host: str) -> None:
    case: Case = CASES[host].on(host)
    made = built(case.world, "gateway" if case.via in ("gateway", "sni", "tcp") else "sidecar")
    if case.via in ("sni", "tcp"):
        assert connected(made, case) == case.versions
        return
    config = routes(case)
    if config is None:
        assert case.status == REFUSED
        return
    method = "CONNECT" if case.via == "connect" else case.method
    outcome = evaluate(config, Call(f"http://{case.authority}{case.path}", method, case.headers))
    answered = status(outcome)
    if case.to:
        assert answered == 0 and outcome is not None
        assert versions(made, outcome.likely) >= case.versions
    elif answered:
        assert answered == case.status
    elif outcome is not None and versions(made, outcome.likely):  # decided by what is beyond the route
        route = outcome.route
        beyond = (
            route.typed_per_filter_config or route.route.timeout.nanos or route.route.retry_policy.per_try_timeout.nanos
        )
        assert beyond or case.status in BEYOND or case.world


def test_there_are_many() -> None:
    assert len(CASES) >= 200
    assert {case.via for case in CASES.values()} >= {"sidecar", "gateway", "connect", "sni", "tcp"}
