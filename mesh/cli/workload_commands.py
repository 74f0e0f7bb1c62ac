"""services, workloads: who has joined, since when, and whose heart beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from mesh.cli.client import ControlPlane
from mesh.cli.options import DEFAULT_SERVER, Namespace, Output, Server
from mesh.cli.output import Format, age, print_data, print_table

NOBODY = "no workload has joined yet: mesh run --service … -- COMMAND"
Item = Mapping[str, Any]


def workloads(namespace: Namespace = "", output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Show the workloads that have joined: since when, when last heard of, whether they are used, and why not.

    HEALTH is healthy, unhealthy (its probe says so: the lines below tell what it found), draining (it is about to end), or
    lost (its sidecar's stream has ended without a word). A probe is given by --probe-http and its like of `mesh run` and
    `mesh sidecar`.
    """
    items = _items(server, namespace)
    if output is not Format.TABLE:
        print_data(items, output)
        return
    rows = [
        [
            w["service"] or (f"group/{w['group']}" if w.get("group") else "-"),
            w["namespace"],
            w["labels"].get("version", "-"),
            w["address"],
            _health(w),
            age(w.get("joined")),
            age(w.get("beat")),
        ]
        for w in items
    ]
    print_table(["SERVICE", "NAMESPACE", "VERSION", "ADDRESS", "HEALTH", "JOINED", "BEAT"], rows, nothing=NOBODY)
    for item in items:
        if item.get("problem"):
            print(f"{item.get('name') or item['address']}: {item['problem']}")


def services(namespace: Namespace = "", output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Show the services that workloads have joined as, and how many of each are well.

    JOINED is the oldest workload's, BEAT the one that was heard of longest ago.
    """
    found = [w for w in _items(server, namespace) if w["service"]]
    groups = [list(group) for _, group in groupby(found, lambda w: (w["service"], w["namespace"]))]
    made = [_service(group) for group in groups]
    if output is not Format.TABLE:
        print_data(made, output)
        return
    rows = [
        [
            each["service"],
            each["namespace"],
            ", ".join(each["versions"]) or "-",
            f"{each['healthy']} of {each['workloads']}",
            ", ".join(f"{count} {state}" for state, count in each["missing"].items()) or "-",
            age(each["joined"]),
            age(each["beat"]),
        ]
        for each in made
    ]
    print_table(["SERVICE", "NAMESPACE", "VERSIONS", "HEALTHY", "MISSING", "JOINED", "BEAT"], rows, nothing=NOBODY)


def _items(server: str, namespace: str) -> list[Item]:
    found = [w for w in ControlPlane(server).workloads() if namespace in ("", w["namespace"])]
    return sorted(found, key=lambda w: (w["service"], w["namespace"], w["labels"].get("version", ""), w["address"]))


def _health(workload: Item) -> str:
    return str(workload.get("state") or ("healthy" if workload["healthy"] else "unhealthy"))


def _service(group: Sequence[Item]) -> dict[str, Any]:
    states = [_health(w) for w in group]
    return {
        "service": group[0]["service"],
        "namespace": group[0]["namespace"],
        "versions": sorted({w["labels"]["version"] for w in group if w["labels"].get("version")}),
        "workloads": len(group),
        "healthy": states.count("healthy"),
        "missing": {state: states.count(state) for state in sorted(set(states) - {"healthy"})},
        "joined": min(w.get("joined", 0.0) for w in group),
        "beat": min(w.get("beat", 0.0) for w in group),
    }
