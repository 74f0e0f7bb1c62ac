"""What the API knows and this mesh refuses: one table, used by error messages, rendered by `python -m mesh.istio`.

`field` refuses a field; `field=VALUE` refuses one value of it. A row leaves the table on the day its field works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mesh.istio.reasons import reason

NOT_YET: Final = "known to Istio, not implemented yet"

# By message, as in Istio's protobufs (nested ones by their own name).
REFUSED: Final[Mapping[str, tuple[str, ...]]] = {
    "L4MatchAttributes": ("sourceSubnet",),
    "FaultDelay": ("exponentialDelay",),
    "FaultAbort": ("http2Error",),
    "IstioIngressListener": ("tls",),
    "SidecarPort": ("targetPort",),
    "EnvoyFilter": ("targetRefs",),
    "ConfigPatch": (
        "applyTo=EXTENSION_CONFIG",
        "applyTo=BOOTSTRAP",
    ),
    "ObjectMatch": ("waypoint", "context=WAYPOINT"),
    "ListenerMatch": ("portName",),
    "RouteConfigurationMatch": ("portName", "gateway"),
    "Telemetry": ("targetRef", "targetRefs"),
    "Tracing": ("disableContextPropagation",),
    "MeshConfig": (
        "ca",
        "caCertificates",
        "certificates",
        "configSources",
        "defaultTrafficPolicy",
        "discoverySelectors",
        "enableAutoMtls",
        "enableEnvoyAccessLogService",
        "hboneIdleTimeout",
        "inboundClusterStatName",
        "ingressClass",
        "ingressControllerMode",
        "ingressSelector",
        "ingressService",
        "meshMTLS",
        "outboundClusterStatName",
        "proxyHttpPort",
        "proxyInboundListenPort",
        "proxyListenPort",
        "serviceEntryVisibility",
        "serviceScopeConfigs",
        "tlsDefaults",
        "trustDomain",
        "trustDomainAliases",
        "verifyCertificateAtClient",
        "zoneAwareLbSetting",
    ),
    "MeshProxyConfig": (
        "availabilityZone",
        "binaryPath",
        "caCertificatesPem",
        "configPath",
        "connectionSettings",
        "controlPlaneAuthPolicy",
        "customConfigFile",
        "discoveryAddress",
        "discoveryRefreshDelay",
        "envoyAccessLogService",
        "envoyMetricsService",
        "envoyMetricsServiceAddress",
        "fileFlushMinSizeKb",
        "image",
        "interceptionMode",
        "meshId",
        "parentShutdownDuration",
        "privateKeyProvider",
        "proxyAdminPort",
        "proxyBootstrapTemplatePath",
        "readinessProbe",
        "runtimeValues",
        "sds",
        "serviceCluster",
        "statNameLength",
        "statsCompression",
        "statsdUdpAddress",
        "statusPort",
        "tracingServiceName",
        "zipkinAddress",
    ),
    "ExtensionProvider": (
        "datadog",
        "envoyExtAuthzGrpc",
        "envoyExtAuthzHttp",
        "envoyHttpAls",
        "envoyOtelAls",
        "envoyTcpAls",
        "lightstep",
        "opencensus",
        "sds",
        "skywalking",
        "stackdriver",
        "zipkin",
    ),
    "OpenTelemetryTracingProvider": (
        "dynatraceSampler",
        "resourceDetectors",
        "serviceAttributeEnrichment=OTEL_SEMANTIC_CONVENTIONS",
    ),
    "HttpService": ("headers",),
    "GrpcService": ("initialMetadata",),
    "ProxyHeaders": ("forwardedClientCert", "setCurrentClientCertDetails"),
    "ProxyTracing": (
        "datadog",
        "lightstep",
        "openCensusAgent",
        "stackdriver",
        "tlsSettings",
        "zipkin",
    ),
    "MetricSelector": ("customMetric",),
    "GatewayTopology": ("forwardClientCertDetails", "proxyProtocol"),
    "TrafficPolicy": ("tunnel", "proxyProtocol"),
    "RetryBudget": ("budgetInterval",),
    "OutlierDetection": ("consecutiveErrors",),
    "ClientTLSSettings": (
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "credentialName",
        "subjectAltNames",
        "sni",
        "insecureSkipVerify",
        "caCrl",
        "mode=SIMPLE",
        "mode=MUTUAL",
        "mode=ISTIO_MUTUAL",
    ),
    "Server": ("defaultEndpoint",),
    "ServerTLSSettings": (
        "mode=SIMPLE",
        "mode=MUTUAL",
        "mode=AUTO_PASSTHROUGH",
        "mode=ISTIO_MUTUAL",
        "mode=OPTIONAL_MUTUAL",
        "serverCertificate",
        "privateKey",
        "caCertificates",
        "caCrl",
        "credentialName",
        "credentialNames",
        "caCertCredentialName",
        "tlsCertificates",
        "subjectAltNames",
        "verifyCertificateSpki",
        "verifyCertificateHash",
        "minProtocolVersion",
        "maxProtocolVersion",
        "cipherSuites",
        "insecureSkipVerify",
    ),
    "WorkloadEntry": ("network",),
    "GroupTemplate": ("address", "network"),
    "ProxyConfig": ("image",),
    "Port": ("targetPort",),
    "ServiceSpec": ("internalTrafficPolicy=Local",),
    "ServiceEntryPort": ("protocol=UDP",),
    "ServicePort": ("protocol=UDP", "protocol=SCTP"),
}

# Kinds of the same API groups.
REFUSED_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "networking.k8s.io": ("Ingress", "IngressClass"),
    "security.istio.io": ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"),
    "extensions.istio.io": ("WasmPlugin",),
    "gateway.networking.k8s.io": (
        "Gateway",
        "GatewayClass",
        "GRPCRoute",
        "HTTPRoute",
        "ReferenceGrant",
        "TCPRoute",
        "TLSRoute",
    ),
}


# Fields that take less than Istio's do, by message.
NARROWED: Final[Mapping[str, Mapping[str, str]]] = {
    "Sidecar": {"ingress": "ports not listed are served as without it"},
    "IstioIngressListener": {"bind": "where a listener is opened: without interception, or with captureMode NONE"},
    "IstioEgressListener": {"bind": "no Unix domain sockets"},
    "VirtualService": {"gateways": "NAME or NAMESPACE/NAME, not the legacy full name"},
    "HTTPMatchRequest": {
        "headers": "no JWT claims",
        "withoutHeaders": "no JWT claims",
        "statPrefix": "an Envoy has statistics of that name; those of our sidecar have fixed names",
    },
    "HTTPRedirect": {"redirectCode": "301, 302, 303, 307, 308"},
    "LoadBalancerSettings": {
        "simple": "PASSTHROUGH where connections are intercepted: else callers name hosts, not addresses",
    },
    "ServiceEntry": {"resolution": "DYNAMIC_DNS for HTTP, HTTP2, GRPC and, by the name in their hello, TLS and HTTPS"},
    "MeshConfig": {"defaultVirtualServiceExportTo": "not of delegates"},
    "TagOverride": {"value": "CEL as far as docs/telemetry.md has it"},
    "LogFilter": {"expression": "CEL as far as docs/telemetry.md has it"},
    "ProxyMatch": {"proxyVersion": "ISTIO_VERSION of a proxy's metadata: one that says none is never meant"},
    "WorkloadEntry": {"address": "no Unix domain sockets"},
}

_AFFINITY: Final = "an address is hashed: it has its endpoint for as long as that one is there"
_PLAIN: Final = "everything is plain text until there is mutual TLS"
_BY_NUMBER: Final = "ports are told apart by their numbers"
_ONE: Final = "the only value that there is"
_APP_ADDRESS: Final = "a proxy says itself where its app is: APP_ADDRESS, 127.0.0.1 unless told otherwise"
_ONE_CLUSTER: Final = "there is one cluster, so that every service is local to it"
_ALL_STATISTICS: Final = "a proxy always has all of its statistics"
_PODS: Final = "nothing of it matters to proxies"

# Fields (or values, as in REFUSED) that are accepted because files have them, and that cannot matter here: by message, or by
# kind/message where they do elsewhere.
NO_EFFECT: Final[Mapping[str, Mapping[str, str]]] = {
    "TrafficPolicy": {"tls": _PLAIN},
    "PortTrafficPolicy": {"tls": _PLAIN},
    "ClientTLSSettings": {"mode": _PLAIN},
    "ServiceEntry": {
        "subjectAltNames": "an identity matters with TLS that a proxy speaks only",
        "location": _PLAIN,
    },
    "Server": {"name": "it names the routes of an HTTPS server"},
    "Port": {"name": _BY_NUMBER},
    "SidecarPort": {"name": _BY_NUMBER},
    "Sidecar/HTTPSettings": {
        "h2UpgradePolicy": "an app is spoken to as its port declares, as by Istio",
        "useClientProtocol": "an app is spoken to as its port declares, as by Istio",
    },
    "MeshConfig": {
        "disableEnvoyListenerLog": "listeners have no logs beside those of their requests and sessions",
        "enablePrometheusMerge": "an app's metrics are merged where its annotations say that it has some",
        "inboundTrafficPolicy": _APP_ADDRESS,
        "serviceSettings": _ONE_CLUSTER,
    },
    "InboundTrafficPolicy": {"mode": _APP_ADDRESS},
    "ServiceSettings": {"settings": _ONE_CLUSTER, "hosts": _ONE_CLUSTER},
    "SettingsOfServices": {"clusterLocal": _ONE_CLUSTER},
    "ProxyStatsMatcher": dict.fromkeys(("inclusionPrefixes", "inclusionSuffixes", "inclusionRegexps"), _ALL_STATISTICS),
    "MeshProxyConfig": {
        "extraStatTags": "metrics may have any tag that a Telemetry resource gives them",
        "holdApplicationUntilProxyStarts": "an app that `mesh run` starts always waits for its proxy",
        "proxyStatsMatcher": _ALL_STATISTICS,
    },
    "DefaultProviders": {"metrics": "the metrics that Prometheus fetches are always there"},
    "OpenTelemetryTracingProvider": {"serviceAttributeEnrichment": "ISTIO_CANONICAL is how spans are named anyway"},
    "Patch": {"filterClass": "Istio makes nothing of it either: what is added goes to the end"},
    "GroupTemplate": {"serviceAccount": "an identity matters with mutual TLS only"},
    "GroupMetadata": {"annotations": "nothing here reads them"},
    "WorkloadEntry": {"serviceAccount": "an identity matters with mutual TLS only"},
    "ServiceSpec": {
        "type=ClusterIP": "the three are reached alike within the mesh",
        "type=NodePort": "the three are reached alike within the mesh",
        "type=LoadBalancer": "the three are reached alike within the mesh",
        "internalTrafficPolicy": _ONE,
        "allocateLoadBalancerNodePorts": "nodes are opened by Kubernetes",
        "externalIPs": "they are nodes' addresses, which Kubernetes opens",
        "externalTrafficPolicy": "nodes are opened by Kubernetes",
        "healthCheckNodePort": "nodes are opened by Kubernetes",
        "loadBalancerClass": "load balancers are Kubernetes'",
        "loadBalancerIP": "load balancers are Kubernetes'",
        "loadBalancerSourceRanges": "load balancers are Kubernetes'",
        "sessionAffinityConfig": _AFFINITY,
        "ipFamilies": "filled in by Kubernetes",
        "ipFamilyPolicy": "filled in by Kubernetes",
    },
    "SessionAffinityConfig": {"clientIP": _AFFINITY},
    "ClientIPConfig": {"timeoutSeconds": _AFFINITY},
    "ServicePort": {"nodePort": "nodes are opened by Kubernetes", "protocol": _ONE},
    "EndpointSliceSpec": {"addressType": "addresses say it themselves"},
    "WorkloadSpec": {"selector": "pods are found by their template's labels"},
    "LabelSelector": {"matchLabels": "pods are found by their template's labels"},
    "DaemonSet/WorkloadSpec": {"replicas": "there is one on each node"},
    "ReplicaSet/WorkloadSpec": {"replicas": "a Deployment has them"},
    "PodSpec": {"serviceAccountName": "an identity matters with mutual TLS only"},
    "Container": {"name": _PODS},
    "ContainerPort": {"protocol": _PODS},
    "ConfigMap": {"data": "nothing here reads it"},
    "Secret": {"type": "nothing here reads it"},
}


def no_effect(kind: str, message: str, field: str, value: str = "") -> str:
    """Why a field, or a value of it, cannot matter in a kind; an empty string where it does."""
    for place in (f"{kind}/{message}", message):
        rows = NO_EFFECT.get(place, {})
        if reason := rows.get(field) or (value and rows.get(f"{field}={value}")) or "":
            return reason
    return ""


def refused_field(message: str, field: str) -> str:
    """Why a known field of a message is refused, or an empty string for a field that nobody knows."""
    if field not in REFUSED.get(message, ()):
        return ""
    why = reason(message, field)
    return f"{NOT_YET}: {why}" if why else NOT_YET


def refused_values(message: str, field: str) -> tuple[str, ...]:
    """The known values of a field that are refused."""
    prefix = f"{field}="
    return tuple(row[len(prefix) :] for row in REFUSED.get(message, ()) if row.startswith(prefix))
