"""What the mesh's resources say about how a proxy starts: the WorkloadGroup that it is a member of, the ProxyConfigs that
are for it, and `defaultConfig` of the mesh's settings. Pure, but for `Resources`, which asks for them.

As in Istio these are read once: a proxy that runs goes on as it began.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mesh import probe as probes
from mesh.cli.client import ControlPlane
from mesh.cli.errors import CliError, UnreachableError
from mesh.node import Locality
from mesh.probe import Probe

# Istio's `drainDuration`, not Envoy's 600: within it connections of a listener that was changed are renewed.
DRAIN_SECONDS: Final = 45
ROOT_NAMESPACE: Final = "istio-system"
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StartSettings:
    """What is not set is the default; `environment` is added to that of the process."""

    concurrency: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    drain: int | None = None  # seconds
    termination_drain: int | None = None
    log_flush: int | None = None  # milliseconds

    def flags(self, *, ours: bool = True) -> tuple[str, ...]:
        """For the command line of a proxy. An Envoy knows no termination drain, and gets one worker, as ours does."""
        given = {
            "--concurrency": self.concurrency,
            "--drain-time-s": DRAIN_SECONDS if self.drain is None else self.drain,
            "--file-flush-interval-msec": self.log_flush,
        }
        if ours:
            given["--termination-drain-s"] = self.termination_drain
        elif self.concurrency is None:
            given["--concurrency"] = 1
        return tuple(word for flag, value in given.items() if value is not None for word in (flag, str(value)))


@dataclass(frozen=True, slots=True)
class Template:
    """What a WorkloadGroup has for each of its members, and a proxy has to know; its ports the control plane adds."""

    labels: Mapping[str, str]
    locality: Locality = Locality()  # noqa: RUF009 - frozen
    probe: Probe | None = None


class Resources:
    """The control plane's, as `mesh get` shows them."""

    def __init__(self, server: str) -> None:
        self._plane = ControlPlane(server)

    def group(self, namespace: str, name: str) -> Template:
        """Raises CliError where there is none."""
        found = self._plane.resources("WorkloadGroup", namespace, name)
        if not found:
            raise CliError(
                f"--group {name}: there is no WorkloadGroup of that name in {namespace}",
                "apply it first: mesh apply -f …; mesh get workloadgroups shows those there are",
            )
        return template_of(found[0]["document"])

    def start_settings(self, namespace: str, labels: Mapping[str, str]) -> StartSettings:
        """Raises UnreachableError where nobody answers."""
        documents = [item["document"] for kind in ("MeshConfig", "ProxyConfig") for item in self._plane.resources(kind)]
        return start_settings(documents, namespace, labels)


def looked_up(server: str, given: bool, namespace: str, labels: Mapping[str, str]) -> tuple[StartSettings, str]:
    """The settings for a workload, and what is to be said where they could not be had: a proxy starts without a control
    plane, too. Nothing is said where nobody said where that is."""
    try:
        return Resources(server).start_settings(namespace, labels), ""
    except UnreachableError as error:
        said = f"{error}; a ProxyConfig takes effect at the next start"
        return StartSettings(), said if given else ""


# ── what they say ─────────────────────────────────────────────────────────────────────────────────────────────────────


def template_of(document: Document) -> Template:
    """What a WorkloadGroup says."""
    spec = document["spec"]
    template = spec.get("template") or {}
    locality = template.get("locality") or ""
    return Template(
        {**template.get("labels", {}), **(spec.get("metadata") or {}).get("labels", {})},
        Locality(*locality.split("/")) if locality else Locality(),
        probes.decode(spec["probe"]) if spec.get("probe") else None,
    )


def start_settings(documents: Iterable[Document], namespace: str, labels: Mapping[str, str]) -> StartSettings:
    """The nearest that says something counts; of one place the oldest is the only one. Variables add up."""
    documents = list(documents)
    mesh: Mapping[str, Any] = next((each["spec"] for each in documents if each["kind"] == "MeshConfig"), {})
    root = mesh.get("rootNamespace", ROOT_NAMESPACE)
    nearest: dict[int, Mapping[str, Any]] = {}
    for document in documents:
        place = _place(document, namespace, labels, root)
        if place is not None:
            nearest.setdefault(place, document["spec"])
    settings: dict[str, Any] = {}
    environment: dict[str, str] = {}
    for place in sorted(nearest):
        spec = nearest[place]
        if place == 0:
            spec = spec.get("defaultConfig") or {}
            spec = {**spec, "environmentVariables": spec.get("proxyMetadata", {})}
            settings["drain"] = _whole_seconds(spec.get("drainDuration"))
            settings["log_flush"] = _milliseconds(spec.get("fileFlushInterval"))
            settings["termination_drain"] = _whole_seconds(spec.get("terminationDrainDuration"))
        if spec.get("concurrency") is not None:
            settings["concurrency"] = int(spec["concurrency"]) or os.cpu_count()
        environment |= spec.get("environmentVariables", {})
    return StartSettings(environment=environment, **settings)


def _place(document: Document, namespace: str, labels: Mapping[str, str], root: str) -> int | None:
    """How near a document is to a workload, None for one that is not for it."""
    if document["kind"] == "MeshConfig":
        return 0
    selector = ((document["spec"].get("selector") or {}).get("matchLabels") or {}).items()
    if not selector <= labels.items():
        return None
    own = document["metadata"]["namespace"]
    if own == namespace:
        return 3 if selector else 2
    return 1 if own == root and not selector else None


def _whole_seconds(text: Any) -> int | None:
    milliseconds = _milliseconds(text)
    return None if milliseconds is None else max(1, round(milliseconds / 1000))


def _milliseconds(text: Any) -> int | None:
    if text is None:
        return None
    from mesh.istio.scalars import parse_duration

    seconds = parse_duration(str(text))
    return None if seconds is None else round(seconds * 1000)
