"""Why the proxy answered a request itself, in one line: for who got the answer, for the log, for `mesh why`. Pure.

It is made once for each local reply, of what the exchange knows by then: no request that is passed on pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mesh.naming import ClusterName
from sidecar.config.model import Health, PathMatch
from sidecar.explain.policies import ORIGIN, origin_of
from sidecar.http.exchange import Exchange
from sidecar.router.table import CompiledRoute, RouteTable

LONGEST: Final = 300
_BEFORE: Final = "upstream_reset_before_response_started{"
_TIMEOUTS: Final = {
    "response_timeout": "the route's time-out",
    "upstream_response_timeout": "the route's time-out",
    "upstream_per_try_timeout": "the time-out of each try",
    "upstream_per_try_idle_timeout": "the idle time-out of each try",
    "stream_idle_timeout": "the idle time-out",
    "request_overall_timeout": "the request's own time-out: its body took too long",
    "max_duration_timeout": "the longest time that a request may take",
    "upstream_max_stream_duration_reached": "the longest time that an attempt may take",
}


def reason(exchange: Exchange, routes: RouteTable, clusters: Mapping[str, Any]) -> str:
    """ASCII, of one line. `clusters` are all that the proxy has."""
    text = _reason(exchange, routes, clusters)
    return text.encode("ascii", "replace").decode()[:LONGEST].translate(_PRINTABLE)


_PRINTABLE: Final = dict.fromkeys((*range(32), 127), "?")


def _reason(exchange: Exchange, routes: RouteTable, clusters: Mapping[str, Any]) -> str:
    details = exchange.details
    if details == "route_not_found":
        return _no_route(exchange, routes)
    if details == "cluster_not_found":
        return f"no cluster: {_no_cluster(exchange, clusters)}{_by(exchange.route)}"
    if details == "no_healthy_upstream":
        return f"no healthy upstream: cluster {exchange.cluster_name}, {_hosts(exchange.cluster)}"
    if details == "mesh_circuit_breaker_open":
        circuit = exchange.cluster.circuit if exchange.cluster is not None else None
        why = f" ({circuit.reason})" if circuit is not None and circuit.reason else ""
        return f"circuit breaker open: cluster {exchange.cluster_name}{why}"
    if details == "fault_filter_abort":
        return f"fault injected{_by(exchange.route)}"
    if details.startswith(_BEFORE):
        return _reset(exchange, details[len(_BEFORE) : -1])
    if details in _TIMEOUTS:
        return _late(exchange, _TIMEOUTS[details])
    return f"{details}{_by(exchange.route)}"


def _no_route(exchange: Exchange, routes: RouteTable) -> str:
    host = routes.virtual_host(exchange.authority)
    if host is None:
        return f"no route: no virtual host is for {exchange.authority.decode('latin-1')}"
    connect = exchange.method == b"CONNECT"
    count = sum((route.config.match.kind is PathMatch.CONNECT) == connect for route in host.routes)
    return f"no route: virtual host {host.name} has {count} rule{'' if count == 1 else 's'}, none matched"


def _no_cluster(exchange: Exchange, clusters: Mapping[str, Any]) -> str:
    name = exchange.cluster_name
    parsed = ClusterName.parse(name)
    if parsed is None:
        return f"there is no {name}" if name else "the request names none"
    if parsed.subset and str(parsed._replace(subset="")) in clusters:
        return f"no DestinationRule of {parsed.host} has a subset {parsed.subset}"
    return f"no service {parsed.host} has a port {parsed.port}"


def _by(route: CompiledRoute | None) -> str:
    """Which rule it was."""
    config = origin_of(route.config.metadata) if route is not None else None
    if route is None or config is None:
        return ""
    namespace, _, name = config.split("/namespaces/")[-1].split("/")
    place = route.config.metadata.get(ORIGIN, {})
    rule = f" http[{int(place['http'])}]" if "http" in place else ""
    return f", VirtualService {namespace}/{name}{rule}"


def _hosts(cluster: Any) -> str:
    hosts = cluster.hosts
    if not hosts:
        return "it has no endpoints"
    parts = (
        ("ejected", sum(host.ejected for host in hosts)),
        ("failing health checks", sum(host.failed_active_hc for host in hosts)),
        ("told unhealthy", sum(host.endpoint.health in (Health.UNHEALTHY, Health.DRAINING) for host in hosts)),
        ("not checked yet", sum(host.pending_active_hc for host in hosts)),
    )
    why = ", ".join(f"{name} {count}" for name, count in parts if count)
    healthy = sum(host.healthy for host in hosts)
    if healthy == len(hosts):
        return f"none of its {len(hosts)} endpoints has what the route asks for"
    return f"{healthy} of {len(hosts)} endpoints healthy" + (f" ({why})" if why else "")


def _reset(exchange: Exchange, words: str) -> str:
    where = exchange.endpoint.name if exchange.endpoint is not None else "no host"
    what, _, more = words.partition("|")
    if what == "overflow":
        return f"too much at once: cluster {exchange.cluster_name} is at a limit of its circuit breaker"
    tries = f", {exchange.attempts} tries" if exchange.attempts > 1 else ""
    told = f" ({more.replace('_', ' ')})" if more else ""
    return f"{what.replace('_', ' ')}: {where} of {exchange.cluster_name}{tries}{told}"


def _late(exchange: Exchange, which: str) -> str:
    seconds = getattr(exchange, "timeout", 0.0)
    limit = f" ({seconds:g} s)" if seconds and "route" in which else ""
    whom = f": {exchange.endpoint.name} of {exchange.cluster_name}" if exchange.endpoint is not None else ""
    tries = f", {exchange.attempts} tries" if exchange.attempts > 1 else ""
    return f"too late: {which}{limit} is over{whom}{tries}{_by(exchange.route)}"
