"""Sidecars into a compose document, and out again.

A service becomes a pod: the service itself, unchanged but for its network; `NAME-pod`, which owns the network that the
service had (aliases, published ports, addresses) and does nothing else; `NAME-sidecar`, which joins that network as well.
Everybody else still finds the service by its name, under `depends_on` and in DNS. What was taken from a service is kept
under `x-mesh`, so that `eject` gives it back as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mesh.compose.document import Document
from mesh.compose.survey import LABEL_SERVICE, LABEL_VERSION, Survey, labels, survey
from mesh.naming import CONSOLE_PORT, XDS_PORT

EXTENSION: Final = "x-mesh"
CONTROL_PLANE: Final = "mesh-control-plane"
VOLUME: Final = "mesh-config"
NETWORK: Final = "mesh"
IMAGE: Final = "${MESH_IMAGE:-asyncmesh:local}"
# What belongs to the owner of a network, and may not be said by who joins it.
OF_THE_NETWORK: Final = (
    "ports", "expose", "networks", "hostname", "domainname", "dns", "dns_search", "dns_opt", "extra_hosts", "mac_address",
)  # fmt: skip
HARDENED: Final[Mapping[str, Any]] = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
HEALTH: Final[Mapping[str, Any]] = {"interval": "3s", "timeout": "5s", "retries": 5, "start_period": "300s"}
CAPABILITIES: Final = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "SETPCAP")


@dataclass(slots=True)
class Result:
    """`joined` and `left_out`: by service, what became of it; `notes` of the whole file."""

    document: Document
    joined: dict[str, Survey] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def inject(document: Document) -> Result:
    """A new document. One that has a mesh already gets it anew: the result is the same."""
    made = eject(document)
    services: dict[str, Any] = made["services"]
    result = Result(made)
    surveys = survey(services)
    _refuse_taken_names(services, surveys)
    joining = {name: each for name, each in surveys.items() if not each.refusal}
    result.left_out = {name: each.refusal for name, each in surveys.items() if each.refusal}
    if not joining:
        return result
    shared = _shared_network(made, joining)
    names = _link_names(services, joining, result)
    kept: dict[str, Any] = {}
    added: dict[str, Any] = {}
    for name, each in joining.items():
        kept[name] = _make_pod(name, services, added, shared, each, names.get(name, []))
        result.joined[name] = each
    kept |= _follow(services, joining)
    services.update(added)
    services[CONTROL_PLANE] = _control_plane(shared)
    made.setdefault("volumes", {})
    made["volumes"] = {**(made["volumes"] or {}), VOLUME: None}
    if shared:
        made["networks"] = {**(made.get("networks") or {}), NETWORK: {"internal": True}}
        result.notes.append(
            f"services are on several networks: sidecars meet on one of their own, {NETWORK!r}, where no service has a name"
        )
    result.notes += _conflicts(joining)
    made[EXTENSION] = {"services": kept, "added": [*added, CONTROL_PLANE], "network": shared}
    return result


def eject(document: Document) -> Document:
    """A new document without a mesh; one that has none comes back as it was."""
    made = copy.deepcopy(document)
    extension = made.pop(EXTENSION, None)
    if extension is None:
        return made
    services = made["services"]
    for name in extension["added"]:
        services.pop(name, None)
    for name, fields in extension["services"].items():
        if name in services:  # else its owner has taken it out since
            changed = {key: value for key, value in services[name].items() if key not in fields["ours"]}
            services[name] = {key: copy.deepcopy(value) for key, value in _in_order(fields, changed).items()}
    _drop(made, "volumes", VOLUME)
    if extension["network"]:
        _drop(made, "networks", NETWORK)
    return made


def _in_order(kept: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they were written, and after them those that its owner has added since."""
    both = {**changed, **kept["fields"]}
    return {key: both[key] for key in (*kept["order"], *changed) if key in both}


def _drop(document: Document, section: str, name: str) -> None:
    entries = document.get(section)
    if isinstance(entries, dict) and name in entries:
        del entries[name]
        if not entries:
            del document[section]


# ── one service ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_pod(
    name: str, services: dict[str, Any], added: dict[str, Any], shared: bool, found: Survey, more_names: list[str]
) -> dict[str, Any]:
    """Changes the service, adds its pod and its sidecar; what has to be kept to take it back."""
    app = services[name]
    kept = _kept(app, (*OF_THE_NETWORK, "network_mode", "depends_on", "links"), ["network_mode", "depends_on"])
    of_network = {key: app.pop(key) for key in OF_THE_NETWORK if key in app}
    names = [name, *filter(None, [app.get("container_name")]), *more_names]
    profiles = {"profiles": app["profiles"]} if "profiles" in app else {}
    added[f"{name}-pod"] = {**_pod(name, of_network, names, shared), **profiles}
    added[f"{name}-sidecar"] = {**_sidecar(name, labels(app), found), **profiles}
    app.pop("links", None)
    app["network_mode"] = f"service:{name}-pod"
    app["depends_on"] = {
        **_dependencies(kept["fields"].get("depends_on")),
        f"{name}-pod": _started(),
        f"{name}-sidecar": {"condition": "service_healthy"},
    }
    return kept


def _pod(name: str, of_network: Mapping[str, Any], names: list[str], shared: bool) -> dict[str, Any]:
    return {
        "image": IMAGE,
        "restart": "unless-stopped",
        "init": True,
        "command": ["sleep", "infinity"],
        **HARDENED,
        "hostname": name,
        **of_network,
        "networks": _networks(of_network.get("networks"), names, shared),
    }


def _sidecar(name: str, said: Mapping[str, str], found: Survey) -> dict[str, Any]:
    options = ["--interception", "redirect", "--service", said.get(LABEL_SERVICE, name)]
    options += ["--version", said[LABEL_VERSION]] if said.get(LABEL_VERSION) else []
    options += [word for port in found.ports for word in ("--port", str(port))]
    options += found.probe
    return {
        "image": IMAGE,
        "restart": "unless-stopped",
        "command": ["mesh", "sidecar", *options],
        "environment": {"MESH_XDS": f"{CONTROL_PLANE}:{XDS_PORT}"},
        "user": "root",
        **HARDENED,
        "cap_add": [*CAPABILITIES],
        "network_mode": f"service:{name}-pod",
        "depends_on": {f"{name}-pod": _started(), CONTROL_PLANE: {"condition": "service_healthy"}},
        "healthcheck": {**HEALTH, "test": ["CMD", "mesh-healthy", "15000", "/ready", "pod"]},
    }


def _kept(service: Mapping[str, Any], taken: Iterable[str], ours: list[str]) -> dict[str, Any]:
    """What gives a service its fields back: those that are `taken`, their order, and which of the new ones are `ours`."""
    return {
        "fields": {key: copy.deepcopy(service[key]) for key in taken if key in service},
        "order": list(service),
        "ours": ours,
    }


def _follow(services: dict[str, Any], joining: Mapping[str, Survey]) -> dict[str, Any]:
    """Who was in the network of a service that joins is in its pod's now, and so in the mesh."""
    kept = {}
    for name, fields in services.items():
        kind, _, owner = str(fields.get("network_mode", "")).partition(":")
        if name not in joining and kind == "service" and owner in joining:
            kept[name] = _kept(fields, ["network_mode"], ["network_mode"])
            fields["network_mode"] = f"service:{owner}-pod"
    return kept


def _started() -> dict[str, Any]:
    return {"condition": "service_started", "restart": True}


def _dependencies(value: Any) -> dict[str, Any]:
    return (
        dict(value)
        if isinstance(value, dict)
        else {str(name): {"condition": "service_started"} for name in value or ()}
    )


def _networks(value: Any, aliases: list[str], shared: bool) -> dict[str, Any]:
    """The service's networks, on each of which the pod is known by the service's names."""
    given: dict[str, Any] = value if isinstance(value, dict) else dict.fromkeys(value or ["default"])
    made: dict[str, Any] = {}
    for network, options in given.items():
        own: dict[str, Any] = dict(options or {})
        own["aliases"] = list(dict.fromkeys([*aliases, *own.get("aliases", ())]))
        made[network] = own
    if shared:
        made[NETWORK] = {}
    return made


def _control_plane(shared: bool) -> dict[str, Any]:
    command = ["mesh-control-plane", "--store=sqlite:///var/lib/mesh/mesh.db"]
    command += [
        f"--xds-address=0.0.0.0:{XDS_PORT}",
        f"--http-address=0.0.0.0:{CONSOLE_PORT}",
        "--metrics-address=0.0.0.0:15014",
    ]
    return {
        "image": IMAGE,
        "restart": "unless-stopped",
        "command": command,
        **HARDENED,
        "ports": [f"127.0.0.1:${{MESH_API_PORT:-{CONSOLE_PORT}}}:{CONSOLE_PORT}"],
        "volumes": [f"{VOLUME}:/var/lib/mesh"],
        **({"networks": {"default": {}, NETWORK: {}}} if shared else {}),
        "healthcheck": {**HEALTH, "test": ["CMD", "mesh-healthy", str(CONSOLE_PORT), "/readyz"]},
    }


# ── the whole file ────────────────────────────────────────────────────────────────────────────────────────────────────


def _shared_network(document: Document, joining: Mapping[str, Survey]) -> bool:
    """Whether the sidecars need a network of their own to meet on: unless all are on the default one."""
    services = document["services"]
    return any(set(services[name].get("networks") or ["default"]) != {"default"} for name in joining)


def _link_names(services: dict[str, Any], joining: Mapping[str, Survey], result: Result) -> dict[str, list[str]]:
    """Service → further names. `links: [db:database]` cannot be said by who is in another's network: the target gets the
    name, and everybody sees it."""
    names: dict[str, list[str]] = {}
    for name in joining:
        for link in services[name].get("links", ()):
            target, _, alias = str(link).partition(":")
            if alias and alias != target:
                where = "is a name of it for all services now" if target in joining else f"is unknown to {name} now"
                result.notes.append(f"{name}: links {link}: {alias!r} {where}")
                names.setdefault(target, []).append(alias)
    return names


def _conflicts(joining: Mapping[str, Survey]) -> list[str]:
    """A port on which one service speaks HTTP and another does not: who calls it is taken for HTTP's client."""
    by_port: dict[int, dict[str, str]] = {}
    for name, each in joining.items():
        for port in each.ports:
            by_port.setdefault(port.number, {}).setdefault(port.protocol, name)
    return [
        f"port {number} is HTTP of {found['http']} and TCP of {found['tcp']}: calls of the latter are taken for HTTP"
        for number, found in sorted(by_port.items())
        if len(found) > 1
    ]


def _refuse_taken_names(services: Mapping[str, Any], surveys: dict[str, Survey]) -> None:
    for name, each in list(surveys.items()):
        taken = [made for made in (f"{name}-pod", f"{name}-sidecar") if made in services]
        if taken and not each.refusal:
            surveys[name] = Survey(name, refusal=f"there is a service {taken[0]} already")
