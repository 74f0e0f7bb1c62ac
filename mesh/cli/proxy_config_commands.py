"""proxy-config: what one proxy has, in istioctl's words and columns.

What a proxy was given is known by the control plane; what only the proxy itself knows (its bootstrap, its log levels,
which hosts it has ejected) is asked of its admin port.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from mesh.bootstrap import admin_address
from mesh.cli import proxy_tables as tables
from mesh.cli.client import ControlPlane
from mesh.cli.errors import USAGE, CliError
from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, print_data, print_table
from mesh.cli.proxy_commands import proxy_name
from mesh.naming import ADMIN_PORT, PROMETHEUS_PORT

ADMIN_SECONDS: Final = 5.0

app = typer.Typer(
    name="proxy-config",
    help="Show the configuration that a proxy has been given, in Envoy's terms; -o json or yaml for all of it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Proxy = Annotated[str, typer.Argument(metavar="PROXY", help="NAME or NAME.NAMESPACE, as `mesh proxy-status` lists.")]
Port = Annotated[int, typer.Option("--port", metavar="NUMBER", help="Only this port.")]
Address = Annotated[str, typer.Option("--address", metavar="IP", help="Only this address.")]
Fqdn = Annotated[str, typer.Option("--fqdn", metavar="HOST", help="Only of hosts whose name has this in it.")]
Subset = Annotated[str, typer.Option("--subset", metavar="NAME", help="Only of subsets whose name has this in it.")]
RouteName = Annotated[str, typer.Option("--name", metavar="NAME", help="Only this route configuration.")]


class Kind(StrEnum):
    HTTP = "HTTP"
    TCP = "TCP"


class Way(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


ListenerKind = Annotated[Kind | None, typer.Option("--type", help="Only with filters of this kind.")]
Direction = Annotated[Way | None, typer.Option("--direction", help="Only these.")]


def clusters(
    proxy: Proxy,
    fqdn: Fqdn = "",
    port: Port = 0,
    subset: Subset = "",
    direction: Direction = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """The clusters: who can be called, how their endpoints are found, and the DestinationRule that holds."""
    kept = tables.ClusterFilter(fqdn, port, subset, direction.value if direction else "")
    _show(
        _given(ControlPlane(server), proxy, "clusters", kept.keeps),
        tables.CLUSTERS,
        output,
        f"{proxy} has no such clusters",
    )


def listeners(
    proxy: Proxy,
    address: Address = "",
    port: Port = 0,
    kind: ListenerKind = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """The listeners: where the proxy accepts connections, and where each of them goes."""
    kept = tables.ListenerFilter(address, port, kind.value if kind else "")
    _show(
        _given(ControlPlane(server), proxy, "listeners", kept.keeps),
        tables.LISTENERS,
        output,
        f"{proxy} has no such listeners",
    )


def routes(proxy: Proxy, name: RouteName = "", output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """The routes: what is matched, for which hosts, and the VirtualService that it comes from."""
    _show(
        _given(ControlPlane(server), proxy, "routes", _named(name)),
        tables.ROUTES,
        output,
        f"{proxy} has no such routes",
    )


def endpoints(
    proxy: Proxy,
    address: Address = "",
    port: Port = 0,
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME", help="Only of this cluster.")] = "",
    status: Annotated[str, typer.Option("--status", metavar="HEALTH", help="HEALTHY, UNHEALTHY, DRAINING.")] = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """The endpoints, their health, and whether the proxy has ejected them."""
    plane = ControlPlane(server)
    kept = tables.EndpointFilter(address, port, cluster, status)
    ejected = _ejected(plane, proxy)

    def rows(item: tables.Item) -> list[tables.Row]:
        return [row for row in tables.endpoints(item, ejected) if kept.keeps(row)]

    items = _given(plane, proxy, "endpoints", lambda item: bool(rows(item)))
    _show(items, tables.endpoints_view(rows), output, f"{proxy} has no such endpoints")


def bootstrap(proxy: Proxy, output: Output = Format.YAML, server: Server = DEFAULT_SERVER) -> None:
    """What the proxy was started with, as its own admin port says (YAML)."""
    found = _configs(ControlPlane(server), proxy, "BootstrapConfigDump")
    data = tables.whole(found[0].get("bootstrap", found[0]) if found else {})
    print_data(data, Format.YAML if output is Format.TABLE else output)


def secret(proxy: Proxy, output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """The certificates that the proxy holds. There are none as long as traffic between sidecars is plain text."""
    dumps = _configs(ControlPlane(server), proxy, "SecretsConfigDump")
    items = [
        item for dump in dumps for key in ("dynamic_active_secrets", "static_secrets") for item in dump.get(key, [])
    ]
    _show(items, tables.SECRETS, output, f"{proxy} holds no secrets: traffic between sidecars is plain text")


def log(
    proxy: Proxy,
    level: Annotated[
        str, typer.Option("--level", metavar="[NAME:]LEVEL,…", help="Set it first: debug, or http:debug,upstream:info.")
    ] = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """The levels of the proxy's loggers; --level changes them."""
    query = ""
    if level:
        query = f"?paths={level}" if ":" in level else f"?level={level}"
    print(_admin(ControlPlane(server), proxy, f"/logging{query}", "POST"), end="")


def everything(
    proxy: Proxy,
    fqdn: Fqdn = "",
    port: Port = 0,
    subset: Subset = "",
    direction: Direction = None,
    address: Address = "",
    kind: ListenerKind = None,
    name: RouteName = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Clusters, listeners, routes and endpoints together; filters are for those that have such a thing."""
    plane = ControlPlane(server)
    cluster = tables.ClusterFilter(fqdn, port, subset, direction.value if direction else "")
    listener = tables.ListenerFilter(address, port, kind.value if kind else "")
    found = {
        "clusters": _given(plane, proxy, "clusters", cluster.keeps),
        "listeners": _given(plane, proxy, "listeners", listener.keeps),
        "routes": _given(plane, proxy, "routes", _named(name)),
        "endpoints": _given(plane, proxy, "endpoints", lambda item: cluster.keeps({"name": item.get("cluster_name")})),
    }
    if output is not Format.TABLE:
        print_data(found, output)
        return
    ejected = _ejected(plane, proxy)
    views = (
        tables.CLUSTERS,
        tables.LISTENERS,
        tables.ROUTES,
        tables.endpoints_view(lambda item: tables.endpoints(item, ejected)),
    )
    for number, ((what, items), view) in enumerate(zip(found.items(), views, strict=True)):
        if number:
            print()
        _show(items, view, Format.TABLE, f"{proxy} has no {what}")


def _given(plane: ControlPlane, proxy: str, kind: str, keeps: Callable[[tables.Item], bool]) -> list[tables.Item]:
    """What the control plane has given to the proxy, as far as it is asked for."""
    return [item for item in plane.proxy_config(proxy, kind) if keeps(item)]


def _named(name: str) -> Callable[[tables.Item], bool]:
    return lambda item: name in ("", tables.pick(item, "name"))


# istioctl knows each by several names.
for _command, _names in (
    (clusters, ("clusters", "cluster", "c")),
    (listeners, ("listeners", "listener", "l")),
    (routes, ("routes", "route", "r")),
    (endpoints, ("endpoints", "endpoint", "ep")),
    (bootstrap, ("bootstrap", "b")),
    (secret, ("secret", "secrets", "s")),
    (log, ("log", "o")),
    (everything, ("all", "a")),
):
    for _position, _name in enumerate(_names):
        app.command(_name, hidden=_position > 0)(_command)


def _show(items: Sequence[tables.Item], view: tables.View, output: Format, nothing: str) -> None:
    if output is Format.TABLE:
        print_table(view.headings, view.sorted_rows(items), nothing=nothing)
    else:
        print_data(sorted(items, key=view.order), output)


# ── what only the proxy knows ─────────────────────────────────────────────────────────────────────────────────────────


def _ejected(plane: ControlPlane, proxy: str) -> dict[tuple[str, str], bool]:
    """Empty where the proxy cannot be asked: what it was given can be shown all the same. (This page is among those that a
    proxy shows to others.)"""
    try:
        found = _known(plane, proxy)
        where = str(found["address"]), int(found.get("metrics_port") or 0)
        return tables.outliers(json.loads(_asked(proxy, where, "/clusters?format=json")))
    except (CliError, ValueError):
        return {}


def _configs(plane: ControlPlane, proxy: str, kind: str) -> list[Mapping[str, Any]]:
    """The parts of a kind of the proxy's own dump."""
    dump = json.loads(_admin(plane, proxy, "/config_dump"))
    return [each for each in dump.get("configs", []) if str(each.get("@type", "")).endswith(f".{kind}")]


def _admin(plane: ControlPlane, proxy: str, path: str, method: str = "GET") -> str:
    """The answer of a proxy's admin port, which is as far from Envoy's usual one as its metrics are from theirs."""
    found = _known(plane, proxy)
    address, metrics = str(found["address"]), int(found.get("metrics_port") or 0)
    if not metrics:
        raise CliError(f"{proxy} has no admin port that it tells of (a proxyless client has none)")
    if admin_address(address) != address:
        raise CliError(
            f"the admin port of {proxy} is open to its own machine only, {address}",
            f"there: curl http://127.0.0.1:{ADMIN_PORT}{path}",
        )
    return _asked(proxy, (address, ADMIN_PORT + metrics - PROMETHEUS_PORT), path, method)


def _known(plane: ControlPlane, proxy: str) -> Mapping[str, Any]:
    known = plane.proxies()
    found: list[Mapping[str, Any]] = [each for each in known if proxy in (each["id"], each["name"], proxy_name(each))]
    if len(found) != 1:
        names = ", ".join(sorted(map(proxy_name, found or known))) or "none"
        what = "means several proxies" if found else "is no proxy that is known"
        raise CliError(f"{proxy} {what}", f"there are: {names}", code=USAGE)
    return found[0]


def _asked(proxy: str, where: tuple[str, int], path: str, method: str = "GET") -> str:
    connection = http.client.HTTPConnection(*where, timeout=ADMIN_SECONDS)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise CliError(f"{proxy} does not answer at {where[0]}:{where[1]}: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise CliError(f"the admin port of {proxy} answered {response.status}", *text.strip().splitlines()[:3])
    return text
