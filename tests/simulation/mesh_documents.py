"""Documents of the kinds that are for many services or none: what each of their fields does, proxies are told or are started
with (`test_mesh_fields.py`). All of them hold for one mesh of a few services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mesh.istio.envoy_filter import RouteAction

_HEAD: Final = "apiVersion: {}\nkind: {}\nmetadata: {{name: {}, namespace: {}}}\nspec:\n"
_GROUPS: Final = {"Telemetry": "telemetry.istio.io/v1", "EnvoyFilter": "networking.istio.io/v1alpha3"}
_OURS: Final = ("MeshConfig", "RateLimit")


def document(kind: str, spec: str, name: str = "one", namespace: str = "default") -> str:
    """A document; its spec in block style, or in one line."""
    version = "mesh.asyncmesh.io/v1alpha1" if kind in _OURS else _GROUPS.get(kind, "networking.istio.io/v1")
    return _HEAD.format(version, kind, name, namespace) + f"  {spec.strip()}\n"


_PLACES: Final = (
    "{address: 10.9.0.1, locality: a/a-1, labels: {version: v1}}",
    "{address: 10.9.0.2, locality: b/b-1, labels: {version: v2}}",
    "{address: 10.9.0.3, locality: c/c-1, labels: {version: v3}}",
)
FEW: Final = "---\n".join((
    document("ServiceEntry", "{hosts: [web.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, "
             f"location: MESH_INTERNAL, endpoints: [{', '.join(_PLACES)}]}}", "web"),
    document("ServiceEntry", "{hosts: [db.test], ports: [{number: 5432, name: tcp, protocol: TCP}], resolution: STATIC, "
             "addresses: [10.99.0.1], endpoints: [{address: 10.9.0.4}]}", "db"),
    document("VirtualService", "{hosts: [web.test], http: [{match: [{uri: {prefix: /old}}], rewrite: {authority: new.test}, "
             "route: [{destination: {host: web.test}}]}, {match: [{uri: {prefix: /moved}}], redirect: {uri: /}}, "
             "{match: [{uri: {prefix: /no}}], directResponse: {status: 403}}, "
             "{name: rest, route: [{destination: {host: web.test, subset: v1}}]}]}", "web"),
    document("DestinationRule", "{host: web.test, trafficPolicy: {outlierDetection: {interval: 1s}}, subsets: [{name: v1, "
             "labels: {version: v1}}]}", "web"),
))  # fmt: skip
MANY: Final = "---\n".join((
    FEW,
    document("ServiceEntry", "{hosts: [named.test], ports: [{number: 80, name: http, protocol: HTTP}], "
             "resolution: DNS}", "named"),
    document("ServiceEntry", "{hosts: [odd.test], ports: [{number: 99, name: odd}], addresses: [10.99.0.2], "
             "resolution: STATIC, endpoints: [{address: 10.9.0.5}]}", "odd"),
    document("ServiceEntry", "{hosts: [otel.seeing.test], ports: [{number: 4317, name: grpc, protocol: GRPC}, "
             "{number: 4318, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.9.0.6}]}",
             "otel", "seeing"),
    document("ServiceEntry", "{hosts: [hidden.test], ports: [{number: 80, name: http, protocol: HTTP}], "
             "resolution: STATIC, endpoints: [{address: 10.9.0.7}]}", "hidden", "other"),
    document("VirtualService", "{hosts: [hidden.test], http: [{fault: {abort: {httpStatus: 418, "
             "percentage: {value: 100}}}, route: [{destination: {host: hidden.test}}]}]}", "hidden", "other"),
    document("DestinationRule", "{host: hidden.test, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}",
             "hidden", "other"),
    document("DestinationRule", "{host: '*.test', trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}}",
             "all", "roots"),
    document("Gateway", "{selector: {istio: ingressgateway}, servers: [{port: {number: 8080, name: http, "
             "protocol: HTTP}, hosts: ['*']}]}", "edge"),
))  # fmt: skip
SERVICES: Final[Mapping[str, str]] = {"MeshConfig": MANY, "Telemetry": MANY}  # by kind; FEW for the others

# ── MeshConfig ────────────────────────────────────────────────────────────────────────────────────────────────────────

_PROVIDERS: Final = """
  extensionProviders:
  - {name: text, envoyFileAccessLog: {path: /tmp/text, logFormat: {text: "%PROTOCOL%"}, omitEmptyValues: true}}
  - {name: json, envoyFileAccessLog: {path: /tmp/json, logFormat: {labels: {code: "%RESPONSE_CODE%"}}}}
  - {name: web, opentelemetry: {service: otel.seeing.test, port: 4318, maxTagLength: 9, http: {path: /traces, timeout: 2s}}}
  - {name: calls, opentelemetry: {service: otel.seeing.test, port: 4317, grpc: {timeout: 2s}}}
  - {name: numbers, prometheus: {}}
"""
_METRICS: Final = document("Telemetry", "{metrics: [{providers: [{name: numbers}], overrides: [{disabled: true}]}]}")
_TAGS: Final = (
    "literal: {literal: {value: x}}, variable: {environment: {name: ZONE, defaultValue: z}}, "
    "header: {header: {name: x-a, defaultValue: y}}, format: {formatter: {value: '%PROTOCOL%'}}"
)
_RETRY: Final = (
    "{attempts: 4, perTryTimeout: 1s, retryOn: 5xx, retryIgnorePreviousHosts: false, retryRemoteLocalities: true, "
    "backoff: 1s}"
)
MESH: Final = (
    """
  accessLogFile: /tmp/log
  accessLogFormat: '{"a": "%PROTOCOL%"}'
  accessLogEncoding: JSON
  enableTracing: true
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  connectTimeout: 3s
  tcpKeepalive: {probes: 3, time: 60s, interval: 5s}
  h2UpgradePolicy: UPGRADE
  defaultHttpRetryPolicy: """
    + _RETRY
    + """
  pathNormalization: {normalization: MERGE_SLASHES}
  protocolDetectionTimeout: 2s
  dnsRefreshRate: 7s
  rootNamespace: roots
  defaultConfig:
    tracing: {sampling: 5, customTags: {"""
    + _TAGS
    + """}, enableIstioTags: false, maxPathTagLength: 20}
    concurrency: 2
    proxyMetadata: {A: b}
    gatewayTopology: {numTrustedProxies: 2}
    drainDuration: 30s
    terminationDrainDuration: 9s
    fileFlushInterval: 1s
    proxyHeaders: {server: {value: shop}, requestId: {disabled: true}, attemptCount: {disabled: true},
      envoyDebugHeaders: {disabled: true}, xForwardedHost: {enabled: true}, xForwardedPort: {enabled: true},
      preserveHttp1HeaderCase: true, metadataExchangeHeaders: {mode: IN_MESH}}
""",
    "accessLogEncoding: TEXT\n  enableTracing: false",
    "localityLbSetting: {failover: [{from: a, to: c}]}\n  h2UpgradePolicy: DO_NOT_UPGRADE\n"
    "  outboundTrafficPolicy: {mode: ALLOW_ANY}",
    "localityLbSetting: {distribute: [{from: a, to: {b: 100}}]}",
    "localityLbSetting: {failoverPriority: [version]}",
    "localityLbSetting: {enabled: false}",
    "defaultServiceExportTo: ['.']",
    "defaultVirtualServiceExportTo: ['.']",
    "defaultDestinationRuleExportTo: ['.']",
    "defaultConfig: {proxyHeaders: {server: {disabled: true}, metadataExchangeHeaders: {mode: UNDEFINED}}}",
    *(
        f"pathNormalization: {{normalization: {each}}}"
        for each in ("NONE", "BASE", "DEFAULT", "DECODE_AND_MERGE_SLASHES")
    ),
    f"{_PROVIDERS}  defaultProviders: {{accessLogging: [text, json], tracing: [web], metrics: [numbers]}}",
    f"{_PROVIDERS}  defaultProviders: {{tracing: [calls]}}",
)

# ── Telemetry ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_METRIC: Final = "{match: {metric: %s, mode: %s}, %s}"
_NAMES: Final = [
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
]
TELEMETRY: Final = (
    "{selector: {matchLabels: {app: client}}, tracing: [{providers: [{name: web}], randomSamplingPercentage: 5, "
    f"customTags: {{{_TAGS}}}, enableIstioTags: false, useRequestIdForTraceSampling: false}}], "
    "accessLogging: [{providers: [{name: json}], filter: {expression: response.code >= 400}}]}",
    "{tracing: [{match: {mode: CLIENT}, disableSpanReporting: true}], "
    "accessLogging: [{match: {mode: CLIENT}, disabled: true}]}",
    "{tracing: [{match: {mode: SERVER}, disableSpanReporting: true}], "
    "accessLogging: [{match: {mode: SERVER}, disabled: true}]}",
    "{tracing: [{match: {mode: CLIENT_AND_SERVER}, disableSpanReporting: true}], "
    "accessLogging: [{match: {mode: CLIENT_AND_SERVER}, disabled: true}]}",
    "{metrics: [{providers: [{name: prometheus}], reportingInterval: 2s, "
    "overrides: [{tagOverrides: {a: {value: request.host}, "
    "b: {operation: UPSERT, value: request.method}, response_flags: {operation: REMOVE}}}]}]}",
    "{metrics: [{providers: [{name: json}, {name: prometheus}], overrides: [{disabled: true}]}]}",
    "{metrics: [{providers: [{name: json}], overrides: [{disabled: true}]}]}",
    *(f"{{metrics: [{{overrides: [{_METRIC % (name, 'CLIENT_AND_SERVER', 'disabled: true')}]}}]}}" for name in _NAMES),
    *(
        f"{{metrics: [{{overrides: [{_METRIC % ('REQUEST_COUNT', mode, 'disabled: true')}]}}]}}"
        for mode in ("CLIENT", "SERVER")
    ),
)

# ── how proxies start ─────────────────────────────────────────────────────────────────────────────────────────────────

_PROBE: Final = (
    "initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3, successThreshold: 2, failureThreshold: 4, "
    "httpGet: {port: 80, path: /well, host: 10.9.0.1, scheme: HTTPS, httpHeaders: [{name: x-a, value: b}]}"
)
GROUP: Final = (
    "{metadata: {labels: {team: a}}, template: {ports: {http: 8080}, labels: {app: joined}, locality: a/a-1, weight: 3}, "
    f"probe: {{{_PROBE}}}}}",
    "{template: {ports: {http: 80}}, probe: {tcpSocket: {port: 80, host: 10.9.0.1}}}",
    "{template: {ports: {http: 80}}, probe: {httpGet: {port: 80, scheme: HTTP}}}",
    "{template: {ports: {http: 80}}, probe: {exec: {command: [check]}}}",
    "{template: {ports: {http: 80}}, probe: {grpc: {port: 80, service: a}}}",
)
PROXY: Final = (
    "{selector: {matchLabels: {app: client}}, concurrency: 2, environmentVariables: {A: b}}",
    "{selector: {matchLabels: {app: other}}, concurrency: 3}",
)

# ── RateLimit ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_LIMIT: Final = "{{name: some, match: [{}], requests: 5, per: 2s, burst: 9}}"
_MATCHES: Final = (
    "{uri: {exact: /a}, ignoreUriCase: true, scheme: {exact: http}, method: {prefix: P}, authority: {regex: a.*}}",
    "{uri: {prefix: /a}, headers: {x-a: {exact: b}}, withoutHeaders: {x-c: {regex: .*}}, queryParams: {q: {exact: r}}}",
    "{uri: {regex: /a.*}, method: {exact: GET}}",
)
LIMITS: Final = (
    *(f"{{host: client, dryRun: true, limits: [{_LIMIT.format(match)}]}}" for match in _MATCHES),
    "{host: client, limits: [{name: theirs, source: {workload: {prefix: a}, namespace: b}, requests: 5}, "
    "{name: all, requests: 9}]}",
)

# ── EnvoyFilter ───────────────────────────────────────────────────────────────────────────────────────────────────────

_HCM: Final = "envoy.filters.network.http_connection_manager"
_CORS: Final = "envoy.filters.http.cors"
_FILTER: Final = """name: mine
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 9}"""
_INSPECTOR: Final = """name: mine
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}"""
_TCP: Final = """name: mine
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: mine
          cluster: BlackHoleCluster"""
_ROUTE: Final = "name: mine, match: {path: /mine}, direct_response: {status: 404}"
_PORT_CHAIN: Final = "{destinationPort: 9080}"


def patch(apply_to: str, operation: str, match: str = "", value: str = "", more: str = "priority: 0") -> str:
    """The spec of one patch."""
    return f"""{more}
  configPatches:
  - applyTo: {apply_to}
    match: {{{match}}}
    patch:
      operation: {operation}
      value:
        {value or "{}"}
"""


def _in_hcm(name: str) -> str:
    return f"listener: {{filterChain: {{filter: {{name: {_HCM}, subFilter: {{name: {name}}}}}}}}}"


FILTERS: Final = (
    patch("CLUSTER", "MERGE", "context: ANY, cluster: {service: web.test, subset: v1}", "{connect_timeout: 9s}",
          "workloadSelector: {labels: {app: client}}\n  priority: 1"),
    patch("CLUSTER", "MERGE", "cluster: {name: 'outbound|80||web.test'}", "{connect_timeout: 9s}"),
    patch("CLUSTER", "ADD", "context: SIDECAR_OUTBOUND", "{name: more, connect_timeout: 1s}"),
    patch("CLUSTER", "REMOVE", "context: GATEWAY, cluster: {service: db.test}"),
    patch("CLUSTER", "MERGE", "context: SIDECAR_INBOUND", "{connect_timeout: 9s}"),
    patch("CLUSTER", "MERGE", "proxy: {proxyVersion: '^1.2'}", "{connect_timeout: 9s}"),
    patch("CLUSTER", "MERGE", "proxy: {metadata: {ZONE: a}}", "{connect_timeout: 9s}"),
    patch("CLUSTER", "MERGE", "cluster: {portNumber: 80}", "{connect_timeout: 9s}"),
    patch("LISTENER", "REMOVE", "listener: {portNumber: 15006}"),
    patch("FILTER_CHAIN", "MERGE", "listener: {filterChain: {name: 'inbound|9080||'}}", "{name: other}"),
    patch("VIRTUAL_HOST", "MERGE", "routeConfiguration: {vhost: {name: 'web.test:80'}}", "{name: other}"),
    patch("LISTENER", "MERGE", "context: SIDECAR_OUTBOUND, listener: {name: virtualOutbound, portNumber: 15001}",
          "{per_connection_buffer_limit_bytes: 9}"),
    patch("LISTENER", "REMOVE", "listener: {name: virtualOutbound}"),
    patch("FILTER_CHAIN", "MERGE", f"listener: {{filterChain: {_PORT_CHAIN}}}", "{name: other}"),
    patch("FILTER_CHAIN", "MERGE", "listener: {filterChain: {applicationProtocols: 'http/1.1,h2c'}}", "{name: other}"),
    patch("FILTER_CHAIN", "ADD", "listener: {name: virtualInbound}",
          "{name: plain, filter_chain_match: {transport_protocol: raw_buffer, server_names: [a.test]}}"),
    patch("LISTENER_FILTER", "INSERT_FIRST", "context: SIDECAR_OUTBOUND, listener: {name: virtualOutbound}", _INSPECTOR),
    patch("LISTENER_FILTER", "REMOVE", "listener: {listenerFilter: nosuch}"),
    patch("NETWORK_FILTER", "INSERT_BEFORE", f"listener: {{filterChain: {{filter: {{name: {_HCM}}}}}}}", _TCP),
    patch("NETWORK_FILTER", "REPLACE", f"listener: {{filterChain: {{filter: {{name: {_HCM}}}}}}}", _TCP),
    patch("HTTP_FILTER", "INSERT_AFTER", _in_hcm(_CORS), _FILTER),
    patch("HTTP_FILTER", "INSERT_BEFORE", f"context: SIDECAR_INBOUND, {_in_hcm('envoy.filters.http.router')}", _FILTER),
    patch("ROUTE_CONFIGURATION", "MERGE", "routeConfiguration: {name: http_proxy}", "{response_headers_to_remove: [x-a]}"),
    patch("ROUTE_CONFIGURATION", "MERGE", "routeConfiguration: {portNumber: 80}", "{response_headers_to_remove: [x-a]}"),
    patch("VIRTUAL_HOST", "MERGE", "routeConfiguration: {vhost: {name: 'web.test:80'}}", "{domains: [x.test]}"),
    patch("VIRTUAL_HOST", "MERGE_AND_REPLACE_LIST", "routeConfiguration: {vhost: {domainName: web.test}}",
          "{domains: [x.test]}"),
    patch("HTTP_ROUTE", "INSERT_FIRST", "routeConfiguration: {vhost: {name: 'web.test:80'}}", f"{{{_ROUTE}}}"),
    patch("HTTP_ROUTE", "REMOVE", "routeConfiguration: {vhost: {route: {name: rest}}}"),
    *(patch("HTTP_ROUTE", "MERGE", f"routeConfiguration: {{vhost: {{route: {{action: {each.value}}}}}}}",
            "{response_headers_to_remove: [x-a]}") for each in RouteAction),
)  # fmt: skip
# With a chain that only another patch has made.
_PLAIN: Final = patch("FILTER_CHAIN", "ADD", "listener: {name: virtualInbound}",
                      "{name: plain, filter_chain_match: {transport_protocol: raw_buffer, "
                      "server_names: [a.test]}}")  # fmt: skip
PATCHED: Final = tuple(
    _PLAIN + patch("FILTER_CHAIN", "MERGE", f"listener: {{filterChain: {{{match}}}}}", "{name: other}").partition("\n")[2]
    .partition("\n")[2]
    for match in ("sni: a.test", "transportProtocol: raw_buffer")
)  # fmt: skip

# Of two that say the same, the later counts.
ORDERED: Final = "---\n".join(
    document(
        "EnvoyFilter", patch("CLUSTER", "MERGE", "", f"{{connect_timeout: {seconds}s}}", f"priority: {priority}"), name
    )
    for name, seconds, priority in (("one", 7, 5), ("two", 8, 1))
)

DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "MeshConfig": (
        *(document("MeshConfig", spec) for spec in MESH),
        document("MeshConfig", _PROVIDERS) + "---\n" + _METRICS,
    ),
    "Telemetry": tuple(
        document("MeshConfig", _PROVIDERS) + "---\n" + document("Telemetry", spec) for spec in TELEMETRY
    ),
    "WorkloadGroup": tuple(document("WorkloadGroup", spec, "members") for spec in GROUP),
    "ProxyConfig": tuple(document("ProxyConfig", spec) for spec in PROXY),
    "RateLimit": tuple(document("RateLimit", spec) for spec in LIMITS),
    "EnvoyFilter": (*(document("EnvoyFilter", spec) for spec in (*FILTERS, *PATCHED)), ORDERED),
}
