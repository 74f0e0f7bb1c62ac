"""Envoy's configuration as istioctl's tables: protobuf JSON in, rows and filters out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh.naming import ClusterName

Item = Mapping[str, Any]
Row = list[str]

CLUSTERS: Final = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")
LISTENERS: Final = ("ADDRESSES", "PORT", "MATCH", "DESTINATION")
ROUTES: Final = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")
ENDPOINTS: Final = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
SECRETS: Final = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")
_DOMAINS: Final = 2  # that are named, as by istioctl


def pick(item: Item, *path: str) -> Any:
    """A field of a protobuf in JSON, in either spelling (snake_case, camelCase); {} for what is not there."""
    value: Any = item
    for name in path:
        head, *rest = name.split("_")
        camel = head + "".join(word.capitalize() for word in rest)
        value = value.get(name, value.get(camel, {})) if isinstance(value, Mapping) else {}
    return value


# ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ClusterFilter:
    fqdn: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def keeps(self, item: Item) -> bool:
        parsed = ClusterName.parse(str(pick(item, "name")))
        if parsed is None:
            return self == ClusterFilter() or bool(self.fqdn and self.fqdn == pick(item, "name"))
        return (
            (not self.fqdn or self.fqdn in (parsed.host, str(pick(item, "name"))))
            and (not self.port or self.port == parsed.port)
            and (not self.subset or self.subset == parsed.subset)
            and (not self.direction or self.direction == parsed.direction)
        )


def clusters(item: Item) -> Iterator[Row]:
    name, kind, rule = str(pick(item, "name")), str(pick(item, "type") or "STATIC"), _origin(item)
    parsed = ClusterName.parse(name)
    if parsed is None:
        yield [name, "-", "-", "-", kind, rule]
    else:
        yield [parsed.host or "-", str(parsed.port), parsed.subset or "-", parsed.direction, kind, rule]


def _origin(item: Item) -> str:
    """`reviews.default`, of the resource that Istio's metadata names."""
    config = pick(item, "metadata", "filter_metadata").get("istio", {}).get("config", "")
    parts = str(config).rpartition("/namespaces/")[2].split("/")
    return f"{parts[2]}.{parts[0]}" if len(parts) == 3 else "-"


# ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ListenerFilter:
    """`kind` is HTTP or TCP."""

    address: str = ""
    port: int = 0
    kind: str = ""

    def keeps(self, item: Item) -> bool:
        address, port = _socket(item)
        kinds = {_kind(network) for _, network in _filters(item)}
        return (
            (not self.address or self.address == address)
            and (not self.port or str(self.port) == port)
            and (not self.kind or self.kind in kinds)
        )


def listeners(item: Item) -> Iterator[Row]:
    address, port = _socket(item)
    for chain, network in _filters(item):
        yield [address, port, _chain_match(chain), _destination(network)]


def _filters(item: Item) -> Iterator[tuple[Item, Item]]:
    chains = [*pick(item, "filter_chains"), pick(item, "default_filter_chain")]
    return ((chain, network) for chain in filter(None, chains) for network in pick(chain, "filters"))


def _socket(holder: Any) -> tuple[str, str]:
    socket = pick(holder, "address", "socket_address")
    return str(pick(socket, "address") or "?"), str(pick(socket, "port_value") or "?")


def _chain_match(chain: Item) -> str:
    match = pick(chain, "filter_chain_match")
    networks = pick(match, "prefix_ranges") or ()
    parts = [f"{word}: {value}" for word, value in (("Port", pick(match, "destination_port")),) if value]
    parts += [f"Addr: {pick(each, 'address_prefix')}/{pick(each, 'prefix_len') or 0}" for each in networks]
    parts += [f"Trans: {value}" for value in (pick(match, "transport_protocol"),) if value]
    for word, field in (("SNI", "server_names"), ("App", "application_protocols")):
        parts += [f"{word}: {','.join(values)}"] if (values := pick(match, field)) else []
    return "; ".join(parts) or "ALL"


def _kind(network: Item) -> str:
    config = pick(network, "typed_config")
    return "HTTP" if pick(config, "rds") or pick(config, "route_config") else "TCP"


def _destination(network: Item) -> str:
    config = pick(network, "typed_config")
    if name := pick(config, "rds", "route_config_name"):
        return f"Route: {name}"
    if cluster := pick(config, "cluster"):
        return f"Cluster: {cluster}"
    if weighted := pick(config, "weighted_clusters", "clusters"):
        return "Clusters: " + ", ".join(f"{pick(each, 'name')} {pick(each, 'weight') or 0}" for each in weighted)
    hosts = pick(config, "route_config", "virtual_hosts")
    inline = [_route_match(pick(route, "match")) for host in hosts for route in pick(host, "routes")]
    return f"Inline Route: {', '.join(inline)}" if inline else f"Non-HTTP/Non-TCP: {pick(network, 'name')}"


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def routes(item: Item) -> Iterator[Row]:
    for host in pick(item, "virtual_hosts"):
        name, domains = str(pick(host, "name") or "-"), _domains(pick(host, "domains"))
        for route in pick(host, "routes"):
            made_of = _origin(route)
            status = pick(route, "direct_response", "status")
            yield [str(pick(item, "name")), name, domains, _route_match(pick(route, "match")), str(status or made_of)]


def _domains(domains: Sequence[str]) -> str:
    more = f" + {len(domains) - _DOMAINS} more..." if len(domains) > _DOMAINS else ""
    return ", ".join(domains[:_DOMAINS]) + more


def _route_match(match: Item) -> str:
    parts = []
    if path := pick(match, "path"):
        parts.append(str(path))
    elif (regex := pick(match, "safe_regex", "regex")) or (regex := pick(match, "safeRegex", "regex")):
        parts.append(f"regex {regex}")
    elif prefix := pick(match, "path_separated_prefix"):
        parts.append(f"PathPrefix:{prefix}")
    elif prefix := pick(match, "prefix"):
        parts.append(f"{prefix}*")
    elif "connect_matcher" in match or "connectMatcher" in match:
        parts.append("CONNECT")
    parts += [f"header {pick(header, 'name')}" for header in pick(match, "headers")]
    parts += [f"query {pick(query, 'name')}" for query in pick(match, "query_parameters")]
    return " ".join(parts) or "/*"


# ── endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EndpointFilter:
    address: str = ""
    port: int = 0
    cluster: str = ""
    status: str = ""

    def keeps(self, row: Row) -> bool:
        address, _, port = row[0].rpartition(":")
        return (
            (not self.address or self.address == address)
            and (not self.port or str(self.port) == port)
            and (not self.cluster or self.cluster == row[3])
            and (not self.status or self.status.upper() == row[1])
        )


def endpoints(item: Item, ejected: Mapping[tuple[str, str], bool]) -> Iterator[Row]:
    """Of a ClusterLoadAssignment; `ejected` is what the proxy says of (cluster, endpoint), as far as it was asked."""
    cluster = str(pick(item, "cluster_name"))
    for locality in pick(item, "endpoints"):
        for entry in pick(locality, "lb_endpoints"):
            place = ":".join(_socket(pick(entry, "endpoint")))
            known = ejected.get((cluster, place))
            check = "-" if known is None else "FAILED" if known else "OK"
            yield [place, str(pick(entry, "health_status") or "HEALTHY"), check, cluster]


def outliers(clusters_page: Item) -> dict[tuple[str, str], bool]:
    """(cluster, endpoint) → whether outlier detection has ejected it, of the admin page `/clusters?format=json`."""
    return {
        (str(pick(cluster, "name")), ":".join(_socket(host))): bool(pick(host, "health_status", "failed_outlier_check"))
        for cluster in pick(clusters_page, "cluster_statuses")
        for host in pick(cluster, "host_statuses")
    }
