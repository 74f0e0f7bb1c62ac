"""MeshConfig: settings of the whole mesh, by the names of Istio's mesh configuration. A document of this mesh's own: Istio
keeps the same in the ConfigMap `istio`, or in an IstioOperator.

https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from mesh.istio.destination_rule import TcpKeepalive
from mesh.istio.extension_providers import DefaultProviders, ExtensionProvider, named_twice
from mesh.istio.load_balancing import LocalityLoadBalancerSetting
from mesh.istio.model import Found, Message, shown
from mesh.istio.proxy_config import Environment, Workers
from mesh.istio.proxy_headers import ProxyHeaders
from mesh.istio.scalars import Count, DnsLabel, Duration, ExportTo, Regex, Rows, WildcardHost, Word
from mesh.istio.sidecar import OutboundTrafficPolicy
from mesh.istio.telemetry import CustomTag
from mesh.istio.virtual_service_actions import HTTPRetry


class AccessLogEncoding(StrEnum):
    TEXT = "TEXT"
    JSON = "JSON"


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class MeshH2UpgradePolicy(StrEnum):
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class PathNormalizationType(StrEnum):
    DEFAULT = "DEFAULT"
    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class ProxyPathNormalization(Message):
    normalization: Word[PathNormalizationType] = PathNormalizationType.DEFAULT


class GatewayTopology(Message):
    """So many proxies in front of the mesh's gateways are believed what they say of the client."""

    num_trusted_proxies: Annotated[Count, Field(le=255)] = 0


class ProxyTracing(Message):
    """`sampling` in percent."""

    sampling: Annotated[float, Field(ge=0, le=100)] | None = None
    custom_tags: dict[str, CustomTag] = Field(default_factory=dict)
    enable_istio_tags: bool | None = None
    max_path_tag_length: Annotated[Count, Field(ge=1)] | None = None


class InboundMode(StrEnum):
    PASSTHROUGH = "PASSTHROUGH"
    LOCALHOST = "LOCALHOST"


class InboundTrafficPolicy(Message):
    mode: Word[InboundMode] = InboundMode.PASSTHROUGH


class SettingsOfServices(Message):
    cluster_local: bool = False


class ServiceSettings(Message):
    """`hosts` with settings of several clusters."""

    settings: SettingsOfServices | None = None
    hosts: Rows[WildcardHost] = ()


class ProxyStatsMatcher(Message):
    inclusion_prefixes: Rows[str] = ()
    inclusion_suffixes: Rows[str] = ()
    inclusion_regexps: Rows[Regex] = ()


class MeshProxyConfig(Message):
    """`defaultConfig`. Concurrency, environment, drains and how often logs are written take effect when a proxy starts. An
    app that `mesh run` starts is always held until its proxy has its configuration."""

    tracing: ProxyTracing | None = None
    concurrency: Workers | None = None
    proxy_metadata: Environment = Field(default_factory=dict)
    gateway_topology: GatewayTopology | None = None
    drain_duration: Duration | None = None
    termination_drain_duration: Duration | None = None
    hold_application_until_proxy_starts: bool | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Duration | None = None
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    extra_stat_tags: Rows[str] = ()

    def rules(self) -> Iterator[Found]:
        if self.hold_application_until_proxy_starts is False:
            message = "an app is always held until its proxy has its configuration: leave it out, or say true"
            yield Found(("holdApplicationUntilProxyStarts",), message)


class MeshConfig(Message):
    """What is not set is what the control plane was started with. Of several the oldest holds."""

    access_log_file: str | None = None
    access_log_format: str | None = None
    access_log_encoding: Word[AccessLogEncoding] | None = None
    enable_tracing: bool | None = None
    default_config: MeshProxyConfig | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    h2_upgrade_policy: Word[MeshH2UpgradePolicy] | None = None
    default_http_retry_policy: HTTPRetry | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    path_normalization: ProxyPathNormalization | None = None
    protocol_detection_timeout: Duration | None = None
    dns_refresh_rate: Duration | None = None
    root_namespace: DnsLabel | None = None
    default_service_export_to: ExportTo = ()
    default_virtual_service_export_to: ExportTo = ()
    default_destination_rule_export_to: ExportTo = ()
    extension_providers: Rows[ExtensionProvider] = ()
    default_providers: DefaultProviders | None = None
    inbound_traffic_policy: InboundTrafficPolicy | None = None
    service_settings: Rows[ServiceSettings] = ()
    enable_prometheus_merge: bool | None = None
    disable_envoy_listener_log: bool | None = None

    def rules(self) -> Iterator[Found]:
        if self.enable_prometheus_merge is False:
            message = "an app's metrics are merged where its annotations say so: leave it out, or say true"
            yield Found(("enablePrometheusMerge",), message)
        yield from named_twice(self.extension_providers)
        said = self.access_log_format
        if self.access_log_encoding is AccessLogEncoding.JSON and said and not _is_json_object(said):
            message = f"must be a JSON object where accessLogEncoding is JSON, not {shown(said)}"
            yield Found(("accessLogFormat",), message)


def summary(spec: Mapping[str, Any]) -> str:
    """What it sets."""
    return ", ".join(spec)
