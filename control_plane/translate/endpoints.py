"""EDS: the instances of a service, or of one of its subsets, that serve one of its ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import Locality as LocalityMessage
from envoy.config.core.v3.health_check_pb2 import UNHEALTHY
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from control_plane.translate.locality import Placed, Preference, placed
from control_plane.translate.messages import address, is_ip, istio_metadata
from control_plane.world import Instance
from mesh.node import Locality

MAX_TOTAL_WEIGHT: Final = 2**32 - 1  # Envoy's, of the endpoints of a cluster together


def selected(instances: Iterable[Instance], labels: Mapping[str, str]) -> tuple[Instance, ...]:
    """The instances that have all of a subset's labels."""
    wanted = labels.items()
    return tuple(instance for instance in instances if wanted <= instance.labels.items())


def assignment(name: str, instances: Iterable[Instance], port: int, wish: Preference | None = None) -> Any:
    """The EDS resource `name`: the instances that serve `port`, by locality. Those whose address is a name are left out,
    because EDS takes IP addresses only. Without any it is empty, and still there: a client that gets none at all waits.

    An instance that is not healthy is sent as UNHEALTHY rather than left out, so that a proxy keeps its connections and
    what it knows of the host, and the host is seen in `/clusters`. But when none is healthy, all are sent as healthy:
    what we know (lost streams, mostly) may be wrong for all of them at once, calling a dead endpoint is no worse than
    not calling any, and one that lives after all answers. `wish` is what the client prefers by place.
    """
    serving = _unique((i for i in instances if port in i.ports and is_ip(i.address)), port)
    any_healthy = any(instance.healthy for instance in serving)
    endpoints = [(i, _endpoint(i, i.ports[port], i.healthy or not any_healthy)) for i in serving]
    return ClusterLoadAssignment(cluster_name=name, endpoints=_localities(endpoints, wish))


def dns_assignment(name: str, instances: Iterable[Instance], port: int, wish: Preference | None = None) -> Any:
    """The inline endpoints of a cluster whose hosts are looked up. `port` holds where an instance says nothing else."""
    endpoints = [(i, _endpoint(i, i.ports.get(port, port), i.healthy)) for i in instances]
    return ClusterLoadAssignment(cluster_name=name, endpoints=_localities(endpoints, wish))


def _localities(endpoints: Sequence[tuple[Instance, Any]], wish: Preference | None) -> Iterable[Any]:
    grouped = list(localities(endpoints))
    return [group for group, _ in grouped] if wish is None else placed(grouped, wish)


def localities(endpoints: Sequence[tuple[Instance, Any]]) -> Iterator[Placed]:
    """Endpoints grouped by where they are, in a stable order. A locality weighs what its endpoints weigh together."""
    total = sum(endpoint.load_balancing_weight.value for _, endpoint in endpoints)
    if total > MAX_TOTAL_WEIGHT:
        for _, endpoint in endpoints:
            weight = endpoint.load_balancing_weight
            weight.value = max(1, weight.value * (MAX_TOTAL_WEIGHT // 2) // total)
    grouped: dict[Locality, list[tuple[Instance, Any]]] = defaultdict(list)
    for instance, endpoint in endpoints:
        grouped[instance.locality].append((instance, endpoint))
    for place in sorted(grouped, key=lambda p: (p.region, p.zone, p.sub_zone)):
        instances, members = zip(*grouped[place], strict=True)
        locality = LocalityLbEndpoints(
            locality=LocalityMessage(region=place.region, zone=place.zone, sub_zone=place.sub_zone),
            lb_endpoints=members,
        )
        locality.load_balancing_weight.value = sum(member.load_balancing_weight.value for member in members)
        yield locality, instances


def _unique(instances: Iterable[Instance], port: int) -> list[Instance]:
    """Sorted by address; the healthy one of two at the same address, which some clients reject."""
    ordered = sorted(instances, key=lambda i: (i.address, i.ports[port], not i.healthy, i.workload, i.node_id))
    found: dict[tuple[str, int], Instance] = {}
    for instance in ordered:
        found.setdefault((instance.address, instance.ports[port]), instance)
    return list(found.values())


def _endpoint(instance: Instance, port: int, healthy: bool) -> Any:
    endpoint = LbEndpoint(
        endpoint=Endpoint(address=address(instance.address, port)),
        metadata=istio_metadata({"workload": workload_text(instance)}),
    )
    endpoint.load_balancing_weight.value = max(1, instance.weight)
    if not healthy:
        endpoint.health_status = UNHEALTHY
    return endpoint


def workload_text(instance: Instance) -> str:
    """Istio's `workload;namespace;canonical name;canonical revision;cluster`, from which telemetry knows the peer."""
    labels = instance.labels
    name = labels.get("service.istio.io/canonical-name") or labels.get("app") or instance.workload
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("version") or "latest"
    return ";".join((instance.workload, instance.namespace, name, revision, instance.cluster_id))
