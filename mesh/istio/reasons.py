"""Why some of what is refused is refused, and what to use instead: for people who have just been told so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NO_INGRESS: Final = "the kind Ingress is not implemented: use a Gateway, whose selector says which proxies it is for"
_AT_START: Final = "a proxy says that itself when it starts: mesh run --help, mesh bootstrap --help"
_OWN_BOOTSTRAP: Final = "a proxy starts from what `mesh bootstrap` writes"
_NO_CLUSTERS: Final = "there is one cluster here"
_CLUSTERS_NAME: Final = "a cluster's statistics have the name of the cluster"
_NO_AMBIENT: Final = "there are sidecars only, no ambient mode"
_ZERO_TRUST: Final = "arrives with zero trust"
_OTLP_ONLY: Final = "spans go out by OpenTelemetry's protocol: use opentelemetry, and a collector that translates"
_FILES_ONLY: Final = "access logs go to files: use envoyFileAccessLog, and a collector that reads them"

# By message, as in `refused.REFUSED`, and the rows there.
WHY: Final[Mapping[str, Mapping[str, str]]] = {
    "ExtensionProvider": {
        "datadog": _OTLP_ONLY,
        "envoyExtAuthzGrpc": _ZERO_TRUST,
        "envoyExtAuthzHttp": _ZERO_TRUST,
        "envoyHttpAls": _FILES_ONLY,
        "envoyOtelAls": _FILES_ONLY,
        "envoyTcpAls": _FILES_ONLY,
        "lightstep": _OTLP_ONLY,
        "opencensus": _OTLP_ONLY,
        "sds": _ZERO_TRUST,
        "skywalking": _OTLP_ONLY,
        "stackdriver": _OTLP_ONLY,
        "zipkin": _OTLP_ONLY,
    },
    "OpenTelemetryTracingProvider": {
        "dynatraceSampler": "whether a request is traced is decided by the percentage of its sampling",
        "resourceDetectors": "a span's resource is what the proxy's node says of itself",
        "serviceAttributeEnrichment=OTEL_SEMANTIC_CONVENTIONS": "a span's service is named as Istio names it",
    },
    "MetricSelector": {"customMetric": "Envoy's statistics are there as they are; only Istio's metrics can be changed"},
    "Tracing": {
        "disableContextPropagation": "a route's headers.request.remove takes traceparent away from what leaves the mesh"
    },
    "MeshConfig": {
        "ca": _ZERO_TRUST,
        "caCertificates": _ZERO_TRUST,
        "certificates": _ZERO_TRUST,
        "configSources": "mesh-control-plane --store says where configuration is kept",
        "defaultTrafficPolicy": "a DestinationRule for *.local in the root namespace is the default of all services",
        "discoverySelectors": "exportTo (its defaults are here, too) and a Sidecar say who is told of what",
        "enableAutoMtls": _ZERO_TRUST,
        "enableEnvoyAccessLogService": _FILES_ONLY,
        "hboneIdleTimeout": _NO_AMBIENT,
        "inboundClusterStatName": _CLUSTERS_NAME,
        "ingressClass": _NO_INGRESS,
        "ingressControllerMode": _NO_INGRESS,
        "ingressSelector": _NO_INGRESS,
        "ingressService": _NO_INGRESS,
        "meshMTLS": _ZERO_TRUST,
        "outboundClusterStatName": _CLUSTERS_NAME,
        "proxyHttpPort": _AT_START,
        "proxyInboundListenPort": _AT_START,
        "proxyListenPort": _AT_START,
        "serviceEntryVisibility": "exportTo, and defaultServiceExportTo here, say who is told of a service",
        "serviceScopeConfigs": _NO_CLUSTERS,
        "tlsDefaults": _ZERO_TRUST,
        "trustDomain": _ZERO_TRUST,
        "trustDomainAliases": _ZERO_TRUST,
        "verifyCertificateAtClient": _ZERO_TRUST,
        "zoneAwareLbSetting": "a DestinationRule in the root namespace has it for all services: host *.local",
    },
    "MeshProxyConfig": {
        "availabilityZone": "a proxy's locality is said by its WorkloadGroup, or when it starts",
        "binaryPath": _OWN_BOOTSTRAP,
        "caCertificatesPem": _ZERO_TRUST,
        "configPath": _OWN_BOOTSTRAP,
        "connectionSettings": "an EnvoyFilter changes what listeners and clusters allow",
        "controlPlaneAuthPolicy": _ZERO_TRUST,
        "customConfigFile": _OWN_BOOTSTRAP,
        "discoveryAddress": "a proxy has to know its control plane before it can be told of this: mesh run --help",
        "discoveryRefreshDelay": "changes are pushed when they are made",
        "envoyAccessLogService": _FILES_ONLY,
        "envoyMetricsService": "metrics are there for Prometheus to fetch",
        "envoyMetricsServiceAddress": "metrics are there for Prometheus to fetch",
        "fileFlushMinSizeKb": "fileFlushInterval says how often logs are written",
        "image": "images are said where containers are",
        "interceptionMode": _AT_START,
        "meshId": _AT_START,
        "parentShutdownDuration": "a proxy has no parent: drainDuration and terminationDrainDuration say how it ends",
        "privateKeyProvider": _ZERO_TRUST,
        "proxyAdminPort": _AT_START,
        "proxyBootstrapTemplatePath": _OWN_BOOTSTRAP,
        "readinessProbe": "a WorkloadGroup's probe says how its members are asked whether they are well",
        "runtimeValues": "sidecars of ours have no runtime whose values could be set",
        "sds": _ZERO_TRUST,
        "serviceCluster": "a proxy's cluster is its service and namespace",
        "statNameLength": "names of statistics are as long as they are",
        "statsCompression": "what a proxy tells Prometheus goes out as it is",
        "statsdUdpAddress": "metrics are there for Prometheus to fetch",
        "statusPort": "a proxy tells of its health on port 15021",
        "tracingServiceName": "spans are those of the proxy's service and namespace",
        "zipkinAddress": _OTLP_ONLY,
    },
    "ProxyTracing": {
        "datadog": _OTLP_ONLY,
        "lightstep": _OTLP_ONLY,
        "openCensusAgent": _OTLP_ONLY,
        "stackdriver": _OTLP_ONLY,
        "tlsSettings": _ZERO_TRUST,
        "zipkin": _OTLP_ONLY,
    },
    "GatewayTopology": {
        "forwardClientCertDetails": _ZERO_TRUST,
        "proxyProtocol": "gateways take no PROXY protocol: numTrustedProxies says how far x-forwarded-for is believed",
    },
    "ProxyConfig": {"image": "images are said where containers are"},
    "Telemetry": {
        "targetRef": "it is of the Gateway API: use a selector",
        "targetRefs": "it is of the Gateway API: use a selector",
    },
    "EnvoyFilter": {"targetRefs": "it is of the Gateway API: use workloadSelector"},
    "ConfigPatch": {
        "applyTo=EXTENSION_CONFIG": "put the whole filter in: applyTo HTTP_FILTER",
        "applyTo=BOOTSTRAP": _OWN_BOOTSTRAP,
    },
    "ObjectMatch": {"waypoint": _NO_AMBIENT, "context=WAYPOINT": _NO_AMBIENT},
    "ListenerMatch": {"portName": "Istio makes nothing of it either: use portNumber"},
    "RouteConfigurationMatch": {
        "portName": "it tells servers of HTTPS apart: plain HTTP is told by name (http.80) or portNumber",
        "gateway": "it tells servers of HTTPS apart: plain HTTP is told by name (http.80) or portNumber",
    },
    "ProxyHeaders": {
        "forwardedClientCert": _ZERO_TRUST,
        "setCurrentClientCertDetails": _ZERO_TRUST,
    },
    "HttpService": {"headers": "the exporter adds none: let a collector beside the mesh add what a service wants"},
    "OutlierDetection": {
        "consecutiveErrors": "deprecated, and without effect in Istio: use consecutive5xxErrors or consecutiveGatewayErrors"
    },
    "RetryBudget": {"budgetInterval": "Envoy's published API has no field for it yet"},
    "Port": {
        "targetPort": "it has no effect on a Gateway, in Istio either: the Service in front of it says where it listens"
    },
    "IstioIngressListener": {"tls": _ZERO_TRUST},
    "SidecarPort": {"targetPort": "it has no effect on a Sidecar, in Istio either: leave it out"},
    "ServiceSpec": {"internalTrafficPolicy=Local": "nobody knows here which nodes endpoints are on"},
    "GrpcService": {
        "initialMetadata": "the exporter adds none: let a collector beside the mesh add what a service wants"
    },
}


# Messages of which every row is refused for one reason.
_ALL_OF_IT: Final[Mapping[str, str]] = {"ClientTLSSettings": _ZERO_TRUST, "ServerTLSSettings": _ZERO_TRUST}


def reason(message: str, row: str) -> str:
    """Why a row of a message is refused; empty where there is no more to say than that it is."""
    return WHY.get(message, {}).get(row, "") or _ALL_OF_IT.get(message, "")
