"""What a proxy says of itself when it connects: Istio's node metadata, written by bootstraps and read by both halves.

The xDS node is `{id: "sidecar~IP~NAME.NAMESPACE~NAMESPACE.svc.cluster.local", cluster: "SERVICE.NAMESPACE", locality,
metadata}`; `Node` is its parsed form.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh import probe as probes
from mesh.naming import DOMAIN, INBOUND_PORT, OUTBOUND_PORT
from mesh.probe import Probe

SIDECAR = "sidecar"
ROUTER = "router"  # Istio's word for a gateway

# How outbound traffic reaches the proxy: the app asks it as an HTTP proxy, or iptables redirects.
INTERCEPT_NONE = "NONE"
INTERCEPT_REDIRECT = "REDIRECT"

GENERATOR_GRPC = "grpc"
_SCRAPED = {"prometheus.io/scrape": "true"}


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of the workload's service. `number` is what clients dial, `target` where the app listens."""

    number: int
    name: str = "http"
    protocol: str = "HTTP"
    target: int = 0

    @property
    def app_port(self) -> int:
        return self.target or self.number


@dataclass(frozen=True, slots=True)
class Locality:
    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A proxy's identity. `service` is the short service name (empty for a gateway or a client-only workload);
    `app_address` is where the local app listens (127.0.0.1 unless told otherwise); `generator` is "grpc" for proxyless
    clients, else empty. `outbound_port` and `inbound_port` differ from Istio's where workloads share one address;
    `metrics_port` is 0 where none is served; `probe` is how the proxy finds out whether its app is
    well, and None for one that does not ask; `app_metrics` is where that has metrics, `:PORT/PATH`, empty for nowhere;
    `group` is the WorkloadGroup that it is a member of, `weight` what that says of its share (0: as others); with
    `self_discovery` it is told of the other proxies of its service, which routing by zones compares;
    `agent` is the proxy's program with its version, as it says; `has_stats` tells that it has Istio's statistics filter for
    TCP sessions, which a plain Envoy rejects; `takes_virtual_hosts`, that virtual hosts can be resources on its stream;
    `metadata` are the texts among what it says, as they are."""

    kind: str
    address: str
    name: str
    namespace: str = "default"
    service: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    workload: str = ""
    locality: Locality = Locality()
    interception: str = INTERCEPT_NONE
    app_address: str = "127.0.0.1"
    cluster_id: str = "Kubernetes"
    mesh_id: str = DOMAIN
    generator: str = ""
    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    metrics_port: int = 0
    probe: Probe | None = None
    app_metrics: str = ""
    group: str = ""
    weight: int = 0
    self_discovery: bool = False
    agent: str = field(default="", compare=False)
    has_stats: bool = field(default=False, compare=False)
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    takes_virtual_hosts: bool = field(default=False, compare=False)

    def inbound(self, index: int) -> int:
        """Where the proxy accepts traffic for its workload's index-th service port when nothing redirects."""
        return self.inbound_port + 100 * index

    @property
    def id(self) -> str:
        return f"{self.kind}~{self.address}~{self.name}.{self.namespace}~{self.namespace}.svc.{DOMAIN}"

    @property
    def version(self) -> str:
        return self.labels.get("version", "")

    @property
    def canonical_service(self) -> str:
        labels = self.labels
        return labels.get("service.istio.io/canonical-name") or labels.get("app") or self.service or self.workload

    @property
    def canonical_revision(self) -> str:
        return self.labels.get("service.istio.io/canonical-revision") or self.version or "latest"

    def to_xds(self) -> dict[str, Any]:
        """The `node` of an Envoy bootstrap file, as plain JSON data."""
        metadata: dict[str, Any] = {
            "NAME": self.name,
            "NAMESPACE": self.namespace,
            "LABELS": dict(self.labels),
            "WORKLOAD_NAME": self.workload or self.name,
            "INSTANCE_IPS": self.address,
            "INTERCEPTION_MODE": self.interception,
            "CLUSTER_ID": self.cluster_id,
            "MESH_ID": self.mesh_id,
            "APP_ADDRESS": self.app_address,
        }
        if self.service:
            metadata["SERVICE"] = self.service
        if self.ports:
            metadata["SERVICE_PORTS"] = [
                {"number": p.number, "name": p.name, "protocol": p.protocol, "target": p.app_port} for p in self.ports
            ]
        if self.generator:
            metadata["GENERATOR"] = self.generator
        if self.outbound_port != OUTBOUND_PORT:
            metadata["OUTBOUND_PORT"] = self.outbound_port
        if self.inbound_port != INBOUND_PORT:
            metadata["INBOUND_PORT"] = self.inbound_port
        if self.probe is not None:
            metadata["PROXY_CONFIG"] = {"readinessProbe": probes.encode(self.probe)}
        if self.group:
            metadata["AUTO_REGISTER_GROUP"] = self.group
        if self.self_discovery:
            metadata["ENABLE_SELF_DISCOVERY"] = "true"
        if self.app_metrics:
            port, slash, path = self.app_metrics.removeprefix(":").partition("/")
            metadata["ANNOTATIONS"] = {**_SCRAPED, "prometheus.io/port": port, "prometheus.io/path": slash + path}
        node: dict[str, Any] = {
            "id": self.id,
            "cluster": f"{self.service or self.canonical_service or self.name}.{self.namespace}",
            "metadata": metadata,
        }
        locality = self.locality
        if locality != Locality():
            node["locality"] = {"region": locality.region, "zone": locality.zone, "sub_zone": locality.sub_zone}
        return node

    @classmethod
    def from_xds(cls, node_id: str, metadata: Mapping[str, Any], locality: Locality = Locality()) -> Node:
        """Reads an xDS node (`metadata` as plain data). A node of another shape becomes a client without a service:
        any Envoy or gRPC client may connect and gets the configuration of a workload in the default namespace."""
        parts = node_id.split("~")
        kind, address, full = (parts[0], parts[1], parts[2]) if len(parts) == 4 else (SIDECAR, "", node_id)
        name, _, namespace = full.rpartition(".") if len(parts) == 4 else (full, "", "")
        ports = tuple(
            ServicePort(
                int(p["number"]), str(p.get("name", "")), str(p.get("protocol", "HTTP")), int(p.get("target", 0))
            )
            for p in metadata.get("SERVICE_PORTS", ())
        )
        return cls(
            kind=kind if kind in (SIDECAR, ROUTER) else SIDECAR,
            address=str(metadata.get("INSTANCE_IPS", address)).split(",")[0] or address,
            name=str(metadata.get("NAME", "")) or name,
            namespace=str(metadata.get("NAMESPACE", "")) or namespace or "default",
            service=str(metadata.get("SERVICE", "")),
            labels={str(k): str(v) for k, v in dict(metadata.get("LABELS", {})).items()},
            ports=ports,
            workload=str(metadata.get("WORKLOAD_NAME", "")),
            locality=locality,
            interception=str(metadata.get("INTERCEPTION_MODE", INTERCEPT_NONE)),
            app_address=str(metadata.get("APP_ADDRESS", "127.0.0.1")),
            cluster_id=str(metadata.get("CLUSTER_ID", "Kubernetes")),
            mesh_id=str(metadata.get("MESH_ID", DOMAIN)),
            generator=str(metadata.get("GENERATOR", "")),
            outbound_port=int(metadata.get("OUTBOUND_PORT", OUTBOUND_PORT)),
            inbound_port=int(metadata.get("INBOUND_PORT", INBOUND_PORT)),
            metrics_port=int(metadata.get("ENVOY_PROMETHEUS_PORT", 0)),
            probe=_probe(metadata.get("PROXY_CONFIG")),
            app_metrics=_app_metrics(metadata.get("ANNOTATIONS")),
            group=str(metadata.get("AUTO_REGISTER_GROUP", "")),
            metadata={
                sys.intern(name): sys.intern(value) for name, value in metadata.items() if isinstance(value, str)
            },
            self_discovery=str(metadata.get("ENABLE_SELF_DISCOVERY", "")).lower() == "true",
        )


def _app_metrics(annotations: Any) -> str:
    """By the annotations that Prometheus' users know from Kubernetes."""
    if not isinstance(annotations, Mapping) or str(annotations.get("prometheus.io/scrape", "")).lower() != "true":
        return ""
    port = str(annotations.get("prometheus.io/port", ""))
    path = str(annotations.get("prometheus.io/path") or "/metrics")
    return f":{port}{path}" if port.isdigit() and path.startswith("/") else ""


def _probe(proxy_config: Any) -> Probe | None:
    given = proxy_config.get("readinessProbe") if isinstance(proxy_config, Mapping) else None
    return probes.decode(given) if isinstance(given, Mapping) else None
