"""Virtual hosts: who asks for a service under which name, and that no two have one name in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.core.v3.config_source_pb2 import V3
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    Route,
    RouteAction,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from control_plane.translate.actions import NO_TIMEOUT
from control_plane.translate.match import catch_all, connect_match
from control_plane.translate.messages import duration
from mesh.naming import PASSTHROUGH_CLUSTER

ANY: Final = "*"
ALLOW_ANY: Final = "allow_any"
BLOCK_ALL: Final = "block_all"
ADDRESS_AND_PORT: Final = r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}"
UNKNOWN_HOST: Final = "no service of the mesh has this host; a ServiceEntry makes it one\n"
WILDCARD_HOST: Final = (
    "a ServiceEntry with resolution NONE declares this host by a wildcard: an explicit proxy cannot look that up; "
    "a ServiceEntry that names the host, with resolution DNS, can be reached\n"
)
MAX_DIRECT_RESPONSE: Final = 1024 * 1024  # what the API takes; Envoy's own default is 4 KiB


@dataclass(frozen=True, slots=True)
class Claim:
    """What a virtual host is to be called and asked for. `domains` are its own; the `short` ones are given up to whoever has
    one as its own, or was first."""

    name: str
    domains: tuple[str, ...]
    short: tuple[str, ...] = ()

    @property
    def wished(self) -> tuple[str, ...]:
        """What it has if nobody else asks for any of it."""
        return tuple(dict.fromkeys((*self.domains, *self.short)))


class Entry:
    """A virtual host to be. Of its routes only the bytes are kept, which are much smaller."""

    __slots__ = ("_routes", "claim")

    def __init__(self, name: str, domains: Iterable[str], routes: Sequence[Any], short: Iterable[str] = ()) -> None:
        self.claim = Claim(name, tuple(map(str.lower, domains)), tuple(map(str.lower, short)))
        self._routes: bytes = VirtualHost(routes=routes).SerializeToString()

    @property
    def name(self) -> str:
        return self.claim.name

    def virtual_host(self, name: str, domains: Iterable[str], attempts: bool) -> Any:
        made = virtual_host(name, domains, (), attempts)
        made.MergeFromString(self._routes)
        return made


def virtual_hosts(entries: Iterable[Entry], attempts: bool = True) -> list[Any]:
    """In the order of their names, without those that nobody could ask for."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    found = zip(ordered, assigned([entry.claim for entry in ordered]), strict=True)
    return [entry.virtual_host(entry.name, domains, attempts) for entry, domains in found if domains]


def assigned(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    """The domains of each of these, which are in the order of their names. Of two with a domain in common the first has it;
    one that is left without any, or has the name of another, gets none: a proxy would reject them all."""
    own = {domain for claim in claims for domain in claim.domains}
    taken: set[str] = set()
    names: set[str] = set()
    found = []
    for claim in claims:
        domains = [d for d in dict.fromkeys(claim.domains) if d not in taken]
        taken.update(domains)
        more = [d for d in dict.fromkeys(claim.short) if d not in taken and d not in own]
        taken.update(more)
        found.append(() if claim.name in names else (*domains, *more))
        if found[-1]:
            names.add(claim.name)
    return found


def virtual_host(name: str, domains: Iterable[str], routes: Iterable[Any], attempts: bool = True) -> Any:
    """With `attempts`, requests say the how many-th attempt they are."""
    return VirtualHost(name=name, domains=domains, routes=routes, include_request_attempt_count=attempts)


def configuration(name: str, hosts: Iterable[Any], ignore_port: bool = True) -> Any:
    """A clusterless route is answered when it is asked for (503 NC): it is no reason to reject all the others."""
    config = RouteConfiguration(name=name, virtual_hosts=hosts, ignore_port_in_host_matching=ignore_port)
    config.validate_clusters.value = False
    config.max_direct_response_body_size_bytes.value = MAX_DIRECT_RESPONSE
    return config


def by_vhds(config: Any) -> Any:
    """A route configuration whose virtual hosts are resources of their own, as far as it does not hold them."""
    made = RouteConfiguration()
    made.CopyFrom(config)
    made.vhds.config_source.ads.SetInParent()
    made.vhds.config_source.resource_api_version = V3
    return made


def renamed(host: Any, name: str) -> Any:
    """The same virtual host under another name. (An Envoy removes one that is a resource by that, so that it is the
    resource's.)"""
    made = VirtualHost()
    made.CopyFrom(host)
    made.name = name
    return made


def uncounted(host: Any) -> Any:
    """The same virtual host, whose requests do not say the how many-th attempt they are."""
    made = VirtualHost()
    made.CopyFrom(host)
    made.include_request_attempt_count = False
    return made


def connect_route(targets: Sequence[tuple[str, int]], *, http2: bool) -> Any:
    """CONNECT to a service ends here: what follows goes to the cluster, or to one of several by their weights, as it is.
    With `http2` that is looked for in the tunnel, for its requests to be carried one by one: so does gRPC use a proxy."""
    action = RouteAction(timeout=duration(NO_TIMEOUT))
    if len(targets) == 1:
        action.cluster = targets[0][0]
    for cluster, weight in targets if len(targets) > 1 else ():
        action.weighted_clusters.clusters.add(name=cluster).weight.value = weight
    upgrade = action.upgrade_configs.add(upgrade_type="CONNECT")
    upgrade.connect_config.SetInParent()
    route = Route(name="connect", match=connect_match(), route=action)
    if http2:
        route.metadata.filter_metadata["mesh.connect"].update({"http2": True})
    return route


def pass_to(cluster: str, attempts: bool = True) -> Any:
    """For hosts that no service has: they are let through there, tunnels as well."""
    action = RouteAction(cluster=cluster, timeout=duration(NO_TIMEOUT))
    tunnel = connect_route(((cluster, 1),), http2=False)
    return virtual_host(ALLOW_ANY, [ANY], [tunnel, Route(name=ALLOW_ANY, match=catch_all(), route=action)], attempts)


def _allow_any() -> Any:
    action = RouteAction(cluster=PASSTHROUGH_CLUSTER, timeout=duration(NO_TIMEOUT))
    return virtual_host(ALLOW_ANY, [ANY], [Route(name=ALLOW_ANY, match=catch_all(), route=action)])


def _block_all(reason: str = UNKNOWN_HOST) -> Any:
    answer = DirectResponseAction(status=502)
    answer.body.inline_string = reason
    matches = (connect_match(), catch_all())
    return virtual_host(
        BLOCK_ALL, [ANY], [Route(name=BLOCK_ALL, match=match, direct_response=answer) for match in matches]
    )


def _pass_addresses() -> Any:
    """For the explicit proxy, which has no original destination: an address says itself where to, a name does not."""
    routes = []
    for name, match, upgrade in (("connect", connect_match(), True), (ALLOW_ANY, catch_all(), False)):
        match.headers.add(name=":authority").string_match.safe_regex.regex = ADDRESS_AND_PORT
        route = connect_route(((PASSTHROUGH_CLUSTER, 1),), http2=False) if upgrade else _passing(match)
        route.match.CopyFrom(match)
        route.name = name
        routes.append(route)
    return virtual_host(ALLOW_ANY, [ANY], [*routes, *BLOCK_UNKNOWN.routes])


def _passing(match: Any) -> Any:
    return Route(match=match, route=RouteAction(cluster=PASSTHROUGH_CLUSTER, timeout=duration(NO_TIMEOUT)))


# Shared: not to be changed.
PASS_UNKNOWN: Final = _allow_any()
BLOCK_UNKNOWN: Final = _block_all()
NOT_LOOKED_UP: Final = _block_all(WILDCARD_HOST)
PASS_ADDRESSES: Final = _pass_addresses()
