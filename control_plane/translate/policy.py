"""Which traffic policy holds for one port of a service, and for one of its subsets there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from control_plane.world import Service
from mesh.istio.destination_rule import ConnectionPoolSettings, OutlierDetection, RetryBudget, TrafficPolicy
from mesh.istio.load_balancing import LoadBalancerSettings, LocalityLoadBalancerSetting


class Settings(Protocol):
    """A traffic policy or the settings of one port in it."""

    @property
    def load_balancer(self) -> LoadBalancerSettings | None: ...
    @property
    def connection_pool(self) -> ConnectionPoolSettings | None: ...
    @property
    def outlier_detection(self) -> OutlierDetection | None: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What remains after merging; None is the mesh's default. `prefers_near` holds without outlier detection, too."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    retry_budget: RetryBudget | None = None
    prefers_near: bool = False


DEFAULT = Policy()
_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"


def _nearest(*labels: str) -> LoadBalancerSettings:
    return LoadBalancerSettings.model_validate({"localityLbSetting": {"failoverPriority": list(labels)}})


_STICKY: Final = LoadBalancerSettings.model_validate({"consistentHash": {"useSourceIp": True}})
_NEAR: Final = {
    "PreferClose": _nearest(_REGION, _ZONE),
    "PreferSameZone": _nearest(_REGION, _ZONE),
    "PreferSameNode": _nearest(_REGION, _ZONE, "kubernetes.io/hostname"),
}


def service_policy(service: Service, host_policy: TrafficPolicy | None, port: int) -> Policy:
    """The policy of a service's port: its host's, and of what that says nothing, the service's own."""
    policy = port_policy(host_policy, port)
    if policy.load_balancer is not None or not (service.affinity or service.near):
        return policy
    if service.affinity:
        return replace(policy, load_balancer=_STICKY)
    return replace(policy, load_balancer=_NEAR[service.near], prefers_near=True)


def with_localities(policy: Policy, localities: LocalityLoadBalancerSetting | None) -> Policy:
    """The policy with what the whole mesh prefers, where it says nothing of places itself."""
    balancer = policy.load_balancer or LoadBalancerSettings()
    if localities is None or balancer.locality_lb_setting is not None or balancer.zone_aware_lb_setting is not None:
        return policy
    return replace(policy, load_balancer=balancer.model_copy(update={"locality_lb_setting": localities}))


def port_policy(host_policy: TrafficPolicy | None, port: int) -> Policy:
    """A host's policy on one port. Settings of the port replace the host's as a whole: what they leave out is the
    default again, not the host's."""
    if host_policy is None:
        return DEFAULT
    return _of(_port_settings(host_policy, port) or host_policy, host_policy.retry_budget)


def subset_policy(base: Policy, subset: TrafficPolicy | None, port: int) -> Policy:
    """The policy of a subset on one port: it replaces the host's block by block, its settings of the port as a whole."""
    if subset is None:
        return base
    budget = subset.retry_budget or base.retry_budget
    if (settings := _port_settings(subset, port)) is not None:
        return _of(settings, budget)
    return Policy(
        subset.load_balancer or base.load_balancer,
        subset.connection_pool or base.connection_pool,
        subset.outlier_detection or base.outlier_detection,
        budget,
    )


def _port_settings(policy: TrafficPolicy, port: int) -> Settings | None:
    return next((settings for settings in policy.port_level_settings if settings.port.number == port), None)


def _of(settings: Settings, budget: RetryBudget | None) -> Policy:
    return Policy(settings.load_balancer, settings.connection_pool, settings.outlier_detection, budget)
