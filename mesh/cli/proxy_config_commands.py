"""proxy-config: what one proxy has, in istioctl's words and columns.

What a proxy was given is known by the control plane; what only the proxy itself knows (its bootstrap, its log levels,
which hosts it has ejected) is asked of its admin port.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Kind(StrEnum):
    HTTP = "HTTP"
    TCP = "TCP"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


def clusters(
    proxy: Proxy,
    fqdn: Annotated[str, typer.Option("--fqdn", metavar="HOST", help="Only of this host.")] = "",
    port: Port = 0,
    subset: Annotated[str, typer.Option("--subset", metavar="NAME", help="Only this subset.")] = "",
    direction: Annotated[Direction | None, typer.Option("--direction", help="Only these.")] = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """The clusters: who can be called, how their endpoints are found, and the DestinationRule that holds."""
    kept = tables.ClusterFilter(fqdn, port, subset, direction.value if direction else "")
    items = [item for item in ControlPlane(server).proxy_config(proxy, "clusters") if kept.keeps(item)]
    _show(items, tables.CLUSTERS, tables.clusters, output, f"{proxy} has no such clusters")


def listeners(
    proxy: Proxy,
    address: Address = "",
    port: Port = 0,
    kind: Annotated[Kind | None, typer.Option("--type", help="Only with filters of this kind.")] = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """The listeners: where the proxy accepts connections, and where each of them goes."""
    kept = tables.ListenerFilter(address, port, kind.value if kind else "")
    items = [item for item in ControlPlane(server).proxy_config(proxy, "listeners") if kept.keeps(item)]
    _show(items, tables.LISTENERS, tables.listeners, output, f"{proxy} has no such listeners")


def routes(
    proxy: Proxy,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Only this route configuration.")] = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """The routes: what is matched, for which hosts, and the VirtualService that it comes from."""
    found = ControlPlane(server).proxy_config(proxy, "routes")
    items = [item for item in found if name in ("", tables.pick(item, "name"))]
    _show(items, tables.ROUTES, tables.routes, output, f"{proxy} has no such routes")


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

    def rows(item: Mapping[str, Any]) -> list[list[str]]:
        return [row for row in tables.endpoints(item, ejected) if kept.keeps(row)]

    items = [item for item in plane.proxy_config(proxy, "endpoints") if rows(item)]
    _show(items, tables.ENDPOINTS, rows, output, f"{proxy} has no such endpoints")


def bootstrap(proxy: Proxy, output: Output = Format.YAML, server: Server = DEFAULT_SERVER) -> None:
    """What the proxy was started with, as its own admin port says (YAML)."""
    found = _configs(ControlPlane(server), proxy, "BootstrapConfigDump")
    print_data(found[0].get("bootstrap", found[0]) if found else {}, Format.YAML if output is Format.TABLE else output)


def secret(proxy: Proxy, output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """The certificates that the proxy holds. There are none as long as traffic between sidecars is plain text."""
    dumps = _configs(ControlPlane(server), proxy, "SecretsConfigDump")
    items = [
        item for dump in dumps for key in ("dynamic_active_secrets", "static_secrets") for item in dump.get(key, [])
    ]
    _show(items, tables.SECRETS, _secret, output, f"{proxy} holds no secrets: traffic between sidecars is plain text")


def _secret(item: Mapping[str, Any]) -> Iterable[list[str]]:
    is_ca = bool(tables.pick(item, "secret", "validation_context"))
    yield [str(item.get("name", "-")), "CA" if is_ca else "Cert Chain", "ACTIVE", "-", "-", "-", "-"]


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


def everything(proxy: Proxy, output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Clusters, listeners, routes and endpoints together."""
    plane = ControlPlane(server)
    kinds = ("clusters", "listeners", "routes", "endpoints")
    found = {kind: plane.proxy_config(proxy, kind) for kind in kinds}
    if output is not Format.TABLE:
        print_data(found, output)
        return
    ejected = _ejected(plane, proxy)
    shown: Sequence[tuple[str, Sequence[str], _Rows]] = (
        ("clusters", tables.CLUSTERS, tables.clusters),
        ("listeners", tables.LISTENERS, tables.listeners),
        ("routes", tables.ROUTES, tables.routes),
        ("endpoints", tables.ENDPOINTS, lambda item: tables.endpoints(item, ejected)),
    )
    for number, (kind, headings, rows) in enumerate(shown):
        if number:
            print()
        _show(found[kind], headings, rows, Format.TABLE, f"{proxy} has no {kind}")


_Rows = Callable[[Mapping[str, Any]], Iterable[list[str]]]

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


def _show(
    items: Sequence[Mapping[str, Any]], headings: Sequence[str], rows: _Rows, output: Format, nothing: str
) -> None:
    if output is Format.TABLE:
        print_table(headings, [row for item in items for row in rows(item)], nothing=nothing)
    else:
        print_data(list(items), output)


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
