"""What holds for the whole mesh, or for all that a client does: each is a world of its own, in which a few calls are made."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import OURS, Case, document, to

V1: Final = f"{{{to('v1')}}}"
PINGS: Final = "{probes: 3, time: 60s, interval: 5s}"
RETRIES: Final = (
    "{attempts: 2, retryOn: '503', perTryTimeout: 2s, backoff: 2ms, retryIgnorePreviousHosts: false, "
    "retryRemoteLocalities: true}"
)
TAGS: Final = (
    "{team: {literal: {value: shop}}, user: {header: {name: end-user, defaultValue: nobody}}, "
    "zone: {environment: {name: ZONE, defaultValue: z1}}, line: {formatter: {value: '%RESPONSE_CODE%'}}}"
)
# Services of which something shows only if others say nothing.
NAMED: Final = document(
    "ServiceEntry", "hosts: [names.$HOST], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS, endpoints: $ENDS",
    "$NAME-names",
)  # fmt: skip
UNTOLD: Final = document(
    "ServiceEntry", "hosts: [untold.$HOST], addresses: [10.99.5.1], ports: [{number: 7000, name: odd}], resolution: STATIC, "
    "endpoints: [{address: $A1}]", "$NAME-untold",
)  # fmt: skip
SPREAD: Final = (
    document("ServiceEntry", "hosts: [spread.$HOST], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, "
             "endpoints: [{address: $A1, locality: a/a-1/x, labels: {app: other}}, "
             "{address: $A2, locality: b/b-1, labels: {app: client}}, {address: $A3, locality: c}]", "$NAME-spread")
    + "---\n" + document("DestinationRule", "host: spread.$HOST, trafficPolicy: {outlierDetection: {interval: 1s}}", "$NAME-spread")
)  # fmt: skip
# What changes with the settings of the mesh, and has to be taken by a proxy that has it with others.
ANY: Final = document(
    "ServiceEntry", "hosts: ['*.any.$HOST'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DYNAMIC_DNS",
    "$NAME-any",
)  # fmt: skip
IN_TURNS: Final = document(
    "ServiceEntry", "hosts: [turns.$HOST], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS_ROUND_ROBIN, "
    "endpoints: [{address: $A2, ports: {http: $P2}}]", "$NAME-turns",
)  # fmt: skip
OTHERS: Final = "---\n".join((
    document("ServiceEntry", "hosts: [others.$HOST], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, "
             "endpoints: $ENDS", "$NAME, namespace: other"),
    document("VirtualService", "hosts: [shared.$HOST], http: [{directResponse: {status: 418}}]", "$NAME, namespace: other"),
    document("DestinationRule", "host: others.$HOST, trafficPolicy: {loadBalancer: {simple: RANDOM}}", "$NAME, namespace: other"),
))  # fmt: skip


def mesh(world: str, spec: str, *more: str, **expected: object) -> Case:
    """A case of a MeshConfig."""
    documents = "---\n".join((document("MeshConfig", spec, "mesh", OURS), *more))
    return Case(f"mesh settings, {world}", V1, more=documents, world=world, **expected)  # type: ignore[arg-type]


def also(world: str, name: str, rules: str = "", **expected: object) -> Case:
    """Another call in a world."""
    return Case(f"{name}, {world}", rules, world=world, bare=not rules, **expected)  # type: ignore[arg-type]


def normalised(kind: str, path: str, **expected: object) -> Case:
    sees = {"sees": {"path": path}} if path else {}
    return mesh(f"paths {kind}", f"pathNormalization: {{normalization: {kind}}}", path="/a//b/../c%2Fd",
                **{**sees, **expected})  # fmt: skip


MESHES: Final = (
    mesh("strict",
         "outboundTrafficPolicy: {mode: REGISTRY_ONLY}, connectTimeout: 3s, dnsRefreshRate: 9s, protocolDetectionTimeout: 200ms, "
         f"tcpKeepalive: {PINGS}, defaultHttpRetryPolicy: {RETRIES}, localityLbSetting: {{failover: [{{from: a, to: c}}]}}, "
         "accessLogFile: /dev/stderr, accessLogEncoding: JSON, accessLogFormat: '{\"mine\": \"%RESPONSE_CODE% %REQ(X-CASE)%\"}', "
         f"defaultConfig: {{tracing: {{sampling: 12.5, customTags: {TAGS}, maxPathTagLength: 99}}, "
         "gatewayTopology: {numTrustedProxies: 2}, concurrency: 2, proxyMetadata: {A: b}, drainDuration: 20s, "
         "terminationDrainDuration: 9s}",
         NAMED, UNTOLD, SPREAD, ANY, headers={"x-answer": "503"}, status=503, sees={"x-envoy-attempt-count": "3"},
         logs='{"mine":"503 mesh settings, strict '),
    also("strict", "a host that nobody declared", authority="nobody.example.net", to="", status=502),
    mesh("upgraded", "h2UpgradePolicy: UPGRADE, outboundTrafficPolicy: {mode: ALLOW_ANY}, enableTracing: false, "
         "accessLogFile: /dev/stderr, accessLogEncoding: TEXT, "
         "accessLogFormat: '{\"its\": \"%RESPONSE_CODE% %REQ(X-CASE)%\"}\n'",
         ANY, to="", status=502, logs='{"its": "502 mesh settings, upgraded '),
    mesh("headers", "defaultConfig: {fileFlushInterval: 2s, proxyHeaders: {server: {disabled: true}, requestId: {disabled: true}, "
         "attemptCount: {disabled: true}, envoyDebugHeaders: {disabled: true}, preserveHttp1HeaderCase: true, "
         "xForwardedHost: {enabled: true}, xForwardedPort: {enabled: true}}}", sees={"x-envoy-attempt-count": None}),
    mesh("a server's name", "defaultConfig: {proxyHeaders: {server: {value: mine}}}", gets={"server": "mine"}),
    mesh("without effect", "inboundTrafficPolicy: {mode: PASSTHROUGH}, serviceSettings: [{settings: {clusterLocal: false}, "
         "hosts: ['*.local']}], defaultConfig: {proxyStatsMatcher: {inclusionPrefixes: [b], inclusionSuffixes: [b], "
         "inclusionRegexps: [b]}}"),
    mesh("shared out", "localityLbSetting: {distribute: [{from: a/*, to: {b: 100}}]}", SPREAD, to="", status=503),
    also("shared out", "a name that is looked up in turns", more=IN_TURNS, authority="turns.$HOST", to="v2"),
    mesh("told", "h2UpgradePolicy: DO_NOT_UPGRADE, localityLbSetting: {failoverPriority: [app]}, "
         "defaultServiceExportTo: ['.'], defaultVirtualServiceExportTo: ['.'], defaultDestinationRuleExportTo: ['.'], "
         "defaultConfig: {tracing: {enableIstioTags: false}}", SPREAD),
    also("told", "a host of another namespace", more=OTHERS, authority="others.$HOST", to="", status=502),
    mesh("rooted", "rootNamespace: roots, localityLbSetting: {enabled: false}, defaultDestinationRuleExportTo: ['.']", SPREAD, OTHERS,
         document("Telemetry", "accessLogging: [{disabled: true}]", "mesh, namespace: roots", "telemetry.istio.io/v1")),
    normalised("DEFAULT", "/a//c%2Fd"),
    normalised("NONE", "/a//b/../c%2Fd"),
    normalised("BASE", "/a//c%2Fd"),
    normalised("MERGE_SLASHES", "/a/c%2Fd"),
    normalised("DECODE_AND_MERGE_SLASHES", "/a/c/d"),
)  # fmt: skip

CLIENT: Final = "workloadSelector: {labels: {app: client}}"
SCOPES: Final = (
    Case("a proxy that is told of little", V1, world="scoped",
         more=document("Sidecar", f"{CLIENT}, egress: [{{hosts: [./$HOST]}}], outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}")),
    also("scoped", "a host that is not imported", authority="c000.example.com", to="", status=502),
    Case("a proxy whose unknown traffic goes to another", V1, world="by a proxy", to="v2", authority="unknown.example.net",
         more=document("Sidecar", f"{CLIENT}, outboundTrafficPolicy: {{mode: ALLOW_ANY, egressProxy: {{host: $HOST, "
                       "subset: v2, port: {number: 80}}}")),
)  # fmt: skip

# ── what is logged, traced and counted ────────────────────────────────────────────────────────────────────────────────

TELEMETRY: Final = "telemetry.istio.io/v1"
COLLECTOR: Final = document(
    "ServiceEntry", "hosts: [collector.$HOST], ports: [{number: 4317, name: grpc, protocol: GRPC}, "
    "{number: 4318, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: $A1, ports: {http: $P1, grpc: $P1}}]",
    "$NAME-collector",
)  # fmt: skip
PROVIDERS: Final = (
    'extensionProviders: [{name: mine, envoyFileAccessLog: {path: /dev/stderr, logFormat: {text: "mine %REQ(X-CASE)%\\n"}}}, '
    "{name: parts, envoyFileAccessLog: {path: /dev/stderr, omitEmptyValues: true, logFormat: {labels: {of: '%REQ(X-CASE)%', "
    "no: '%REQ(X-NO)%'}}}}, "
    "{name: spans, opentelemetry: {service: collector.$HOST, port: 4318, maxTagLength: 77, http: {path: /v1/traces, "
    "timeout: 3s}, serviceAttributeEnrichment: ISTIO_CANONICAL}}, "
    "{name: calls, opentelemetry: {service: collector.$HOST, port: 4317, grpc: {timeout: 4s}}}, "
    "{name: counts, prometheus: {}}]"
)


def told(world: str, spec: str, *more: str, **expected: object) -> Case:
    """A case of a Telemetry resource of the client."""
    documents = "---\n".join(
        (document("Telemetry", f"selector: {{matchLabels: {{app: client}}}}, {spec}", group=TELEMETRY), *more)
    )
    return Case(f"telemetry, {world}", V1, more=documents, world=world, **expected)  # type: ignore[arg-type]


def metric(name: str, mode: str) -> str:
    return f"{{match: {{metric: {name}, mode: {mode}}}, disabled: true}}"


METRICS: Final = (
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
)
TCP_METRICS: Final = ("TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES")
SEEN: Final = (
    told("of a client", "accessLogging: [{match: {mode: CLIENT}, providers: [{name: mine}], "
         "filter: {expression: 'response.code == 200'}}], "
         f"tracing: [{{match: {{mode: CLIENT}}, providers: [{{name: spans}}], randomSamplingPercentage: 5, customTags: {TAGS}}}], "
         f"metrics: [{{overrides: [{', '.join(metric(name, 'CLIENT') for name in METRICS)}, "
         "{match: {metric: REQUEST_COUNT, mode: CLIENT}, tagOverrides: {host: {operation: UPSERT, value: request.host}, "
         "response_flags: {operation: REMOVE}}}]}]",
         document("MeshConfig", PROVIDERS, "mesh", OURS), COLLECTOR, logs="mine telemetry, of a client "),
    told("of a server", "accessLogging: [{match: {mode: SERVER}, providers: [{name: parts}]}], "
         "tracing: [{match: {mode: SERVER}, providers: [{name: calls}], enableIstioTags: false}], "
         "metrics: [{providers: [{name: counts}], overrides: [{match: {metric: ALL_METRICS, mode: SERVER}, disabled: true}]}, "
         "{providers: [{name: calls}], overrides: [{match: {metric: REQUEST_COUNT, mode: CLIENT}, disabled: true}]}]",
         document("MeshConfig", PROVIDERS, "mesh", OURS), COLLECTOR),
    told("of connections", "tracing: [{customTags: {line: {formatter: {value: '%RESPONSE_CODE%'}}}, "
         "useRequestIdForTraceSampling: false}], metrics: [{reportingInterval: 7s, overrides: ["
         + ", ".join(metric(name, "CLIENT") for name in TCP_METRICS) + "]}]"),
    told("of both", "accessLogging: [{match: {mode: CLIENT_AND_SERVER}, disabled: true}], "
         "tracing: [{match: {mode: CLIENT_AND_SERVER}, disableSpanReporting: true}], "
         "metrics: [{overrides: [{match: {metric: REQUEST_COUNT, mode: CLIENT_AND_SERVER}, disabled: true}]}]"),
    mesh("providers by default", f"{PROVIDERS}, defaultProviders: {{accessLogging: [parts], tracing: [calls], metrics: [counts]}}",
         COLLECTOR, logs='"of":"mesh settings, providers by default '),
)  # fmt: skip

CASES: Final = (*MESHES, *SCOPES, *SEEN)
