"""Every case on paper: its documents through our control plane, its call through the routes that come out."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from envoy.config.route.v3.route_components_pb2 import RedirectAction

from control_plane.registry.services import discover
from control_plane.translate import Resources, build
from control_plane.world import World
from mesh.istio.load import load
from mesh.istio.resource import Resource
from mesh.node import ROUTER, SIDECAR, Node
from mesh.xds import CLUSTER, ENDPOINT, ROUTE
from tests.simulation.cases import EDGE_PORT, VERSIONS, Case, common, documents, hosts
from tests.simulation.evaluator import Call, Outcome, evaluate

CASES = hosts()
ENDS = {version: (f"10.0.0.{number + 1}", 8000) for number, version in enumerate(VERSIONS)}
NODES = {
    "sidecar": Node(SIDECAR, "127.0.1.1", "client-1", service="client", labels={"app": "client", "version": "v1"}),
    "gateway": Node(ROUTER, "127.0.1.3", "edge-1", labels={"istio": "ingressgateway"}),
}
_CODES = {RedirectAction.RedirectResponseCode.Value(name): code for name, code in (
    ("MOVED_PERMANENTLY", 301), ("FOUND", 302), ("SEE_OTHER", 303), ("TEMPORARY_REDIRECT", 307),
    ("PERMANENT_REDIRECT", 308),
)}  # fmt: skip


@cache
def world() -> World:
    text = "---\n".join([common(), *(documents(host, case, ENDS) for host, case in CASES.items())])
    by_kind: dict[str, list[Resource]] = {}
    for resource in load(text):
        by_kind.setdefault(resource.key.kind, []).append(resource)
    kinds = {kind: tuple(found) for kind, found in by_kind.items()}
    services, instances = discover(kinds, [])
    return World(1, kinds, services, instances)


@cache
def built(via: str) -> Resources:
    return build(world(), NODES[via])


def versions(made: Resources, outcome: Outcome) -> set[str]:
    """Who may answer, from the endpoints of the clusters that the call may go to."""
    by_address = {address: version for version, (address, _) in ENDS.items()}
    found = set()
    for cluster, share in outcome.clusters.items():
        if share and cluster in made[CLUSTER]:
            groups = made[ENDPOINT][cluster].endpoints
            found |= {by_address[e.endpoint.address.socket_address.address] for g in groups for e in g.lb_endpoints}
    return found


def status(outcome: Outcome | None) -> int:
    """What the proxy itself answers, 0 when it forwards."""
    if outcome is None:
        return 404
    route: Any = outcome.route
    if route.HasField("direct_response"):
        return int(route.direct_response.status)
    return _CODES[route.redirect.response_code] if route.HasField("redirect") else 0


@pytest.mark.parametrize("host", CASES, ids=[case.name for case in CASES.values()])
def test_a_case(host: str) -> None:
    case: Case = CASES[host].on(host)
    made = built(case.via)
    config = made[ROUTE]["http_proxy" if case.via == "sidecar" else f"http.{EDGE_PORT}"]
    outcome = evaluate(config, Call(f"http://{case.authority}{case.path}", case.method, case.headers))
    answered = status(outcome)
    if case.to:
        assert answered == 0 and outcome is not None
        assert versions(made, outcome) == case.versions
    elif answered:
        assert answered == case.status
    else:  # decided by what is beyond the route: a fault, a preflight, a time-out, nobody to call
        assert outcome is not None
        beyond = outcome.route.typed_per_filter_config or outcome.route.route.timeout.nanos
        assert beyond or outcome.route.route.retry_policy.per_try_timeout.nanos or not versions(made, outcome)


def test_there_are_many() -> None:
    assert len(CASES) >= 200
    assert {case.via for case in CASES.values()} == {"sidecar", "gateway"}
