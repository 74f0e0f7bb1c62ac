"""What a rule and its clusters ask for besides the way: time-outs, retries, faults, mirrors, limits, ejection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.explain.steps import Named, Path, Source, Step
from sidecar.config.model import (
    HASHING,
    MILLION,
    UNLIMITED,
    Cluster,
    FaultConfig,
    Forward,
    Hcm,
    LbPolicy,
    RetryPolicy,
    Route,
)
from sidecar.router.table import CompiledRoute

ISTIO: Final = "istio"  # the key of Istio's part of metadata
ORIGIN: Final = "mesh.origin"  # … and of ours: which rule of the VirtualService it was
FAULT_FILTER: Final = "envoy.filters.http.fault"
FAULT_HEADER: Final = b"x-mesh-fault"
_POLICIES: Final = {
    LbPolicy.LEAST_REQUEST: "the host with fewer requests in flight, of two at random",
    LbPolicy.ROUND_ROBIN: "one host after the other",
    LbPolicy.RANDOM: "a host at random",
    LbPolicy.RING_HASH: "equal keys to one host (ring)",
    LbPolicy.MAGLEV: "equal keys to one host (Maglev)",
    LbPolicy.CLUSTER_PROVIDED: "where the connection was going",
}


def origin_of(metadata: Mapping[str, Any]) -> str | None:
    """Istio's path of the resource that something was made from."""
    config = metadata.get(ISTIO, {}).get("config")
    return config if isinstance(config, str) else None


def rule_source(route: Route, *field: str) -> Source | None:
    """The rule of a VirtualService that the route is made from, or a field of it."""
    config = origin_of(route.metadata)
    if config is None:
        return None
    place = route.metadata.get(ORIGIN, {})
    if "http" not in place:
        return Source(config)
    rule: Path = ("spec", "http", int(place["http"]))
    if field:
        return Source(config, ((*rule, *field),))
    return Source(config, ((*rule, "match", int(place["match"])),) if "match" in place else (rule,))


def cluster_source(cluster: Cluster, *fields: Path) -> Source | None:
    """The DestinationRule that the cluster is made from, or the first of these places below its traffic policies."""
    config = origin_of(cluster.metadata)
    if config is None:
        return None
    subset = cluster.metadata[ISTIO].get("subset")
    own: Path = ("spec", "subsets", Named(subset)) if isinstance(subset, str) else ()
    if not fields:
        return Source(config, (own,) if own else ())
    levels = [(*own, "trafficPolicy")] if own else []
    levels.append(("spec", "trafficPolicy"))
    return Source(config, tuple((*level, *field) for level in levels for field in fields))


# ── of the rule ───────────────────────────────────────────────────────────────────────────────────────────────────────


def route_steps(hcm: Hcm, route: CompiledRoute) -> Iterator[Step]:
    config, action = route.config, route.config.action
    assert isinstance(action, Forward)  # noqa: S101 - who forwards
    limit = f"{route.timeout:g} s" if route.timeout else "none: the request may take as long as it likes"
    yield Step("timeout", limit, source=rule_source(config, "timeout"))
    if route.retry is not None:
        yield Step("retries", _retries(route.retry.policy), source=rule_source(config, "retries"))
    else:
        yield Step("retries", "none", source=rule_source(config, "retries"))
    yield from fault_steps(hcm, route)
    for mirroring in route.extras.mirrors if route.extras is not None else ():
        mirror = mirroring.config
        share = "every request" if mirror.fraction >= MILLION else f"{mirror.fraction / MILLION:.4%} of the requests"
        to = mirror.cluster or f"the cluster that header {mirror.cluster_header.decode()} names"
        yield Step("mirror", f"a copy of {share} to {to}; its answer is thrown away", source=_mirror_source(config))
    if route.path_rewrite is not None or route.host_rewrite:
        yield Step("rewrite", _rewrite(action), source=rule_source(config, "rewrite"))
    if config.request_ops.add or config.request_ops.remove:
        names = [each.name.decode() for each in config.request_ops.add] + [
            n.decode() for n in config.request_ops.remove
        ]
        shown = [name for name in names if name != FAULT_HEADER.decode()]
        if shown:
            yield Step("headers", f"changes {', '.join(shown)} of the request", source=rule_source(config, "headers"))


def _mirror_source(route: Route) -> Source | None:
    one = rule_source(route, "mirror")
    several = rule_source(route, "mirrors")
    return Source(one.config, (*one.places, *several.places)) if one is not None and several is not None else None


def _retries(policy: RetryPolicy) -> str:
    on = ", ".join(sorted(policy.conditions))
    codes = ", ".join(map(str, sorted(policy.status_codes)))
    words = f"up to {policy.attempts} more, on {on}" + (f" ({codes})" if codes else "")
    if policy.per_try_timeout:
        words += f", {policy.per_try_timeout:g} s a try"
    return words


def _rewrite(action: Forward) -> str:
    rewrite = action.rewrite
    if rewrite is None:
        return "by the cluster"
    parts = [
        f"prefix to {rewrite.prefix}" if rewrite.prefix is not None else "",
        f"path by /{rewrite.regex[0]}/ to {rewrite.regex[1]}" if rewrite.regex is not None else "",
        f"host to {rewrite.host}" if rewrite.host else "",
    ]
    return ", ".join(filter(None, parts))


def fault_steps(hcm: Hcm, route: CompiledRoute) -> Iterator[Step]:
    """Faults that wait for the request: here, or where it arrives."""
    config = _fault(hcm, route)
    source = rule_source(route.config, "fault")
    if config is not None and config.delay and config.delay_chance:
        yield Step("fault", f"{_chance(config.delay_chance)} wait {config.delay:g} s first", source=source)
    if config is not None and config.abort_chance and (config.abort_status or config.abort_grpc_status is not None):
        status = config.abort_status or f"gRPC status {config.abort_grpc_status}"
        yield Step("fault", f"{_chance(config.abort_chance)} are answered {status} here", source=source)
    if any(each.name == FAULT_HEADER for each in route.config.request_ops.add):
        yield Step("fault", "placed at the upstream: its own sidecar injects it", source=source)


def _fault(hcm: Hcm, route: CompiledRoute) -> FaultConfig | None:
    """The configuration of the fault filter on this route: the most specific level that has one."""
    name = next((each.name for each in hcm.filters if isinstance(each.config, FaultConfig)), FAULT_FILTER)
    for level in (route.config.filters, route.virtual_host.config.filters):
        if name in level:
            found = level[name]
            return found if isinstance(found, FaultConfig) else None
    return next((each.config for each in hcm.filters if isinstance(each.config, FaultConfig)), None)


def _chance(parts: int) -> str:
    return "all requests" if parts >= MILLION else f"{parts / MILLION * 100:g} % of the requests"


# ── of the cluster ────────────────────────────────────────────────────────────────────────────────────────────────────


def cluster_steps(cluster: Cluster) -> Iterator[Step]:
    policy = cluster.balancing.policy
    says = f"{policy.value}: {_POLICIES[policy]}"
    yield Step("balancing", says, source=cluster_source(cluster, ("loadBalancer",)))
    yield Step("connecting", f"within {cluster.connect_timeout:g} s", source=_pool_source(cluster, "connectTimeout"))
    if limits := _limits(cluster):
        yield Step("breaker", limits, source=cluster_source(cluster, ("connectionPool",)))
    if (three := cluster.circuit_breaker) is not None:
        triggers = [
            f"{three.consecutive_failures} failures in a row" if three.consecutive_failures else "",
            f"{three.failure_rate:g} % failures" if three.failure_rate else "",
            f"{three.slow_call_rate:g} % slower than {three.slow_call_duration:g} s" if three.slow_call_rate else "",
        ]
        opens = " or ".join(filter(None, triggers))
        yield Step("breaker", f"opens on {opens} in {three.window:g} s, for {three.open_time:g} s")
    if (outlier := cluster.outlier) is not None:
        failures = [
            f"{outlier.consecutive_5xx} 5xx in a row" if outlier.enforcing_consecutive_5xx else "",
            f"{outlier.consecutive_gateway_failure} gateway errors in a row"
            if outlier.enforcing_consecutive_gateway_failure
            else "",
        ]
        when = " or ".join(filter(None, failures)) or "by its success rate"
        says = f"ejected for {outlier.base_ejection_time:g} s after {when}, at most {outlier.max_ejection_percent} %"
        yield Step("ejection", says, source=cluster_source(cluster, ("outlierDetection",)))


def never_ejects(cluster: Cluster, hosts: int) -> Step | None:
    """What to say where the share of hosts that may be out is less than one of them (`outlier.OutlierDetector`)."""
    outlier = cluster.outlier
    if outlier is None or not hosts or outlier.always_eject_one_host:
        return None
    percent = min(100, outlier.max_ejection_percent)
    if percent * hosts >= 100:
        return None
    says = f"none of the {hosts} endpoints can ever be ejected: one of {hosts} is {100 / hosts:.0f} %, over the {percent} %"
    return Step("no ejection", says, False, cluster_source(cluster, ("outlierDetection",)))


def _pool_source(cluster: Cluster, field: str) -> Source | None:
    return cluster_source(cluster, ("connectionPool", "tcp", field))


def _limits(cluster: Cluster) -> str:
    limits = cluster.limits
    parts = [
        f"{name} {value}"
        for name, value in (
            ("connections", limits.max_connections),
            ("waiting", limits.max_pending),
            ("requests", limits.max_requests),
            ("retries", limits.max_retries),
        )
        if value < UNLIMITED
    ]
    return "at most " + ", ".join(parts) if parts else ""


def sticks(cluster: Cluster) -> bool:
    return cluster.balancing.policy in HASHING
