"""CDS: a cluster for every port of every service and for its subsets there, and the ones that stand for no service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from control_plane.resource import Versioned, versioned
from control_plane.translate.cluster_policy import apply_policy
from control_plane.translate.dynamic import is_dynamic, make_dynamic
from control_plane.translate.endpoints import assignment, dns_assignment, selected
from control_plane.translate.host_rules import HostRule
from control_plane.translate.hosts import is_wildcard, qualified
from control_plane.translate.index import Index
from control_plane.translate.locality import Preference, preference
from control_plane.translate.memo import Table
from control_plane.translate.messages import address, ads, config_path, duration, istio_metadata
from control_plane.translate.policy import DEFAULT, Policy, service_policy, subset_policy, with_localities
from control_plane.translate.viewer import Audience, Viewer
from control_plane.world import Instance, Resolution, Service
from mesh.istio import circuit_breaker
from mesh.istio.destination_rule import Subset
from mesh.istio.load_balancing import SimpleLB
from mesh.naming import BLACKHOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, PASSTHROUGH_CLUSTER, outbound_cluster
from mesh.node import ServicePort
from mesh.xds import CLUSTER, ENDPOINT

EDS, STRICT_DNS, LOGICAL_DNS, ORIGINAL_DST, STATIC = (
    Cluster.EDS,
    Cluster.STRICT_DNS,
    Cluster.LOGICAL_DNS,
    Cluster.ORIGINAL_DST,
    Cluster.STATIC,
)


def outbound_clusters(index: Index, viewer: Viewer) -> Table:
    """The clusters of all services, by name. They are the same for all clients of one kind in one namespace (which decides
    which DestinationRule holds) and one place."""
    client = replace(viewer, labels=())
    return index.memo.fact(("clusters", client), lambda: _outbound(index, client)[0])


def outbound_endpoints(index: Index, viewer: Viewer) -> Table:
    """The endpoints of those of these clusters that are found by EDS, by name."""
    client = replace(viewer, labels=())
    return index.memo.fact(("endpoints", client), lambda: _outbound(index, client)[1])


def reachable(index: Index, viewer: Viewer, host: str) -> tuple[str, ...]:
    """The names of a service's clusters."""
    client = replace(viewer, labels=())
    return index.memo.fact(
        ("reachable", client, host),
        lambda: tuple(_clusters_of(index, client, host)[0]),
    )


def _outbound(index: Index, viewer: Viewer) -> tuple[Table, ...]:
    return index.gather(("outbound", viewer), 2, partial(_of_service, index, viewer))


def _clusters_of(index: Index, viewer: Viewer, host: str) -> tuple[dict[str, Versioned], dict[str, Versioned]]:
    return index.memo.part(("outbound", viewer), host, partial(_of_service, index, viewer))


def _of_service(index: Index, viewer: Viewer, host: str) -> tuple[dict[str, Versioned], dict[str, Versioned]]:
    clusters: dict[str, Versioned] = {}
    endpoints: dict[str, Versioned] = {}
    service = index.service(host)
    if service is None:
        return clusters, endpoints
    rule = index.rule(service.host, service.namespace, viewer.namespace)
    for port in service.ports:
        for each in _variants(index, service, port, rule):
            wish = preference(each.policy, viewer.locality, viewer.rule_labels)
            # Clients share the clusters for which they have the same rule and the same wishes.
            key = ("cluster", each.name, rule, viewer.audience, wish if _inline(service) else None)
            if (cluster := index.once(key, partial(_cluster, index, each, viewer.audience, wish))) is None:
                continue
            clusters[each.name] = cluster
            if cluster.asks:
                endpoints[each.name] = _endpoints(index, each, wish)
    return clusters, endpoints


@dataclass(frozen=True, slots=True)
class _Variant:
    """A service's port, or a subset of it."""

    name: str
    service: Service
    port: ServicePort
    policy: Policy
    rule: HostRule | None
    subset: Subset | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        return self.subset.labels if self.subset is not None else {}


def _variants(index: Index, service: Service, port: ServicePort, rule: HostRule | None) -> Iterator[_Variant]:
    localities = index.mesh.localities
    policy = service_policy(service, rule.policy if rule is not None else None, port.number)
    yield _Variant(
        outbound_cluster(service.host, port.number), service, port, with_localities(policy, localities), rule
    )
    for subset in rule.subsets if rule is not None else ():
        own = subset_policy(policy, subset.traffic_policy, port.number)
        name = outbound_cluster(service.host, port.number, subset.name)
        yield _Variant(name, service, port, with_localities(own, localities), rule, subset)


def _cluster(index: Index, variant: _Variant, audience: Audience, wish: Preference | None) -> Versioned | None:
    """The cluster, or None where nothing could be reached through one."""
    index.service(variant.service.host.lower())  # which is the variant's: read, so that this is made again with it
    cluster = Cluster(name=variant.name, metadata=_metadata(index, variant))
    if variant.service.resolution is Resolution.DYNAMIC:
        if audience is Audience.GRPC:
            return None  # it looks up what it is told to, and no more
        make_dynamic(cluster, index.mesh.dns_refresh_rate)
    elif not _discover(cluster, variant, audience, wish):
        return None
    if not is_dynamic(cluster) and cluster.type in (STRICT_DNS, LOGICAL_DNS):
        cluster.dns_refresh_rate.CopyFrom(duration(index.mesh.dns_refresh_rate))
    apply_policy(cluster, variant.policy, index.mesh, audience, variant.port)
    return versioned(CLUSTER, variant.name, cluster)


def _endpoints(index: Index, variant: _Variant, wish: Preference | None) -> Versioned:
    """The assignment does not depend on who asks, unless namespaces have subsets of their own, or clients wishes."""
    service, port = variant.service, variant.port
    labels = variant.labels
    key = ("endpoints", variant.name, tuple(sorted(labels.items())), wish)

    def make() -> Versioned:
        instances = selected(index.instances(service.host), labels)
        return versioned(ENDPOINT, variant.name, assignment(variant.name, instances, port.number, wish))

    return index.once(key, make)


def _inline(service: Service) -> bool:
    """Whether the service's clusters hold their endpoints themselves."""
    return service.resolution is not Resolution.REGISTRY


def _metadata(index: Index, variant: _Variant) -> Any:
    service = variant.service
    values: dict[str, Any] = {
        "default_original_port": variant.port.number,
        "services": [{"host": service.host, "name": service.name, "namespace": service.namespace}],
    }
    if variant.rule is not None:
        key = variant.rule.resource.key
        values["config"] = config_path("destination-rule", key.namespace, key.name)
    if service.external and index.mesh.headers.in_mesh:
        values["external"] = True
    if variant.subset is not None:
        values["subset"] = variant.subset.name
    metadata = istio_metadata(values)
    if breaker := _breaker(index, variant):
        metadata.filter_metadata[circuit_breaker.METADATA].update(breaker)
    return metadata


def _breaker(index: Index, variant: _Variant) -> Mapping[str, Any]:
    """What a CircuitBreaker says of the host, the oldest of several; else an annotation of its DestinationRule."""
    breakers = index.once("circuit breakers", lambda: _breakers(index))
    if (found := breakers.get(variant.service.host.lower())) is not None:
        return found
    return circuit_breaker.metadata(variant.rule.resource.annotations) if variant.rule is not None else {}


def _breakers(index: Index) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for resource in index.circuit_breakers:
        found.setdefault(qualified(resource.spec.host, resource.key.namespace), resource.spec.settings)
    return found


# ── discovery ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _discover(cluster: Any, variant: _Variant, audience: Audience, wish: Preference | None) -> bool:
    """Says how the cluster's hosts are found; False when this client has no way to find any."""
    resolution = variant.service.resolution
    if _passes_through(variant.policy) and audience is Audience.TRANSPARENT:
        cluster.type = ORIGINAL_DST
        return True
    if resolution is Resolution.REGISTRY:
        cluster.type = EDS
        cluster.eds_cluster_config.service_name = variant.name
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
        return True
    if resolution is Resolution.NONE and audience is Audience.TRANSPARENT:
        cluster.type = ORIGINAL_DST
        return True
    # "Wherever the client was going" is, for a client that names hosts, whatever the name stands for.
    serving = (i for i in _named(variant.service) if not i.ports or variant.port.number in i.ports)
    instances = selected(serving, variant.labels)
    if not instances:
        return False
    by_round = resolution is Resolution.DNS_ROUND_ROBIN or (audience is Audience.GRPC and len(instances) == 1)
    if audience is Audience.GRPC and not by_round:
        return False  # gRPC knows DNS with one name only
    cluster.type = LOGICAL_DNS if by_round else STRICT_DNS
    if by_round:
        instances, wish = (
            instances[:1],
            None,
        )  # one name is in one place, and has to be there: there is nothing to share out
    _set_dns(cluster, instances, variant.port.number, wish)
    return True


def _named(service: Service) -> tuple[Instance, ...]:
    """The names to look up: those that are given, else the host itself."""
    if service.endpoints or is_wildcard(service.host):
        return service.endpoints
    ports = {port.number: port.app_port for port in service.ports}
    return (Instance(service.host, ports, namespace=service.namespace),)


def _passes_through(policy: Policy) -> bool:
    return policy.load_balancer is not None and policy.load_balancer.simple is SimpleLB.PASSTHROUGH


def _set_dns(cluster: Any, instances: tuple[Instance, ...], port: int, wish: Preference | None) -> None:
    cluster.respect_dns_ttl = True
    cluster.dns_lookup_family = Cluster.V4_PREFERRED
    cluster.load_assignment.CopyFrom(dns_assignment(cluster.name, instances, port, wish))


# ── clusters of no service ────────────────────────────────────────────────────────────────────────────────────────────


def special(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """The clusters that captured traffic goes to when no service is meant."""
    if viewer.audience is Audience.GRPC:
        return {}
    names = [BLACKHOLE_CLUSTER]
    if viewer.audience is Audience.TRANSPARENT:
        names += [PASSTHROUGH_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER]
    elif viewer.audience is Audience.EXPLICIT:
        names.append(PASSTHROUGH_CLUSTER)
    explicit = viewer.audience is Audience.EXPLICIT
    return {name: index.once(("special", name, explicit), partial(_special, index, name, explicit)) for name in names}


def _special(index: Index, name: str, explicit: bool) -> Any:
    """An explicit proxy's request says in its authority where to: nothing else does."""
    cluster = Cluster(name=name)
    if name == BLACKHOLE_CLUSTER:
        cluster.type = STATIC
        cluster.load_assignment.cluster_name = name
    else:
        cluster.type = ORIGINAL_DST
        if explicit:
            cluster.original_dst_lb_config.use_http_header = True
            cluster.original_dst_lb_config.http_header_name = ":authority"
    apply_policy(cluster, DEFAULT, index.mesh, Audience.TRANSPARENT, ServicePort(0, "", "", 0))
    return cluster


def static_cluster(name: str, host: str, port: int) -> Any:
    """A cluster of one endpoint, whose policy is still to be set."""
    cluster = Cluster(name=name, type=STATIC)
    cluster.load_assignment.cluster_name = name
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.CopyFrom(address(host, port))
    return cluster
