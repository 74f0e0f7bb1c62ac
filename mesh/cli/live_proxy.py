"""A running proxy: which one is meant, what it has been given, what it says of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError
from mesh.observe.gather import ask
from mesh.observe.targets import Target, targets
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SyncState

if TYPE_CHECKING:
    from mesh.istio.resource import Key, Resource
    from sidecar.explain.given import HostState

Item = Mapping[str, Any]
NOWHERE = ("", 0)
ROUTER = "router"


def find_proxy(plane: ControlPlane, caller: str, gateway: bool) -> Item:
    """The proxy that `--from` means: by its name, or of a service and version; the first one of several. CliError with
    those that there are."""
    proxies = [proxy for proxy in plane.proxies() if proxy["connected"]]
    versions = {w["id"]: w["labels"].get("version", "") for w in plane.workloads()}
    fitting = [proxy for proxy in proxies if (proxy["kind"] == ROUTER) == gateway or caller]
    if caller:
        fitting = [proxy for proxy in fitting if _is(proxy, versions.get(proxy["id"], ""), caller)]
    if fitting:
        return min(fitting, key=lambda proxy: str(proxy["id"]))
    names = ", ".join(sorted(str(proxy["name"]) for proxy in proxies)) or "none"
    what = caller or "a gateway"
    raise CliError(f"no proxy of {what} is connected", f"those that are: {names}")


def _is(proxy: Item, version: str, caller: str) -> bool:
    name, namespace, service = str(proxy["name"]), str(proxy["namespace"]), str(proxy["service"])
    wanted, _, wanted_version = caller.partition(":")
    if caller in (name, f"{name}.{namespace}"):
        return True
    return wanted in (service, f"{service}.{namespace}") and wanted_version in ("", version)


def configuration(plane: ControlPlane, proxy: Item) -> dict[str, dict[str, Any]]:
    """What the proxy was sent, as messages, by type URL and name."""
    from sidecar.explain.given import messages_of

    kinds = {LISTENER: "listeners", ROUTE: "routes", CLUSTER: "clusters", ENDPOINT: "endpoints"}
    return messages_of({url: plane.proxy_config(str(proxy["id"]), kind) for url, kind in kinds.items()})


def behind(proxy: Item) -> list[str]:
    """What the proxy has not taken (yet): what it does may be what it had before."""
    return [
        f"{proxy['name']} has {'refused its' if state['state'] == SyncState.NACKED else 'not confirmed its'} {kind}"
        + (f": {state['error']}" if state.get("error") else "")
        for kind, state in proxy["types"].items()
        if state.get("state") in (SyncState.NACKED, SyncState.STALE)
    ]


def host_states(proxy: Item, clusters: Iterable[str]) -> tuple[dict[tuple[str, str], HostState], str]:
    """What the proxy says of the hosts of these clusters, by cluster and address; or why it says nothing."""
    from sidecar.explain.given import HostState

    target: list[Target] = [each for each in targets([proxy], NOWHERE) if each.port]
    if not target:
        return {}, "it serves no admin page"
    only = quote("^(" + "|".join(map(re.escape, clusters)) + ")$", safe="")
    answers = ask(target, f"/clusters?format=json&filter={only}")
    if answers.errors:
        return {}, next(iter(answers.errors.values()))
    breakers = ask(target, f"/breakers?filter={only}").found.values()
    why = {
        (each["cluster"], each["host"]): str(each["reason"])
        for answer in breakers
        for each in answer.get("breakers", ())
        if each["state"] != "closed"
    }
    found = {}
    for answer in answers.found.values():
        for cluster in answer.get("cluster_statuses", ()):
            for host in cluster.get("host_statuses", ()):
                socket = host["address"]["socket_address"]
                name = socket["address"]
                key = (
                    cluster["name"],
                    f"[{name}]:{socket['port_value']}" if ":" in name else f"{name}:{socket['port_value']}",
                )
                found[key] = HostState(_flags(host["health_status"]), why.get(key, ""))
    return found, ""


def _flags(status: Item) -> tuple[str, ...]:
    names = {"failed_active_health_check": "failed_active_hc", "failed_active_degraded_check": "degraded_active_hc"}
    flags = [names.get(key, key) for key, value in status.items() if value is True]
    if status.get("eds_health_status") in ("UNHEALTHY", "DRAINING", "DEGRADED"):
        flags.append(
            {"UNHEALTHY": "failed_eds_health", "DRAINING": "eds_status_draining", "DEGRADED": "degraded_eds_health"}[
                status["eds_health_status"]
            ]
        )
    return tuple(flags)


def resources_of(plane: ControlPlane, keys: Iterable[Key]) -> list[Resource]:
    """The resources of these names that the control plane keeps."""
    from mesh.istio.load import load_documents

    documents = [item["document"] for key in sorted(set(keys)) for item in plane.resources(*key)]
    return load_documents(documents)
