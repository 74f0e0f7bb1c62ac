"""The registry of kinds: one line each. What a kind is stands in the module that the line names.

Light to import: a kind's module, and with it pydantic, is loaded when its model is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mesh.istio.model import Message

NETWORKING: Final = "networking.istio.io"
ISTIO_VERSIONS: Final = ("v1", "v1beta1", "v1alpha3")
OURS: Final = "mesh.asyncmesh.io"
OUR_VERSIONS: Final = ("v1alpha1",)


READ: Final = "read, not run"
AT_START: Final = "takes effect when a proxy starts"
_SLICES: Final = "mesh.kubernetes.endpoint_slice"
_OBJECTS: Final = "mesh.kubernetes.objects"
WRITTEN: Final = "Written by the control plane: how far an experiment has come."
_WORKLOADS: Final = "mesh.kubernetes.workloads:WorkloadSpec"


@cache
def _api_versions(group: str, versions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{group}/{version}" if group else version for version in versions)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that can be applied. `group` is empty for Kubernetes' core; `place` is `module:class` of its model, whose
    module may have a `summary` of a spec; `short` are kubectl's short names. A kind without a `spec` is described by the
    whole document (`whole`), of which only the fields `kept` are stored if it says so; `note` is what becomes of it when
    it does not take effect by itself."""

    name: str
    place: str
    short: tuple[str, ...]
    group: str = NETWORKING
    versions: tuple[str, ...] = ISTIO_VERSIONS
    whole: bool = False
    kept: tuple[str, ...] | None = None
    note: str = ""

    @property
    def api_versions(self) -> tuple[str, ...]:
        return _api_versions(self.group, self.versions)

    @property
    def plural(self) -> str:
        """As in `kubectl get virtualservices`, in lower case."""
        lower = self.name.lower()
        if lower.endswith("s"):
            return lower
        return f"{lower[:-1]}ies" if lower.endswith(("ry", "cy")) else f"{lower}s"

    @property
    def model(self) -> type[Message]:
        """The type of the kind's `spec`."""
        module, _, name = self.place.partition(":")
        found: type[Message] = getattr(importlib.import_module(module), name)
        return found

    def summary(self, spec: Mapping[str, Any]) -> str:
        """A line about what a resource with this spec does, as `mesh get` shows it; empty if the kind has none."""
        module = importlib.import_module(self.place.partition(":")[0])
        summarise: Callable[[Mapping[str, Any]], str] | None = getattr(module, "summary", None)
        return summarise(spec) if summarise is not None else ""


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("VirtualService", "mesh.istio.virtual_service:VirtualService", ("vs",)),
        Kind("DestinationRule", "mesh.istio.destination_rule:DestinationRule", ("dr",)),
        Kind("Gateway", "mesh.istio.gateway:Gateway", ("gw",)),
        Kind("ServiceEntry", "mesh.istio.service_entry:ServiceEntry", ("se",)),
        Kind("WorkloadEntry", "mesh.istio.workload_entry:WorkloadEntry", ("we",)),
        Kind("WorkloadGroup", "mesh.istio.workload_group:WorkloadGroup", ("wg",)),
        Kind("ProxyConfig", "mesh.istio.proxy_config:ProxyConfig", ("pc",), note=AT_START),
        Kind("Sidecar", "mesh.istio.sidecar:Sidecar", ()),
        Kind("EnvoyFilter", "mesh.istio.envoy_filter:EnvoyFilter", ("ef",)),
        Kind("Telemetry", "mesh.istio.telemetry:Telemetry", (), "telemetry.istio.io", ("v1", "v1alpha1")),
        Kind("Service", "mesh.kubernetes.service:ServiceSpec", ("svc",), "", ("v1",)),
        Kind(
            "EndpointSlice",
            f"{_SLICES}:EndpointSliceSpec",
            (),
            "discovery.k8s.io",
            ("v1",),
            whole=True,
        ),
        Kind("Endpoints", f"{_SLICES}:Endpoints", ("ep",), "", ("v1",), whole=True),
        Kind("Deployment", _WORKLOADS, ("deploy",), "apps", ("v1",), note=READ),
        Kind("StatefulSet", _WORKLOADS, ("sts",), "apps", ("v1",), note=READ),
        Kind("DaemonSet", _WORKLOADS, ("ds",), "apps", ("v1",), note=READ),
        Kind("ReplicaSet", _WORKLOADS, ("rs",), "apps", ("v1",), note=READ),
        Kind("Pod", "mesh.kubernetes.workloads:PodSpec", ("po",), "", ("v1",), note=READ),
        Kind("Namespace", f"{_OBJECTS}:NamespaceSpec", ("ns",), "", ("v1",), whole=True, kept=(), note=READ),
        Kind(
            "ServiceAccount",
            f"{_OBJECTS}:ServiceAccount",
            ("sa",),
            "",
            ("v1",),
            whole=True,
            kept=(),
            note=READ,
        ),
        Kind("ConfigMap", f"{_OBJECTS}:ConfigMap", ("cm",), "", ("v1",), whole=True, note=READ),
        Kind("Secret", f"{_OBJECTS}:Secret", (), "", ("v1",), whole=True, kept=("type",), note=READ),
        Kind("MeshConfig", "mesh.istio.mesh_config:MeshConfig", (), OURS, OUR_VERSIONS),
        Kind("CircuitBreaker", "mesh.istio.circuit_breaker:CircuitBreakerSpec", ("cb",), OURS, OUR_VERSIONS),
        Kind("RateLimit", "mesh.istio.rate_limit:RateLimit", ("rl",), OURS, OUR_VERSIONS),
        Kind("Experiment", "mesh.experiments.resource:Experiment", ("exp",), OURS, OUR_VERSIONS),
        Kind("ExperimentRun", "mesh.experiments.resource:ExperimentRun", ("run",), OURS, OUR_VERSIONS, note=WRITTEN),
    )
}
