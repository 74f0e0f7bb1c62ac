"""Envoy's configuration as istioctl's tables: protobuf JSON in, rows and filters out, in istioctl's order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh.naming import ClusterName

Item = Mapping[str, Any]
Row = list[str]

_DOMAINS: Final = 2  # that are named, as by istioctl
_SUFFIXES: Final = (".svc", ".svc.cluster.local", ".svc.cluster.local.")
_PLAIN_HTTP: Final = ("http/1.0", "http/1.1", "h2c")


@dataclass(frozen=True, slots=True)
class View:
    """How items of a kind are shown: an item's rows, and what items are sorted by."""

    headings: tuple[str, ...]
    rows: Callable[[Item], Iterable[Row]]
    order: Callable[[Item], Any]
    row_order: Callable[[Row], Any] | None = None  # where rows of several items are mixed

    def sorted_rows(self, items: Iterable[Item]) -> list[Row]:
        rows = [row for item in sorted(items, key=self.order) for row in self.rows(item)]
        return sorted(rows, key=self.row_order) if self.row_order is not None else rows


def pick(item: Item, *path: str) -> Any:
    """A field of a protobuf in JSON, in either spelling (snake_case, camelCase); {} for what is not there."""
    value: Any = item
    for name in path:
        head, *rest = name.split("_")
        camel = head + "".join(word.capitalize() for word in rest)
        value = value.get(name, value.get(camel, {})) if isinstance(value, Mapping) else {}
    return value


def whole(data: Any) -> Any:
    """JSON data with 15021 for 15021.0: a protobuf Struct knows only floats."""
    if isinstance(data, Mapping):
        return {key: whole(value) for key, value in data.items()}
    if isinstance(data, list):
        return [whole(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


# ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ClusterFilter:
    """`fqdn` and `subset` are parts of what they look for, as istioctl's."""

    fqdn: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def keeps(self, item: Item) -> bool:
        parsed = ClusterName.parse(str(pick(item, "name")))
        if parsed is None:
            by_name = not (self.port or self.subset or self.direction)
            return by_name and self.fqdn in str(pick(item, "name"))
        return (
            (self.fqdn in parsed.host or self.fqdn == pick(item, "name"))
            and (not self.port or self.port == parsed.port)
            and self.subset in parsed.subset
            and (not self.direction or self.direction == parsed.direction)
        )


def clusters(item: Item) -> Iterator[Row]:
    name, kind, rule = str(pick(item, "name")), str(pick(item, "type") or "STATIC"), _origin(item)
    parsed = ClusterName.parse(name)
    if parsed is None:
        yield [name, "-", "-", "-", kind, rule]
    else:
        yield [parsed.host or "-", str(parsed.port), parsed.subset or "-", parsed.direction, kind, rule]


def _cluster_order(item: Item) -> tuple[str, str, int, str]:
    """By host, subset, port and direction."""
    name = str(pick(item, "name"))
    parsed = ClusterName.parse(name)
    return (name, "", 0, "") if parsed is None else (parsed.host, parsed.subset, parsed.port, parsed.direction)


def _origin(item: Item) -> str:
    """`reviews.default`, of the resource that Istio's metadata names."""
    config = pick(item, "metadata", "filter_metadata").get("istio", {}).get("config", "")
    parts = str(config).rpartition("/namespaces/")[2].split("/")
    return f"{parts[2]}.{parts[0]}" if len(parts) == 3 else "-"


CLUSTERS: Final = View(
    ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"),
    clusters,
    _cluster_order,
)


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
    rows = [[address, port, _chain_match(chain), _destination(network)] for chain, network in _filters(item)]
    yield from sorted(rows, key=lambda row: row[-1], reverse=True)


def _listener_order(item: Item) -> tuple[int, str]:
    """By port and address."""
    address, port = _socket(item)
    return int(port) if port.isdigit() else 0, address


def _filters(item: Item) -> Iterator[tuple[Item, Item]]:
    chains = [*pick(item, "filter_chains"), pick(item, "default_filter_chain")]
    return ((chain, network) for chain in filter(None, chains) for network in pick(chain, "filters"))


def _socket(holder: Any) -> tuple[str, str]:
    socket = pick(holder, "address", "socket_address")
    return str(pick(socket, "address") or "?"), str(pick(socket, "port_value") or "?")


def _chain_match(chain: Item) -> str:
    match = pick(chain, "filter_chain_match")
    parts = [f"SNI: {','.join(names)}"] if (names := pick(match, "server_names")) else []
    parts += [f"Trans: {value}" for value in (pick(match, "transport_protocol"),) if value]
    if spoken := tuple(pick(match, "application_protocols")):
        parts.append(f"App: {'HTTP' if spoken == _PLAIN_HTTP else ','.join(spoken)}")
    ranges = [
        f"{pick(each, 'address_prefix')}/{pick(each, 'prefix_len') or 0}" for each in pick(match, "prefix_ranges")
    ]
    port = pick(match, "destination_port")
    if ranges or port:
        parts.append(f"Addr: {','.join(ranges) or '*'}{f':{port}' if port else ''}")
    return "; ".join(parts) or "ALL"


def _kind(network: Item) -> str:
    config = pick(network, "typed_config")
    return "HTTP" if pick(config, "rds") or pick(config, "route_config") else "TCP"


def _destination(network: Item) -> str:
    config = pick(network, "typed_config")
    if name := pick(config, "rds", "route_config_name"):
        return f"Route: {name}"
    if cluster := pick(config, "cluster"):
        return _to(cluster)
    if weighted := pick(config, "weighted_clusters", "clusters"):
        return "Clusters: " + ", ".join(f"{pick(each, 'name')} {pick(each, 'weight') or 0}" for each in weighted)
    hosts = pick(config, "route_config", "virtual_hosts")
    if cluster := _only_cluster(hosts):
        return _to(cluster)
    return f"Inline Route: {'; '.join(map(_inline, hosts))}" if hosts else f"Non-HTTP/Non-TCP: {pick(network, 'name')}"


def _to(cluster: Any) -> str:
    """A cluster's name, without a word before those that say by themselves what they are."""
    return str(cluster) if "Cluster" in cluster else f"Cluster: {cluster}"


def _only_cluster(hosts: Sequence[Item]) -> Any:
    """Where everything goes, if one route of one virtual host takes all."""
    if len(hosts) != 1 or list(pick(hosts[0], "domains")) != ["*"] or len(pick(hosts[0], "routes")) != 1:
        return ""
    (route,) = pick(hosts[0], "routes")
    return pick(route, "route", "cluster") if _route_match(pick(route, "match")) == "/*" else ""


def _inline(host: Item) -> str:
    domains = "/".join(pick(host, "domains"))
    routes = ", ".join(_route_match(pick(route, "match")) for route in pick(host, "routes"))
    return routes if domains in ("", "*") else f"{domains} {routes}"


LISTENERS: Final = View(("ADDRESSES", "PORT", "MATCH", "DESTINATION"), listeners, _listener_order)


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def routes(item: Item) -> Iterator[Row]:
    for host in pick(item, "virtual_hosts"):
        name, domains = str(pick(host, "name") or "-"), _domains(pick(host, "domains"))
        for route in pick(host, "routes"):
            made_of = _origin(route)
            status = pick(route, "direct_response", "status")
            yield [str(pick(item, "name")), name, domains, _route_match(pick(route, "match")), str(status or made_of)]


def _route_order(item: Item) -> tuple[int, str]:
    """Those of ports first, by their number."""
    name = str(pick(item, "name"))
    return (int(name), "") if name.isdigit() else (1 << 16, name)


def _domains(domains: Sequence[str]) -> str:
    """The shortest names of each: without those that only add a port or Kubernetes' suffixes to another."""
    if len(domains) == 1:
        return domains[0]
    portless = [each for each in domains if ":" not in each or each.endswith("]")]
    names = [each for each in portless if not any(each == f"{other}{end}" for other in portless for end in _SUFFIXES)]
    more = f" + {len(names) - _DOMAINS} more..." if len(names) > _DOMAINS else ""
    return ", ".join(names[:_DOMAINS]) + more


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


ROUTES: Final = View(("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"), routes, _route_order)


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
            (not self.address or self.address.lower() == address.lower())
            and (not self.port or str(self.port) == port)
            and (not self.cluster or self.cluster.lower() == row[3].lower())
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


def _endpoint_order(row: Row) -> tuple[str, int, str]:
    """By address, port and cluster."""
    address, _, port = row[0].rpartition(":")
    return address, int(port) if port.isdigit() else 0, row[3]


def endpoints_view(rows: Callable[[Item], Iterable[Row]]) -> View:
    headings = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
    return View(headings, rows, lambda item: pick(item, "cluster_name"), _endpoint_order)


def outliers(clusters_page: Item) -> dict[tuple[str, str], bool]:
    """(cluster, endpoint) → whether outlier detection has ejected it, of the admin page `/clusters?format=json`."""
    return {
        (str(pick(cluster, "name")), ":".join(_socket(host))): bool(pick(host, "health_status", "failed_outlier_check"))
        for cluster in pick(clusters_page, "cluster_statuses")
        for host in pick(cluster, "host_statuses")
    }


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def secrets(item: Item) -> Iterator[Row]:
    is_ca = bool(pick(item, "secret", "validation_context"))
    yield [str(item.get("name", "-")), "CA" if is_ca else "Cert Chain", "ACTIVE", "-", "-", "-", "-"]


SECRETS: Final = View(
    ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"),
    secrets,
    lambda item: str(item.get("name", "-")),
)
