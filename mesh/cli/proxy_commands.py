"""proxy-status: whether the proxies have what they should have, as the control plane knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.cli.options import DEFAULT_NAMESPACE, DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, age, print_data, print_table
from mesh.xds import SyncState

TYPES = ("CDS", "LDS", "EDS", "RDS")
_WORST_FIRST = (SyncState.NACKED, SyncState.STALE, SyncState.NOT_SENT, SyncState.SYNCED)
Item = Mapping[str, Any]


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
            *(_state(proxy["types"], kind) for kind in TYPES),
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


def _state(types: Mapping[str, Item], kind: str) -> str:
    """Routes are what their virtual hosts are, where these come by themselves."""
    kinds = (kind, "VHDS") if kind == "RDS" and "VHDS" in types else (kind,)
    states = [types.get(each, {}).get("state", SyncState.NOT_SENT) for each in kinds]
    return str(min(states, key=_WORST_FIRST.index))


def short_name(proxy: Item) -> str:
    """As `mesh proxy-config` takes it; the namespace `default` needs no mention."""
    return str(proxy["name"]) if proxy["namespace"] == DEFAULT_NAMESPACE else proxy_name(proxy)


def proxy_name(proxy: Item) -> str:
    return f"{proxy['name']}.{proxy['namespace']}"
