"""Which clusters a configuration names and insists on: Envoy's `validate_clusters`."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.config.model import Forward, Hcm, Listener, RouteConfig


def clusters_of_listener(listener: Listener) -> set[str]:
    """The clusters that must be there for a listener's inline routes; checked unless the routes say otherwise."""
    chains = (*listener.chains, *((listener.default_chain,) if listener.default_chain is not None else ()))
    return {
        name
        for chain in chains
        if isinstance(chain.network, Hcm) and chain.network.routes is not None
        for name in clusters_of_routes(chain.network.routes, checked=True)
    }


def clusters_of_routes(routes: RouteConfig, *, checked: bool = False) -> set[str]:
    """The same for a route configuration; `checked` is what holds when it says nothing itself (no for RDS)."""
    wanted = checked if routes.validate_clusters is None else routes.validate_clusters
    return set(_named(routes)) if wanted else set()


def rds_names(listener: Listener) -> dict[str, float]:
    """The route configurations that a listener asks for by name, with the time that it waits for each."""
    chains = (*listener.chains, *((listener.default_chain,) if listener.default_chain is not None else ()))
    return {
        chain.network.rds: chain.network.rds_timeout
        for chain in chains
        if isinstance(chain.network, Hcm) and chain.network.rds
    }


def _named(routes: RouteConfig) -> Iterator[str]:
    for host in routes.virtual_hosts:
        for route in host.routes:
            if isinstance(route.action, Forward):
                yield from (each.name for each in route.action.clusters if each.name)
                mirrors = route.action.mirrors or host.mirrors or routes.mirrors
                yield from (each.cluster for each in mirrors if each.cluster)
