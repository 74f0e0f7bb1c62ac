"""Annotations in Istio's name: whether there are such, on such a resource, with such a value."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from control_plane.analysis.codes import (
    DEPRECATED_ANNOTATION,
    INVALID_ANNOTATION,
    MISPLACED_ANNOTATION,
    UNKNOWN_ANNOTATION,
)
from control_plane.analysis.examined import TEMPLATES, Examined
from control_plane.analysis.finding import Finding, finding
from mesh.istio.model import Path
from mesh.istio.resource import Resource
from mesh.istio.scalars import is_dns_label

SUPPRESS: Final = "galley.istio.io/analyze-suppress"
EXPORT_TO: Final = "networking.istio.io/exportTo"
_ISTIO: Final = "istio.io"
_INGRESS_CLASS: Final = "kubernetes.io/ingress.class"  # by which an Ingress says that it is Istio's
ANY, POD, SERVICE, INGRESS, ENTRY, POLICY = "Any", "Pod", "Service", "Ingress", "WorkloadEntry", "AuthorizationPolicy"


def _of(kind: str, prefix: str, *names: str) -> dict[str, str]:
    return {f"{prefix}/{name}": kind for name in names}


# What there is, with what it is for. https://istio.io/latest/docs/reference/config/annotations/
KNOWN: Final[Mapping[str, str]] = {
    **_of(ANY, "install.operator.istio.io", "chart-owner", "owner-generation", "version"),
    SUPPRESS: ANY,
    EXPORT_TO: SERVICE,
    "networking.istio.io/traffic-distribution": SERVICE,
    "networking.istio.io/service-type": ANY,
    "networking.istio.io/address-type": ANY,
    "istio.io/dry-run": POLICY,
    "istio.io/rev": ANY,
    "istio.io/for-service-account": ANY,
    **_of(ENTRY, "istio.io", "autoRegistrationGroup", "workloadController", "connectedAt", "disconnectedAt"),
    **_of(POD, "ambient.istio.io", "redirection", "bypass-inbound-capture", "dns-capture"),
    **_of(SERVICE, "alpha.istio.io", "kubernetes-serviceaccounts", "canonical-serviceaccounts"),
    "alpha.istio.io/identity": POD,
    "prometheus.istio.io/merge-metrics": POD,
    "inject.istio.io/templates": POD,
    **_of(POD, "proxy.istio.io", "config", "overrides"),
    **_of(
        POD,
        "sidecar.istio.io",
        "agentLogLevel",
        "bootstrapOverride",
        "componentLogLevel",
        "controlPlaneAuthPolicy",
        "discoveryAddress",
        "enableCoreDump",
        "extraStatTags",
        "inject",
        "interceptionMode",
        "logLevel",
        "nativeSidecar",
        "proxyCPU",
        "proxyCPULimit",
        "proxyImage",
        "proxyImageType",
        "proxyMemory",
        "proxyMemoryLimit",
        "rewriteAppHTTPProbers",
        "statsCompression",
        "statsHistogramBuckets",
        "statsInclusionPrefixes",
        "statsInclusionRegexps",
        "statsInclusionSuffixes",
        "status",
        "userVolume",
        "userVolumeMount",
    ),
    "status.sidecar.istio.io/port": POD,
    **_of(
        POD,
        "readiness.status.sidecar.istio.io",
        "applicationPorts",
        "failureThreshold",
        "initialDelaySeconds",
        "periodSeconds",
    ),
    **_of(
        POD,
        "traffic.sidecar.istio.io",
        "excludeInboundPorts",
        "excludeInterfaces",
        "excludeOutboundIPRanges",
        "excludeOutboundPorts",
        "includeInboundPorts",
        "includeOutboundIPRanges",
        "includeOutboundPorts",
        "kubevirtInterfaces",
    ),
    "topology.istio.io/controlPlaneClusters": ANY,
    "gateway.istio.io/controller-version": ANY,
    _INGRESS_CLASS: INGRESS,
}
_DEPRECATED: Final = frozenset(
    (
        "alpha.istio.io/canonical-serviceaccounts",
        "alpha.istio.io/identity",
        "alpha.istio.io/kubernetes-serviceaccounts",
        "sidecar.istio.io/controlPlaneAuthPolicy",
        "sidecar.istio.io/discoveryAddress",
        "sidecar.istio.io/statsInclusionPrefixes",
        "sidecar.istio.io/statsInclusionRegexps",
        "sidecar.istio.io/statsInclusionSuffixes",
    )
)


def checked(seen: Examined) -> Iterator[Finding]:
    """The annotations of every resource, and those of the pods in its template."""
    for kind, resources in seen.asked.items():
        for resource in resources:
            yield from _checked(resource, kind, resource.annotations, ("metadata", "annotations"))
            if kind in TEMPLATES:
                place: Path = ("spec", "template", "metadata", "annotations")
                yield from _checked(resource, POD, resource.spec.template.metadata.annotations, place)


def _checked(resource: Resource, kind: str, annotations: Mapping[str, str], place: Path) -> Iterator[Finding]:
    for name, value in annotations.items():
        if not _is_istio(name):
            continue
        path = (*place, name)
        belongs = KNOWN.get(name)
        if belongs is None:
            yield finding(UNKNOWN_ANNOTATION, resource, path, f"Unknown annotation: {name}")
            continue
        if name in _DEPRECATED:
            message = f'Annotation "{name}" has been deprecated and may not work in future Istio versions.'
            yield finding(DEPRECATED_ANNOTATION, resource, path, message)
        if belongs not in (ANY, kind):
            message = f"Misplaced annotation: {name} can only be applied to {belongs}"
            yield finding(MISPLACED_ANNOTATION, resource, path, message)
        elif (check := _VALUES.get(name)) is not None and (problem := check(value)):
            yield finding(INVALID_ANNOTATION, resource, path, f"Invalid annotation {name}: {problem}")


def _is_istio(name: str) -> bool:
    domain = name.partition("/")[0]
    return domain == _ISTIO or domain.endswith(f".{_ISTIO}") or name == _INGRESS_CLASS


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _ports(value: str) -> str:
    wrong = [part for part in _parts(value) if not (part.isascii() and part.isdigit() and int(part) <= 65535)]
    return "" if value == "*" or not wrong else f"{wrong[0]} is no port (0 to 65535)"


def _ranges(value: str) -> str:
    if value == "*":
        return ""
    for part in _parts(value):
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            return f"{part} is no range of IP addresses (10.0.0.0/8)"
    return ""


def _boolean(value: str) -> str:
    return (
        ""
        if value.lower() in ("true", "false", "y", "n", "yes", "no", "on", "off")
        else f"{value} is not true or false"
    )


def _port(value: str) -> str:
    return "" if value.isascii() and value.isdigit() and int(value) <= 65535 else f"{value} is no port (0 to 65535)"


def _number(value: str) -> str:
    return "" if value.isascii() and value.isdigit() else f"{value} is no whole number"


def _namespaces(value: str) -> str:
    wrong = [part for part in _parts(value) if part not in ("*", ".", "~") and not is_dns_label(part)]
    return f'{wrong[0]} is no namespace, "*", "." or "~"' if wrong else ""


def _mode(value: str) -> str:
    return "" if value in ("REDIRECT", "TPROXY", "NONE") else f"{value} is none of REDIRECT, TPROXY, NONE"


_VALUES: Final[Mapping[str, Callable[[str], str]]] = {
    EXPORT_TO: _namespaces,
    "sidecar.istio.io/inject": _boolean,
    "sidecar.istio.io/interceptionMode": _mode,
    "sidecar.istio.io/enableCoreDump": _boolean,
    "sidecar.istio.io/rewriteAppHTTPProbers": _boolean,
    "prometheus.istio.io/merge-metrics": _boolean,
    "status.sidecar.istio.io/port": _port,
    "readiness.status.sidecar.istio.io/applicationPorts": _ports,
    "readiness.status.sidecar.istio.io/failureThreshold": _number,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _number,
    "readiness.status.sidecar.istio.io/periodSeconds": _number,
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/includeInboundPorts": _ports,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/includeOutboundPorts": _ports,
}
