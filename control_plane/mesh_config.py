"""The settings of the mesh: those that the control plane was started with, and what a MeshConfig document says instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from control_plane.translate.mesh_telemetry import span_tags
from control_plane.translate.providers import with_providers
from control_plane.world import AccessLogEncoding, AddedHeaders, Exported, MeshConfig, OutboundPolicy, PathNormalization
from mesh.istio.mesh_config import MeshConfig as Document
from mesh.istio.mesh_config import MeshH2UpgradePolicy, PathNormalizationType
from mesh.istio.proxy_headers import Disabled, MetadataExchangeMode, ProxyHeaders
from mesh.istio.resource import Resource


def mesh_of(started_with: MeshConfig, resources: Mapping[str, tuple[Resource, ...]]) -> MeshConfig:
    """The settings that hold. Of several documents the oldest counts."""
    documents = resources.get("MeshConfig", ())
    return _told(started_with, documents[0].spec) if documents else started_with


def _told(mesh: MeshConfig, spec: Document) -> MeshConfig:
    tracing = spec.default_config.tracing if spec.default_config is not None else None
    outbound, encoding, upgrade = spec.outbound_traffic_policy, spec.access_log_encoding, spec.h2_upgrade_policy
    topology = spec.default_config.gateway_topology if spec.default_config is not None else None
    headers = spec.default_config.proxy_headers if spec.default_config is not None else None
    paths = spec.path_normalization
    said: dict[str, Any] = {
        "access_log_file": spec.access_log_file,
        "access_log_format": spec.access_log_format,
        "access_log_encoding": AccessLogEncoding(encoding.value) if encoding is not None else None,
        "enable_tracing": spec.enable_tracing,
        "sampling": tracing.sampling if tracing is not None else None,
        "outbound_policy": OutboundPolicy(outbound.mode.value) if outbound is not None else None,
        "connect_timeout": spec.connect_timeout,
        "tcp_keepalive": spec.tcp_keepalive,
        "http2_upgrade": upgrade is MeshH2UpgradePolicy.UPGRADE if upgrade is not None else None,
        "http_retries": spec.default_http_retry_policy,
        "root_namespace": spec.root_namespace,
        "exported": _exported(mesh.exported, spec),
        "localities": spec.locality_lb_setting,
        "path_normalization": _path_normalization(paths.normalization) if paths is not None else None,
        "detection_timeout": spec.protocol_detection_timeout,
        "dns_refresh_rate": spec.dns_refresh_rate,
        "trusted_proxies": topology.num_trusted_proxies if topology is not None else None,
        "tags": span_tags(tracing.custom_tags) if tracing is not None and tracing.custom_tags else None,
        "istio_tags": tracing.enable_istio_tags if tracing is not None else None,
        "headers": _headers(headers) if headers is not None else None,
        "path_tag_length": tracing.max_path_tag_length if tracing is not None else None,
    }
    told = replace(mesh, **{name: value for name, value in said.items() if value is not None})
    return with_providers(told, spec.extension_providers, spec.default_providers)


def _headers(said: ProxyHeaders) -> AddedHeaders:
    server = said.server
    return AddedHeaders(
        server=(None if server.disabled else server.value) if server is not None else "",
        request_id=not _off(said.request_id),
        attempt_count=not _off(said.attempt_count),
        envoys=not _off(said.envoy_debug_headers),
        forwarded_host=said.x_forwarded_host is not None and said.x_forwarded_host.enabled,
        forwarded_port=said.x_forwarded_port is not None and said.x_forwarded_port.enabled,
        keep_case=said.preserve_http1_header_case,
        in_mesh=said.metadata_exchange_headers is not None
        and said.metadata_exchange_headers.mode is MetadataExchangeMode.IN_MESH,
    )


def _off(said: Disabled | None) -> bool:
    return said is not None and said.disabled


def _exported(before: Exported, spec: Document) -> Exported:
    return Exported(
        spec.default_service_export_to or before.services,
        spec.default_virtual_service_export_to or before.virtual_services,
        spec.default_destination_rule_export_to or before.destination_rules,
    )


def _path_normalization(said: PathNormalizationType) -> PathNormalization:
    """DEFAULT is Istio's default."""
    return PathNormalization.BASE if said is PathNormalizationType.DEFAULT else PathNormalization(said.value)
