"""The rules of a proxy that split a host's requests, and those in front of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mesh.explain.steps import Source
from mesh.naming import ClusterName
from sidecar.config.model import Forward, Hcm, PathMatch, Route, RouteConfig, TcpProxy, WeightedCluster
from sidecar.explain.given import Given
from sidecar.explain.policies import rule_source
from sidecar.explain.words import match_words


@dataclass(frozen=True, slots=True)
class RuleSplit:
    """A rule: where it stands, what it asks for, the shares of its clusters (from 0 to 1), and what decides between them
    if it is not chance. `in_front` are rules before it whose requests go to the same host."""

    virtual_host: str
    asks: str
    shares: tuple[tuple[str, float], ...]
    source: Source | None = None
    decided_by: str = ""
    in_front: tuple[tuple[str, Source | None], ...] = ()
    connections: bool = False


def hosts_called(given: Given) -> set[str]:
    """The hosts of all services that the proxy has clusters of."""
    parsed = (ClusterName.parse(name) for name in given.cluster_names)
    return {name.host for name in parsed if name is not None and name.direction == "outbound"}


def rules_of(given: Given, host: str) -> tuple[list[RuleSplit], int]:
    """The rules that split the requests to a host, and how many others lead to it."""
    found: list[RuleSplit] = []
    others = 0
    for config in _configs(given):
        for vhost in config.virtual_hosts:
            before: list[Route] = []
            front = 0  # so many of those before the last rule that splits are in front of it
            for route in vhost.routes:
                if route.match.kind is PathMatch.CONNECT or not _leads_to(route, host):
                    continue
                action = route.action
                assert isinstance(action, Forward)  # noqa: S101 - it leads somewhere
                if len(_used(action.clusters)) > 1:
                    found.append(_split(vhost.name, route, action, before))
                    front = len(before)
                else:
                    before.append(route)
            others += len(before) - front
    found += [split for split in _of_connections(given) if _is_of(split.shares[0][0], host)]
    return found, others


def _split(vhost: str, route: Route, action: Forward, before: Iterable[Route]) -> RuleSplit:
    front = tuple((match_words(each.match), rule_source(each)) for each in before)
    by = (
        action.weight_header.decode()
        if action.weight_header
        else "the hash of the request"
        if action.weight_by_hash
        else ""
    )
    return RuleSplit(vhost, match_words(route.match), _shares(action.clusters), rule_source(route, "route"), by, front)


def _shares(clusters: Iterable[WeightedCluster]) -> tuple[tuple[str, float], ...]:
    used = _used(clusters)
    total = sum(cluster.weight for cluster in used)
    return tuple((cluster.name, cluster.weight / total) for cluster in used)


def _used(clusters: Iterable[WeightedCluster]) -> list[WeightedCluster]:
    return [cluster for cluster in clusters if cluster.weight]


def _leads_to(route: Route, host: str) -> bool:
    return isinstance(route.action, Forward) and any(_is_of(each.name, host) for each in route.action.clusters)


def _is_of(cluster: str, host: str) -> bool:
    parsed = ClusterName.parse(cluster)
    return parsed is not None and parsed.host == host


def _configs(given: Given) -> Iterator[RouteConfig]:
    yield from given.all_routes
    for network in _networks(given):
        if isinstance(network, Hcm) and network.routes is not None:
            yield network.routes


def _networks(given: Given) -> Iterator[Hcm | TcpProxy]:
    for listener in given.listeners:
        chains = (*listener.chains, *((listener.default_chain,) if listener.default_chain is not None else ()))
        yield from (chain.network for chain in chains)


def _of_connections(given: Given) -> Iterator[RuleSplit]:
    for network in _networks(given):
        if isinstance(network, TcpProxy) and len(_used(network.clusters)) > 1:
            yield RuleSplit(network.stat_prefix, "connections", _shares(network.clusters), connections=True)
