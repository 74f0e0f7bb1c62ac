"""Where resources are in effect, with real translations and streams whose answers are given by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from control_plane.ads.effect import Effect, Effects, _connections
from control_plane.ads.origins import Origins
from control_plane.ads.push import PushCore, Variant
from control_plane.ads.subscription import DeltaRequest
from control_plane.registry.services import discover
from control_plane.snapshot.build import Snapshots
from control_plane.translate.proxy import Translator
from control_plane.world import World
from mesh.istio.resource import Resource
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST
from tests.simulation.worlds import gateway, instance, service, sidecar, world

RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ratings}
spec: {workloadSelector: {labels: {app: ratings}}, egress: [{hosts: ["./*"]}]}
---
apiVersion: mesh.asyncmesh.io/v1alpha1
kind: RateLimit
metadata: {name: reviews}
spec: {host: reviews, limits: [{name: all, requests: 5}]}
---
apiVersion: mesh.asyncmesh.io/v1alpha1
kind: CircuitBreaker
metadata: {name: ratings}
spec: {host: ratings, consecutiveFailures: 5}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec: {hosts: [db.example], ports: [{number: 5432, name: tcp, protocol: TCP}], resolution: STATIC, exportTo: ["."],
  endpoints: [{address: 10.0.0.9}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: all}
spec: {tracing: [{randomSamplingPercentage: 5}]}
"""


@dataclass
class Stream:
    """A delta client that asks for everything; it acknowledges what it is told to."""

    node: Node
    core: PushCore = field(default_factory=lambda: PushCore(Variant.DELTA))

    @property
    def id(self) -> str:
        return self.node.id

    def ask(self) -> None:
        for type_url in (CLUSTER, LISTENER, *([VIRTUAL_HOST] if self.node.takes_virtual_hosts else [])):
            self.core.receive(DeltaRequest(type_url), 0.0)
        for type_url in (ENDPOINT, ROUTE):
            names = tuple(self.core.target.of(type_url))
            self.core.receive(DeltaRequest(type_url, names), 0.0)

    def answer(self, refused: str = "", why: str = "") -> None:
        """ACKs what comes, except for one type."""
        for _ in range(8):
            for push in self.core.step(0.0):
                error = why if push.type_url == refused else None
                self.core.receive(DeltaRequest(push.type_url, nonce=push.nonce, error=error), 0.0)


def made(nodes: Sequence[Node]) -> tuple[World, list[Stream]]:
    instances = {"reviews": [instance("10.0.0.1", node_id=sidecar("reviews").id)]}
    base = world(service("reviews"), service("ratings"), yaml=RULES, instances=instances)
    services, found = discover(base.resources, ())
    base = replace(base, services={**base.services, **services}, instances={**base.instances, **found})
    snapshots = Snapshots(Translator().build, base)
    streams = [Stream(node) for node in nodes]
    for stream in streams:
        stream.core.retarget(snapshots.of(stream.node))
        stream.ask()
    return base, streams


def of(base: World, streams: list[Stream], kind: str, name: str) -> Effect:
    (found,) = (each for each in base.resources[kind] if each.key.name == name)
    resource: Resource = found
    return Effects(streams, base, Origins()).of(resource)


NODES = [sidecar("reviews"), sidecar("ratings"), gateway()]


def test_what_everybody_has_is_in_effect() -> None:
    base, streams = made(NODES)
    for stream in streams:
        stream.answer()
    assert of(base, streams, "VirtualService", "reviews") == Effect(2, 2)  # its gateway is `mesh`
    assert of(base, streams, "DestinationRule", "reviews") == Effect(3, 3)
    assert of(base, streams, "VirtualService", "second") == Effect()  # nobody gets anything of it
    assert of(base, streams, "Gateway", "edge") == Effect(1, 1)
    assert of(base, streams, "Sidecar", "ratings") == Effect(1, 1)
    assert of(base, streams, "RateLimit", "reviews") == Effect(1, 1)


def test_it_is_in_effect_where_its_virtual_hosts_are() -> None:
    base, streams = made([replace(node, takes_virtual_hosts=True) for node in NODES[:2]])
    streams[0].answer()
    assert of(base, streams, "VirtualService", "reviews") == Effect(2, 1, waiting=(streams[1].id,))
    streams[1].answer(refused=VIRTUAL_HOST, why="http_proxy/reviews.default.svc.cluster.local:9080: no such thing")
    (nack,) = of(base, streams, "VirtualService", "reviews").rejected
    assert (nack.proxy, nack.type, nack.resource) == (
        streams[1].id,
        "VHDS",
        "http_proxy/reviews.default.svc.cluster.local:9080",
    )


def test_who_has_not_answered_is_waited_for() -> None:
    base, streams = made(NODES[:2])
    streams[0].answer()
    effect = of(base, streams, "VirtualService", "reviews")
    assert effect == Effect(2, 1, waiting=(streams[1].id,))
    assert of(base, streams, "Sidecar", "ratings") == Effect(1, 0, waiting=(streams[1].id,))


def test_who_refuses_says_why() -> None:
    base, streams = made(NODES[:2])
    streams[0].answer()
    streams[1].answer(refused=ROUTE, why="no such thing")
    effect = of(base, streams, "VirtualService", "reviews")
    assert (effect.concerned, effect.in_effect, effect.waiting) == (2, 1, ())
    (nack,) = effect.rejected
    assert (nack.proxy, nack.type, nack.message) == (streams[1].id, "RDS", "no such thing")
    assert of(base, streams, "DestinationRule", "reviews") == Effect(2, 2)  # in clusters, which it took


@pytest.mark.parametrize("done", [0, 1])
def test_of_twins_the_one_that_has_not_answered_is_waited_for(done: int) -> None:
    base, streams = made([sidecar("ratings"), replace(sidecar("ratings", address="127.0.1.2"), name="ratings-2")])
    for name in ("VirtualService", "DestinationRule"):
        assert of(base, streams, name, "reviews") == Effect(2, 0, waiting=(streams[0].id, streams[1].id))
    streams[done].answer()
    for name in ("VirtualService", "DestinationRule"):
        assert of(base, streams, name, "reviews") == Effect(2, 1, waiting=(streams[1 - done].id,))


def test_kinds_that_change_clusters_and_proxies_of_a_namespace() -> None:
    base, streams = made([sidecar("reviews"), sidecar("shop", namespace="shop"), gateway()])
    streams[0].answer()
    late = (streams[1].id, streams[2].id)
    assert of(base, streams, "CircuitBreaker", "ratings") == Effect(3, 1, waiting=late)
    assert of(base, streams, "ServiceEntry", "db") == Effect(2, 1, waiting=(streams[2].id,))  # not exported to `shop`
    assert of(base, streams, "Telemetry", "all") == Effect(2, 1, waiting=(streams[2].id,))
    streams[2].answer(refused=CLUSTER, why="no such thing")
    breaker = of(base, streams, "CircuitBreaker", "ratings")
    assert (breaker.concerned, breaker.in_effect, breaker.waiting) == (3, 1, (streams[1].id,))
    assert {nack.message for nack in breaker.rejected} == {"no such thing"}


def test_nobody_is_there() -> None:
    base, _ = made([])
    assert of(base, [], "VirtualService", "reviews") == Effect()


DATABASE = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec: {hosts: [db.example], ports: [{number: 5432, name: tcp, protocol: TCP}], resolution: STATIC,
  endpoints: [{address: 10.0.0.9}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec: {hosts: [db.example], %stcp: [{%sroute: [{destination: {host: db.example}}]}]}
"""


@pytest.mark.parametrize(
    ("more", "match", "where"),
    [
        ("", "", ["client", "other", "shop"]),
        ("exportTo: ['.'], ", "", ["client", "other"]),
        ("", "match: [{sourceLabels: {app: client}}], ", ["client"]),
        ("", "match: [{sourceNamespace: shop}], ", ["shop"]),
        ("", "match: [{port: 99}], ", []),
        ("gateways: [edge], ", "", []),
    ],
)
def test_rules_for_connections_are_in_effect_where_they_are_for(more: str, match: str, where: list[str]) -> None:
    nodes = {
        "client": sidecar("client", labels={"app": "client"}),
        "other": sidecar("other"),
        "shop": sidecar("third", namespace="shop"),
        "edge": gateway(),
    }
    base = world(yaml=DATABASE % (more, match))
    services, instances = discover(base.resources, ())
    base = replace(base, services=services, instances=instances)
    (rules,) = base.resources["VirtualService"]
    found = [name for name, node in nodes.items() if _connections(rules, base)(node)]
    assert found == where
