"""Which traffic policy holds for a cluster, by its name."""

from __future__ import annotations

from control_plane.translate.index import Index
from control_plane.translate.policy import DEFAULT, Policy, service_policy, subset_policy
from mesh.naming import ClusterName


def cluster_policy(index: Index, cluster: str, client_namespace: str) -> Policy:
    """The policy that clients of a namespace have for an outbound cluster; the default for one of no service."""
    name = ClusterName.parse(cluster)
    service = index.service(name.host) if name is not None else None
    if name is None or service is None:
        return DEFAULT
    rule = index.rule(service.host, service.namespace, client_namespace)
    policy = service_policy(service, rule.policy if rule is not None else None, name.port)
    subsets = rule.subsets if rule is not None else ()
    subset = next((subset for subset in subsets if subset.name == name.subset), None)
    return subset_policy(policy, subset.traffic_policy, name.port) if subset is not None else policy
