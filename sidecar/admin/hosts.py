"""/clusters and /listeners, as text and as JSON, in Envoy's shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sidecar.admin.views import BreakerView, ClusterView, HostView, ListenerView
from sidecar.config import model
from sidecar.config.metadata_match import LB


def _counters(host: HostView) -> dict[str, int]:
    return {
        "cx_connect_fail": host.cx_connect_fail,
        "cx_total": host.cx_total,
        "rq_error": host.rq_error,
        "rq_success": host.rq_success,
        "rq_timeout": host.rq_timeout,
        "rq_total": host.rq_total,
    }


def _gauges(host: HostView) -> dict[str, int]:
    return {"cx_active": host.connections, "rq_active": host.active, "rq_pending_active": 0}


def _health_flags(host: HostView) -> str:
    health = host.endpoint.health
    flags = {
        "failed_active_hc": host.failed_active_hc,
        "failed_outlier_check": host.ejected,
        "failed_eds_health": health is model.Health.UNHEALTHY,
        "degraded_active_hc": host.degraded_active_hc,
        "degraded_eds_health": health is model.Health.DEGRADED,
        "pending_dynamic_removal": host.pending_removal,
        "pending_active_hc": host.pending_active_hc,
        "excluded_via_immediate_hc_fail": host.excluded_by_hc,
        "active_hc_timeout": host.active_hc_timeout,
        "eds_status_draining": health is model.Health.DRAINING,
    }
    return "".join(f"/{flag}" for flag, there in flags.items() if there) or "healthy"


def _thresholds(limits: model.Limits) -> dict[str, int]:
    return {
        "max_connections": limits.max_connections,
        "max_pending_requests": limits.max_pending,
        "max_requests": limits.max_requests,
        "max_retries": limits.max_retries,
    }


def cluster_text(cluster: ClusterView, added_via_api: bool) -> Iterator[str]:
    """The lines of one cluster."""
    config, name = cluster.config, cluster.name
    yield f"{name}::observability_name::{config.alt_stat_name or name}\n"
    if (outlier := cluster.outlier) is not None:
        for prefix, rates in (("", outlier.rates), ("local_origin_", outlier.local_rates)):
            yield f"{name}::outlier::{prefix}success_rate_average::{rates.average:g}\n"
            yield f"{name}::outlier::{prefix}success_rate_ejection_threshold::{rates.threshold:g}\n"
    if (circuit := cluster.circuit) is not None:
        yield f"{name}::mesh_circuit_breaker::state::{circuit.state}\n"
        yield f"{name}::mesh_circuit_breaker::reason::{circuit.reason}\n"
    for priority, limits in (("default", config.limits), ("high", config.high_limits)):
        for limit, value in _thresholds(limits).items():
            yield f"{name}::{priority}_priority::{limit}::{value}\n"
    yield f"{name}::added_via_api::{str(added_via_api).lower()}\n"
    if config.eds_name and config.eds_name != name:
        yield f"{name}::eds_service_name::{config.eds_name}\n"
    for host in cluster.hosts:
        for key, field in _host_fields(host):
            yield f"{name}::{host.name}::{key}::{field}\n"


def _host_fields(host: HostView) -> Iterator[tuple[str, object]]:
    yield from sorted({**_counters(host), **_gauges(host)}.items())
    locality = host.locality
    yield "hostname", host.endpoint.hostname
    yield "health_flags", _health_flags(host)
    yield "weight", host.endpoint.weight
    yield "region", locality.region
    yield "zone", locality.zone
    yield "sub_zone", locality.sub_zone
    yield "canary", str(host.endpoint.metadata.get(LB, {}).get("canary") is True).lower()
    yield "priority", locality.priority
    yield "success_rate", f"{host.success_rate:g}"
    yield "local_origin_success_rate", f"{host.local_success_rate:g}"


def cluster_json(cluster: ClusterView, added_via_api: bool) -> dict[str, Any]:
    """One of `cluster_statuses`; what has its default value is left out, as protobuf's JSON does."""
    config = cluster.config
    status: dict[str, Any] = {"name": cluster.name}
    if added_via_api:
        status["added_via_api"] = True
    if cluster.hosts:
        status["host_statuses"] = [_host_json(host) for host in cluster.hosts]
    if (outlier := cluster.outlier) is not None:
        for prefix, rates in (("", outlier.rates), ("local_origin_", outlier.local_rates)):
            if rates.threshold > 0:
                status[f"{prefix}success_rate_ejection_threshold"] = {"value": rates.threshold}
    status["circuit_breakers"] = {
        "thresholds": [_thresholds(config.limits), {"priority": "HIGH", **_thresholds(config.high_limits)}]
    }
    if (circuit := cluster.circuit) is not None:
        status["mesh_circuit_breaker"] = {"state": circuit.state, "reason": circuit.reason}
    status["observability_name"] = config.alt_stat_name or cluster.name
    if config.eds_name and config.eds_name != cluster.name:
        status["eds_service_name"] = config.eds_name
    return status


def _host_json(host: HostView) -> dict[str, Any]:
    health: dict[str, Any] = {"eds_health_status": host.endpoint.health.value}
    flags = {
        "failed_active_health_check": host.failed_active_hc,
        "failed_outlier_check": host.ejected,
        "failed_active_degraded_check": host.degraded_active_hc,
        "pending_dynamic_removal": host.pending_removal,
        "pending_active_hc": host.pending_active_hc,
        "excluded_via_immediate_hc_fail": host.excluded_by_hc,
        "active_hc_timeout": host.active_hc_timeout,
    }
    health.update({flag: True for flag, there in flags.items() if there})
    locality = host.locality
    where = {"region": locality.region, "zone": locality.zone, "sub_zone": locality.sub_zone}
    status: dict[str, Any] = {
        "address": _address(host.address),
        "stats": [
            *(_stat(name, value) for name, value in _counters(host).items()),
            *({"type": "GAUGE", **_stat(name, value)} for name, value in _gauges(host).items()),
        ],
        "health_status": health,
        "weight": host.endpoint.weight,
        "locality": {key: value for key, value in where.items() if value},
    }
    if host.endpoint.hostname:
        status["hostname"] = host.endpoint.hostname
    if locality.priority:
        status["priority"] = locality.priority
    for key, rate in (("success_rate", host.success_rate), ("local_origin_success_rate", host.local_success_rate)):
        if rate >= 0:
            status[key] = {"value": rate}
    return status


def _stat(name: str, value: int) -> dict[str, str]:
    return {"value": str(value), "name": name} if value else {"name": name}


def _address(address: model.Address) -> dict[str, Any]:
    return {"pipe": {"path": address.host}} if address.is_pipe else _socket_address(address.host, address.port)


def _socket_address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


# ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def listener_addresses(listener: ListenerView) -> Sequence[model.Address]:
    """Where a listener really listens (the port it was given, where it asked for any)."""
    return listener.addresses or [listener.config.address]


def listener_text(name: str, listener: ListenerView) -> str:
    return "".join(f"{name}::{address}\n" for address in listener_addresses(listener))


def listener_json(name: str, listener: ListenerView) -> dict[str, Any]:
    first, *more = listener_addresses(listener)
    status: dict[str, Any] = {"name": name, "local_address": _socket_address(first.host, first.port)}
    if more:
        status["additional_local_addresses"] = [_socket_address(address.host, address.port) for address in more]
    return status


# ── breakers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def breakers(clusters: Sequence[ClusterView], matches: Callable[[str], object]) -> list[dict[str, Any]]:
    """The clusters with a circuit breaker (their host is `*`), and the hosts that have ever been ejected."""
    return [
        {"cluster": cluster.name, "host": host, "state": breaker.state, "reason": breaker.reason, **_window(breaker)}
        for cluster in clusters
        if matches(cluster.name)
        for host, breaker in (("*", cluster.circuit), *((host.name, host.breaker) for host in cluster.hosts))
        if breaker is not None
    ]


def _window(breaker: BreakerView) -> dict[str, Any]:
    """What a breaker with a window has counted, and what opens it."""
    if breaker.counts is None:
        return {}
    return {
        "window": dict(zip(("requests", "failed", "slow"), breaker.counts, strict=True)),
        "opens_at": breaker.opens_at,
    }
