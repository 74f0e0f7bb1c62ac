"""`mesh_route_weight`: how the VirtualServices in effect share traffic, so that boards and experiments can hold the split
that was observed against the one that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from control_plane.world import World
from mesh.istio.resource import Resource

LABELS = ("virtual_service", "namespace", "route", "host", "subset")


class RouteWeights(Collector):
    """A series for each destination of each HTTP route; the weights of a route add up to 1."""

    def __init__(self) -> None:
        self._world: World | None = None

    def show(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "mesh_route_weight", "The share of a route's requests that a destination gets.", labels=LABELS
        )
        found = self._world.resources.get("VirtualService", ()) if self._world is not None else ()
        for resource in found:
            for labels, share in _weights(resource):
                family.add_metric(labels, share)
        yield family

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("mesh_route_weight", "", labels=LABELS)


def _weights(resource: Resource) -> Iterator[tuple[tuple[str, ...], float]]:
    for number, route in enumerate(resource.spec.http):
        total = sum(destination.weight for destination in route.route)
        shares: dict[tuple[str, str], float] = {}
        for each in route.route:
            to = str(each.destination.host), str(each.destination.subset)
            shares[to] = shares.get(to, 0.0) + (each.weight / total if total else 1.0)
        for (host, subset), share in shares.items():
            yield (resource.key.name, resource.key.namespace, route.name or str(number), host, subset), share
