"""What services are: ServiceEntries and WorkloadEntries, and Kubernetes' Services with what is read beside them."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import Case, document

HTTP: Final = "ports: [{number: 80, name: http, protocol: HTTP}]"


def entry(name: str, spec: str, *more: str, **expected: object) -> Case:
    """A case of a ServiceEntry."""
    documents = "---\n".join((document("ServiceEntry", f"hosts: [$HOST], {spec}"), *more))
    return Case(name, more=documents, bare=True, **{"to": "v1 v2 v3", **expected})  # type: ignore[arg-type]


def spoken(protocol: str, **expected: object) -> Case:
    return entry(f"a port that speaks {protocol}", f"ports: [{{number: 80, name: $NAME, protocol: {protocol}}}], "
                 "resolution: STATIC, endpoints: [{address: $A1, ports: {$NAME: $P1}}]", **expected)  # fmt: skip


def at(locality: str, number: int, label: str = "other") -> str:
    return f"{{address: $A{number}, locality: {locality}, labels: {{app: {label}}}, ports: {{http: $P{number}}}}}"


def placed(name: str, setting: str, to: str, *ends: str, field: str = "localityLbSetting") -> Case:
    """A case of endpoints in places, the client being in a/a-1/x."""
    policy = f"{{{field}: {{{setting}}}}}"
    return Case(
        name, bare=True, to=to,
        more=document("ServiceEntry", f"hosts: [$HOST], {HTTP}, resolution: STATIC, location: MESH_INTERNAL, "
                      f"endpoints: [{', '.join(ends)}]") + "---\n"
        + document("DestinationRule", f"host: $HOST, trafficPolicy: {{loadBalancer: {policy}, outlierDetection: {{interval: 1s}}}}"),
    )  # fmt: skip


NEAR_AND_FAR: Final = (at("a/a-1/x", 1), at("b/b-1", 2, "client"), at("c", 3))

WORKLOAD: Final = document(
    "WorkloadEntry", "address: $A2, ports: {http: $P2}, labels: {app: $NAME}, locality: a/a-1, weight: 3"
)
ENTRIES: Final = (
    entry("endpoints that are given", f"{HTTP}, resolution: STATIC, endpoints: $ENDS"),
    entry("a service outside", f"{HTTP}, resolution: STATIC, location: MESH_EXTERNAL, endpoints: $ENDS"),
    entry("a service inside", f"{HTTP}, resolution: STATIC, location: MESH_INTERNAL, endpoints: $ENDS"),
    entry("names that are looked up", f"{HTTP}, resolution: DNS, endpoints: $ENDS"),
    entry("a name that is looked up in turns", f"{HTTP}, resolution: DNS_ROUND_ROBIN, "
          "endpoints: [{address: $A2, ports: {http: $P2}}]", to="v2"),
    Case("names that requests bring", bare=True, authority="a.$HOST", to="", status=503,
         more=document("ServiceEntry", f"hosts: ['*.$HOST'], {HTTP}, resolution: DYNAMIC_DNS")),
    entry("wherever it goes", f"{HTTP}, resolution: NONE", to="", status=503),
    entry("a service with addresses", f"{HTTP}, resolution: STATIC, addresses: [10.99.1.1], endpoints: $ENDS"),
    entry("a service by its address", f"{HTTP}, resolution: STATIC, addresses: [10.99.1.2], endpoints: $ENDS",
          authority="10.99.1.2"),
    entry("a service for others", f"{HTTP}, resolution: STATIC, exportTo: [other], endpoints: $ENDS", to="", status=502),
    entry("a port that is another one there", "ports: [{number: 80, name: http, protocol: HTTP, targetPort: $P3}], "
          "resolution: STATIC, endpoints: [{address: $A3}]", to="v3"),
    entry("shares of endpoints", f"{HTTP}, resolution: STATIC, endpoints: [{{address: $A1, weight: 1, ports: {{http: $P1}}}}, "
          "{address: $A2, weight: 100, ports: {http: $P2}}]", to="v1 v2"),
    entry("workloads that are picked", f"{HTTP}, resolution: STATIC, workloadSelector: {{labels: {{app: $NAME}}}}",
          WORKLOAD, to="v2"),
    spoken("HTTP", to="v1"),
    *(spoken(protocol, to="", status=502) for protocol in ("HTTP2", "GRPC", "GRPC-WEB")),
    *(spoken(protocol, to="", status=502) for protocol in ("HTTPS", "TLS", "TCP", "MONGO", "MYSQL", "REDIS")),
)  # fmt: skip
PLACES: Final = (
    placed("the region that takes over", "failover: [{from: a, to: c}]", "v1", *NEAR_AND_FAR),
    placed("shares of places", "distribute: [{from: a/*, to: {b: 100}}]", "v2", *NEAR_AND_FAR),
    placed("places are alike", "enabled: false", "v1 v2 v3", *NEAR_AND_FAR),
    placed("by labels", "failoverPriority: [app]", "v2", *NEAR_AND_FAR),
    placed(
        "the own region, zones alike", "failover: [{from: a, to: c}]", "v1", *NEAR_AND_FAR, field="zoneAwareLbSetting"
    ),
    placed("labels, zones alike", "failoverPriority: [app]", "v2", *NEAR_AND_FAR, field="zoneAwareLbSetting"),
)


# ── Kubernetes ────────────────────────────────────────────────────────────────────────────────────────────────────────

ANYBODY: Final = "$NAME.default.svc.cluster.local"


def service(name: str, spec: str, *more: str, **expected: object) -> Case:
    """A case of a Service, asked by its short name."""
    documents = [document("Service", spec, group="v1"), *more]
    settings = {"to": "v1", "authority": "$NAME", **expected}
    return Case(name, more="---\n".join(documents), bare=True, **settings)  # type: ignore[arg-type]


def slice_of(rest: str, kind: str = "IPv4") -> str:
    head = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
    meta = "metadata: {name: $NAME-1, labels: {kubernetes.io/service-name: $NAME}}\n"
    return f"{head}{meta}addressType: {kind}\n{rest}\n"


def picked(number: int, labels: str = "app: $NAME") -> str:
    return document("WorkloadEntry", f"address: $A{number}, ports: {{main: $P{number}, http: $P{number}}}, labels: {{{labels}}}",
                    f"$NAME-{number}")  # fmt: skip


_POD: Final = "containers: [{ports: [{containerPort: $P1, name: main}]}]"
_TEMPLATE: Final = f"template: {{metadata: {{labels: {{app: $NAME}}}}, spec: {{{_POD}}}}}"
_BARE: Final = document("WorkloadEntry", "address: $A1, labels: {app: $NAME}", "$NAME-w")


def template(kind: str) -> Case:
    return service(
        f"a {kind} names the port", "selector: {app: $NAME}, ports: [{port: 80, name: http, targetPort: main}]",
        document(kind, f"selector: {{matchLabels: {{app: $NAME}}}}, {_TEMPLATE}", group="apps/v1"), _BARE,
    )  # fmt: skip


SLICE: Final = slice_of("endpoints: [{addresses: [$A1], zone: b, conditions: {ready: true}}, "
                        "{addresses: [$A2], conditions: {ready: false}}]\nports: [{name: http, port: $P1}]")  # fmt: skip
KUBERNETES: Final = (
    service("a service and who is picked", "selector: {app: $NAME}, ports: [{port: 80, name: http}]", picked(1)),
    service("a service and its full name", "selector: {app: $NAME}, ports: [{port: 80, name: http}]", picked(1),
            authority=ANYBODY),
    service("a target port", "selector: {app: $NAME}, ports: [{port: 80, name: http, targetPort: $P1}]", _BARE),
    service("a protocol that is said", "selector: {app: $NAME}, ports: [{port: 80, name: main, appProtocol: http}]", picked(1)),
    service("a protocol by the port's name", "selector: {app: $NAME}, ports: [{port: 80, name: tcp-x}]", picked(1), to="",
            status=502),
    service("endpoints of a slice", "ports: [{port: 80, name: http}]", SLICE),
    service("endpoints of a slice without names", "ports: [{port: 80}]",
            slice_of("endpoints: [{addresses: [$A1]}]\nports: [{port: $P1}]")),
    service("addresses of the new kind", "ports: [{port: 80, name: http}, {port: 81, name: http-b}]",
            slice_of("endpoints: [{addresses: ['::1']}]\nports: [{name: http, port: 9}, {name: http-b, port: 8}]", "IPv6"), to="", status=503),
    service("an external name", "type: ExternalName, externalName: $A2.nip.invalid, ports: [{port: 80, name: http}]", to="",
            status=503),
    service("an address of a service", "clusterIP: 10.99.2.1, selector: {app: $NAME}, ports: [{port: 80, name: http}]",
            picked(1), authority="10.99.2.1"),
    service("two addresses of a service", "clusterIPs: [10.99.2.2, 10.99.2.3], selector: {app: $NAME}, "
            "ports: [{port: 80, name: http}]", picked(1), authority="10.99.2.3"),
    service("no address", "clusterIP: None, selector: {app: $NAME}, ports: [{port: 80, name: http}]", picked(1)),
    service("one client, one endpoint", "sessionAffinity: ClientIP, selector: {app: $NAME}, ports: [{port: 80, name: http}]",
            picked(1)),
    service("any endpoint", "sessionAffinity: None, selector: {app: $NAME}, ports: [{port: 80, name: http}]", picked(1)),
    *(service(f"near endpoints, {name}", f"trafficDistribution: {name}, selector: {{app: $NAME}}, "
              "ports: [{port: 80, name: http}]",
              document("WorkloadEntry", "address: $A1, ports: {http: $P1}, labels: {app: $NAME}, locality: a/a-1/x", "$NAME-1"),
              document("WorkloadEntry", "address: $A2, ports: {http: $P2}, labels: {app: $NAME}, locality: b/b-1/x", "$NAME-2"))
      for name in ("PreferClose", "PreferSameZone", "PreferSameNode")),
    *(service(f"a service of type {name}", f"type: {name}, selector: {{app: $NAME}}, internalTrafficPolicy: Cluster, "
              "externalTrafficPolicy: Cluster, ports: [{port: 80, name: http, protocol: TCP}]", picked(1))
      for name in ("ClusterIP", "NodePort", "LoadBalancer")),
    *(service(f"so many of a {kind}", "selector: {app: $NAME}, ports: [{port: 80, name: http}]",
              document(kind, f"replicas: 20, selector: {{matchLabels: {{app: $NAME}}}}, template: {{metadata: {{labels: {{app: $NAME}}, "
                       f"annotations: {{sidecar.istio.io/inject: perhaps}}}}, spec: {{{_POD}}}}}", group="apps/v1"),
              document("DestinationRule", "host: $NAME, trafficPolicy: {outlierDetection: {interval: 1s}}"), to="", status=503)
      for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(template(kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    service("what is read beside them", "selector: {app: $NAME}, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: "
            "{timeoutSeconds: 9}}, ports: [{port: 80, name: http}]", picked(1),
            *(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: $NAME}}\n{rest}"
              for kind, rest in (("ConfigMap", "data: {a: b}\n"), ("Secret", "type: Opaque\n"), ("ServiceAccount", "")))),
    service("a Pod names the port", "selector: {app: $NAME}, ports: [{port: 80, name: http, targetPort: main}]",
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: $NAME, labels: {{app: $NAME}}}}\nspec: {{{_POD}}}\n", _BARE),
)  # fmt: skip

# ── what a proxy opens beside its app ─────────────────────────────────────────────────────────────────────────────────

_POOL: Final = (
    "{tcp: {maxConnections: 5, connectTimeout: 2s, tcpKeepalive: {probes: 3, time: 60s, interval: 5s}, "
    "maxConnectionDuration: 60s, idleTimeout: 9s}, http: {http1MaxPendingRequests: 4, http2MaxRequests: 6, "
    "maxRequestsPerConnection: 7, maxRetries: 2, idleTimeout: 8s, maxConcurrentStreams: 50, "
    "http2KeepAlive: {interval: 60s, timeout: 5s}}}"
)
_BESIDE: Final = "workloadSelector: {labels: {app: beside}}"


def scoped(name: str, spec: str) -> Case:
    """A case of a Sidecar of the workloads of `beside`, which is asked as before."""
    return Case(f"beside: {name}", more=document("Sidecar", f"{_BESIDE}, {spec}"), to="v1 v2 v3")


SIDECARS: Final = (
    scoped("unknown traffic passes", "outboundTrafficPolicy: {mode: ALLOW_ANY}"),
    scoped("idle connections of TCP", "inboundConnectionPool: {tcp: {idleTimeout: 9s}}"),
    Case("beside: faults beyond the router", to="v1 v2 v3",
         more=document("VirtualService", "hosts: [beside], http: [{fault: {at: upstream, abort: {httpStatus: 503, "
                       "percentage: {value: 100}}}, route: [{destination: {host: beside}}]}]", "beside")),
    scoped("all settings of connections", f"inboundConnectionPool: {_POOL}"),
    scoped("all settings of connections of HTTP/2", f"ingress: [{{port: {{number: 80, name: x, protocol: GRPC}}, "
           f"connectionPool: {_POOL}}}]"),
    *(scoped(f"a port that speaks {protocol}", f"ingress: [{{port: {{number: 80, name: x, protocol: {protocol}}}, "
             "defaultEndpoint: 127.0.0.1:8000, connectionPool: {tcp: {connectTimeout: 2s}}}]")
      for protocol in ("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "MYSQL", "REDIS")),
    *(scoped(f"ports and how they are reached, {mode}",
             f"egress: [{{port: {{number: 7000, name: y, protocol: HTTP}}, bind: 127.0.7.7, captureMode: {mode}, hosts: [./$HOST]}}, "
             "{hosts: ['./*']}], "
             f"ingress: [{{port: {{number: 7001, name: z, protocol: HTTP}}, bind: 127.0.7.8, captureMode: {mode}, "
             "defaultEndpoint: 127.0.0.1:8000}]")
      for mode in ("DEFAULT", "IPTABLES", "NONE")),
)  # fmt: skip

LIMITS: Final = (
    Case("beside: limits", to="v1 v2 v3",
         more=document("RateLimit", "host: beside, dryRun: true, limits: [{name: a, requests: 5, per: 9s, burst: 7, "
                       "source: {workload: {exact: client}, namespace: default}, match: [{uri: {prefix: /a}, "
                       "ignoreUriCase: true, scheme: {exact: http}, method: {regex: G.*}, authority: {prefix: b}, "
                       "headers: {x: {exact: a}}, withoutHeaders: {y: {exact: b}}, queryParams: {q: {exact: c}}}]}]",
                       group="mesh.asyncmesh.io/v1alpha1")),
)  # fmt: skip


def probed(name: str, check: str) -> str:
    return document(
        "WorkloadGroup", "metadata: {labels: {team: a}}, template: {ports: {http: 8000}, labels: {app: joined}, "
        "locality: a/a-1, weight: 3}, probe: {initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3, "
        f"successThreshold: 4, failureThreshold: 5, {check}}}", name,
    )  # fmt: skip


STARTS: Final = (
    *(Case(f"beside: members that are asked by {name}", to="v1 v2 v3", more=probed(group, check))
      for group, name, check in (("members", "HTTP", "httpGet: {port: 8000, path: /ready}"), ("$NAME", "TCP", "tcpSocket: {port: 8000}"),
                          ("$NAME", "a command", "exec: {command: [ls]}"), ("$NAME", "gRPC", "grpc: {port: 8000, service: s}"))),
    Case("beside: how other proxies start", to="v1 v2 v3",
         more=document("ProxyConfig", "selector: {matchLabels: {app: other}}, environmentVariables: {A: b}")),
    Case("beside: how proxies start", to="v1 v2 v3",
         more=document("ProxyConfig", "selector: {matchLabels: {app: client}}, concurrency: 2, environmentVariables: {A: b}")),
)  # fmt: skip

CASES: Final = (*ENTRIES, *PLACES, *KUBERNETES, *SIDECARS, *LIMITS, *STARTS)
