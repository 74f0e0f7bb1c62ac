"""ClusterLoadAssignment → Assignment."""

from __future__ import annotations

from typing import Any, Final

from sidecar.config.common import address
from sidecar.config.model import Assignment, Endpoint, Health, LocalityEndpoints
from sidecar.config.reader import Reader

_HEALTH: Final = {
    "UNKNOWN": Health.HEALTHY,
    "HEALTHY": Health.HEALTHY,
    "UNHEALTHY": Health.UNHEALTHY,
    "DRAINING": Health.DRAINING,
    "TIMEOUT": Health.UNHEALTHY,
    "DEGRADED": Health.DEGRADED,
}


def compile_assignment(message: Any) -> Assignment:
    """An envoy.config.endpoint.v3.ClusterLoadAssignment; ConfigError with everything that is wrong in it."""
    reader = Reader(message)
    compiled = assignment(reader)
    reader.finish()
    return compiled


def assignment(reader: Reader, *, names: bool = False) -> Assignment:
    """The same within a cluster; `names` allows host names as addresses (DNS clusters)."""
    overprovisioning, weighted = 140, False
    if (policy := reader.child("policy")) is not None:
        overprovisioning = policy.number("overprovisioning_factor", 140)
        weighted = policy.flag("weighted_priority_health")
    return Assignment(
        cluster=reader.text("cluster_name"),
        localities=tuple(_locality(each, names) for each in reader.children("endpoints")),
        overprovisioning=overprovisioning,
        weighted_health=weighted,
        source=reader.message.SerializeToString(deterministic=True),
    )


def _locality(reader: Reader, names: bool) -> LocalityEndpoints:
    place = reader.child("locality")
    return LocalityEndpoints(
        endpoints=reader.all_interned("lb_endpoints", _endpoint, names),
        region=place.text("region") if place is not None else "",
        zone=place.text("zone") if place is not None else "",
        sub_zone=place.text("sub_zone") if place is not None else "",
        weight=reader.number("load_balancing_weight"),
        priority=reader.number("priority"),
    )


def _endpoint(reader: Reader, names: bool) -> Endpoint:
    inner = reader.child("endpoint")
    where = address(None)
    hostname, check = "", None
    if inner is not None:
        if not inner.has("address"):
            inner.problem("is required", "address")
        where = address(inner.child("address"), names=names, pipes=not names)
        hostname = inner.text("hostname")
        check = inner.child("health_check_config")
    elif not reader.has("endpoint_name"):
        reader.problem("is required", "endpoint")
    return Endpoint(
        address=where,
        hostname=hostname,
        weight=reader.number("load_balancing_weight", 1),
        health=_HEALTH.get(reader.enum("health_status"), Health.HEALTHY),
        metadata=reader.metadata("metadata"),
        check_port=check.number("port_value") if check is not None else 0,
        check_hostname=check.text("hostname") if check is not None else "",
        check_disabled=check is not None and check.flag("disable_active_health_check"),
    )
