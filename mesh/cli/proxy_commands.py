"""proxy-status, proxy-config: what the proxies have, as the control plane knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.cli.options import DEFAULT_NAMESPACE, DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, age, print_data, print_table
from mesh.naming import ClusterName

TYPES = ("CDS", "LDS", "EDS", "RDS")
Item = Mapping[str, Any]


class ConfigType(StrEnum):
    CLUSTERS = "clusters"
    LISTENERS = "listeners"
    ROUTES = "routes"
    ENDPOINTS = "endpoints"


def proxy_status(output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Show for every proxy whether it has the configuration it should have: SYNCED, STALE, NACKED or NOT SENT.

    Exit code 1 when a proxy refused something; its words are below the table.
    """
    proxies = ControlPlane(server).proxies()
    if output is not Format.TABLE:
        print_data(proxies, output)
        return
    rows = [
        [
            short_name(proxy),
            proxy["address"],
            *(proxy["types"].get(kind, {}).get("state", "NOT SENT") for kind in TYPES),
            age(proxy.get("since")) if proxy["connected"] else "no",
        ]
        for proxy in proxies
    ]
    print_table(["NAME", "ADDRESS", *TYPES, "CONNECTED"], rows, nothing="no proxy has connected yet")
    refused = [
        f"{proxy_name(proxy)}: {kind}: {state['error']}"
        for proxy in proxies
        for kind, state in proxy["types"].items()
        if state.get("error")
    ]
    if refused:
        raise CliError("a proxy refused its configuration", *refused)


def proxy_config(
    what: Annotated[ConfigType, typer.Argument(metavar="WHAT", help="clusters, listeners, routes or endpoints.")],
    proxy: Annotated[
        str, typer.Argument(metavar="PROXY", help="NAME or NAME.NAMESPACE, as `mesh proxy-status` lists.")
    ],
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show the configuration that a proxy has been given, in Envoy's terms; -o json or yaml for all of it."""
    items = ControlPlane(server).proxy_config(proxy, what.value)
    if output is not Format.TABLE:
        print_data(items, output)
        return
    headings, rows_of = _TABLES[what]
    print_table(headings, [row for item in items for row in rows_of(item)], nothing=f"{proxy} has no {what.value}")


def short_name(proxy: Item) -> str:
    """As `mesh proxy-config` takes it; the namespace `default` needs no mention."""
    return str(proxy["name"]) if proxy["namespace"] == DEFAULT_NAMESPACE else proxy_name(proxy)


def proxy_name(proxy: Item) -> str:
    return f"{proxy['name']}.{proxy['namespace']}"


def pick(item: Item, *path: str) -> Any:
    """A field of a protobuf in JSON, in either spelling (snake_case, camelCase); {} for what is not there."""
    value: Any = item
    for name in path:
        head, *rest = name.split("_")
        camel = head + "".join(word.capitalize() for word in rest)
        value = value.get(name, value.get(camel, {})) if isinstance(value, Mapping) else {}
    return value


def _socket(address: Any) -> str:
    socket = pick(address, "address", "socket_address")
    return f"{pick(socket, 'address') or '?'}:{pick(socket, 'port_value') or '?'}"


def _clusters(item: Item) -> Iterator[list[str]]:
    name = str(pick(item, "name"))
    kind = pick(item, "type") or "STATIC"
    policy = pick(item, "lb_policy") or "ROUND_ROBIN"
    parsed = ClusterName.parse(name)
    if parsed is None:
        yield [name, "-", "-", "-", str(kind), str(policy)]
    else:
        yield [parsed.host or name, str(parsed.port), parsed.subset or "-", parsed.direction, str(kind), str(policy)]


def _listeners(item: Item) -> Iterator[list[str]]:
    where = _socket(item)
    bound = "no" if pick(item, "bind_to_port") is False else "yes"
    chains = [*pick(item, "filter_chains"), pick(item, "default_filter_chain")]
    for chain in filter(None, chains):
        for network in pick(chain, "filters"):
            yield [str(pick(item, "name")), where, bound, _chain_match(chain), _destination(network)]


def _chain_match(chain: Item) -> str:
    match = pick(chain, "filter_chain_match")
    port = pick(match, "destination_port")
    return f"port {port}" if port else "any"


def _destination(network: Item) -> str:
    config = pick(network, "typed_config")
    if name := pick(config, "rds", "route_config_name"):
        return f"routes {name}"
    if cluster := pick(config, "cluster"):
        return f"cluster {cluster}"
    hosts = pick(config, "route_config", "virtual_hosts")
    clusters = [pick(route, "route", "cluster") for host in hosts for route in pick(host, "routes")]
    return f"cluster {', '.join(filter(None, clusters))}" if clusters else str(pick(network, "name"))


def _routes(item: Item) -> Iterator[list[str]]:
    for host in pick(item, "virtual_hosts"):
        domains = pick(host, "domains")
        shown = domains[0] + (f" (+{len(domains) - 1})" if len(domains) > 1 else "")
        for route in pick(host, "routes"):
            yield [str(pick(item, "name")), shown, _route_match(pick(route, "match")), _route_action(route)]


def _route_match(match: Item) -> str:
    names = {"path": "=", "prefix": "^", "path_separated_prefix": "^/", "safe_regex": "~"}
    parts = [f"{sign} {pick(value, 'regex') or value}" for name, sign in names.items() if (value := pick(match, name))]
    parts += [f"header {pick(header, 'name')}" for header in pick(match, "headers")]
    parts += [f"query {pick(query, 'name')}" for query in pick(match, "query_parameters")]
    return " and ".join(parts) or ("CONNECT" if "connect_matcher" in match or "connectMatcher" in match else "any")


def _route_action(route: Item) -> str:
    action = pick(route, "route")
    if cluster := pick(action, "cluster"):
        return str(cluster)
    if weighted := pick(action, "weighted_clusters", "clusters"):
        return ", ".join(f"{pick(entry, 'name')} {pick(entry, 'weight') or 0}" for entry in weighted)
    if redirect := pick(route, "redirect"):
        return f"redirect {redirect}"
    if direct := pick(route, "direct_response"):
        return f"answer {pick(direct, 'status')}"
    return "-"


def _endpoints(item: Item) -> Iterator[list[str]]:
    for locality in pick(item, "endpoints"):
        for entry in pick(locality, "lb_endpoints"):
            health = str(pick(entry, "health_status") or "HEALTHY")
            weight = str(pick(entry, "load_balancing_weight") or 1)
            yield [_socket(pick(entry, "endpoint")), health, weight, str(pick(item, "cluster_name"))]


_TABLES: dict[ConfigType, tuple[list[str], Callable[[Item], Iterator[list[str]]]]] = {
    ConfigType.CLUSTERS: (["SERVICE", "PORT", "SUBSET", "DIRECTION", "TYPE", "BALANCING"], _clusters),
    ConfigType.LISTENERS: (["NAME", "ADDRESS", "BOUND", "MATCH", "DESTINATION"], _listeners),
    ConfigType.ROUTES: (["NAME", "HOST", "MATCH", "TO"], _routes),
    ConfigType.ENDPOINTS: (["ENDPOINT", "HEALTH", "WEIGHT", "CLUSTER"], _endpoints),
}
