"""Worlds with something of everything that the API takes, for what must hold of any translation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from control_plane.world import AccessLogEncoding, Instance, MeshConfig, OutboundPolicy, Resolution, Service, World
from mesh.node import Locality, Node, ServicePort
from tests.simulation.worlds import gateway, grpc_client, instance, service, sidecar, transparent, world

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
BOOKINFO: Final = ("productpage", "details", "reviews", "ratings")

PORTS: Final = (
    ServicePort(9080),
    ServicePort(7000, "odd", "", 7001),
    ServicePort(5432, "db", "TCP"),
    ServicePort(50051, "grpc", "GRPC"),
)
NODES: Final[Mapping[str, Node]] = {
    "explicit": sidecar("reviews", *PORTS),
    "transparent": transparent("reviews", *PORTS),
    "client": Node("sidecar", "127.0.1.7", "client"),
    "gateway": gateway(),
    "grpc": grpc_client(),
}


def virtual_service(http: str, hosts: str = "[reviews]", more: str = "", name: str = "rules") -> str:
    """A VirtualService; `http` is one rule a line."""
    rules = "\n".join(f"  - {line.strip()}" for line in http.strip().splitlines())
    head = f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n"
    return f"{head}spec:\n  hosts: {hosts}\n{more}  http:\n{rules}\n"


def destination_rule(spec: str, name: str = "policy") -> str:
    head = f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {spec}\n"


_TO_REVIEWS: Final = "route: [{destination: {host: reviews}}]"

_ACTIONS: Final = virtual_service(f"""
    {{name: retried, match: [{{uri: {{exact: /retry}}, name: a}}], retries: {{attempts: 3, perTryTimeout: 1s, backoff: 5ms, retryOn: "5xx,503,409"}}, timeout: 10s, {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /never}}}}], retries: {{attempts: 0}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /again}}}}], retries: {{attempts: 1, retryIgnorePreviousHosts: false}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{prefix: /old/}}}}], rewrite: {{uri: /new/, authority: x.example}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{regex: "/v[0-9]+/.*"}}}}], rewrite: {{uriRegexRewrite: {{match: "^/v([0-9]+)/(.*)$", rewrite: '/\\2/\\1'}}}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{prefix: /r1}}}}], redirect: {{prefixRewrite: /r2, authority: a.b, port: 8443, scheme: https, redirectCode: 308}}}}
    {{match: [{{uri: {{exact: /r3}}}}], redirect: {{uri: /r4, derivePort: FROM_REQUEST_PORT, redirectCode: 307}}}}
    {{match: [{{uri: {{exact: /direct}}}}], directResponse: {{status: 503, body: {{string: "no %REQ(x)%"}}}}}}
    {{match: [{{uri: {{exact: /bytes}}}}], directResponse: {{status: 200, body: {{bytes: aGk=}}}}}}
    {{match: [{{headers: {{x: {{}}, y: {{regex: a.*}}}}, withoutHeaders: {{z: {{exact: b}}}}, queryParams: {{q: {{}}, r: {{prefix: s}}}}}}], {_TO_REVIEWS}}}
    {{match: [{{method: {{exact: PUT}}, scheme: {{prefix: h}}, authority: {{regex: ".*"}}, ignoreUriCase: true, uri: {{prefix: /I}}}}], {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /fault}}}}], fault: {{delay: {{fixedDelay: 5s, percentage: {{value: 0.1}}}}, abort: {{httpStatus: 555, percentage: {{value: 100}}}}}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /cors}}}}], corsPolicy: {{allowOrigins: [{{exact: "http://a"}}, {{regex: "http://.*"}}], allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /old-cors}}}}], corsPolicy: {{allowOrigin: ["*"]}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /grpc}}}}], fault: {{abort: {{grpcStatus: UNAVAILABLE, percentage: {{value: 50}}}}}}, {_TO_REVIEWS}}}
    {{match: [{{uri: {{exact: /old-percent}}}}], fault: {{delay: {{fixedDelay: 1ms, percent: 5}}}}, {_TO_REVIEWS}}}
    {{headers: {{request: {{set: {{a: "%REQ(x)%", Host: h.example}}, add: {{b: "100%%"}}, remove: [c]}}, response: {{set: {{d: e}}, remove: [f]}}}}, route: [{{destination: {{host: reviews, subset: v1}}, weight: 90, headers: {{request: {{set: {{":authority": w.example}}}}, response: {{add: {{g: h}}}}}}}}, {{destination: {{host: ratings, port: {{number: 9080}}}}, weight: 10}}, {{destination: {{host: nobody}}}}]}}
""")  # noqa: E501 - a rule a line

_POLICIES: Final = destination_rule("""
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: ROUND_ROBIN}
    connectionPool:
      tcp: {maxConnections: 10, connectTimeout: 250ms}
      http: {http1MaxPendingRequests: 5, http2MaxRequests: 20, maxRetries: 2, maxRequestsPerConnection: 7, idleTimeout: 9s}
    outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 0, interval: 1s, baseEjectionTime: 600s, maxEjectionPercent: 50, minHealthPercent: 20}
    portLevelSettings:
    - {port: {number: 7000}, loadBalancer: {simple: RANDOM}, tls: {mode: DISABLE}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      loadBalancer: {simple: LEAST_CONN}
      outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, consecutive5xxErrors: 0}
  - {name: empty, labels: {version: v9}, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1h, path: /, attributes: [{name: Secure}]}, maglev: {tableSize: 101}}}}}
""")  # noqa: E501

_GATEWAYS: Final = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*.example.com", "default/one.example.org"]}
  - {port: {number: 8081, name: more, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 8082, name: none, protocol: HTTP}, hosts: ["./nobody.example.org"]}
---
""" + "---\n".join(
    virtual_service(f"{{{rule}{_TO_REVIEWS}}}", hosts, "  gateways: [edge, mesh]\n", name)
    for name, hosts, rule in (
        ("a", "[a.example.com, b.example.com]", ""),
        ("b", "[a.example.com, one.example.org]", "match: [{uri: {prefix: /b}}], "),
        ("c", "['*.com']", "match: [{gateways: [edge]}, {sourceLabels: {app: x}}], "),
    )
)


def bookinfo(yaml: str = "", mesh: MeshConfig = MeshConfig()) -> World:  # noqa: B008 - frozen
    """The demo's four services; reviews in three versions, of which one is not well."""
    far = Locality("eu", "eu-1", "b")
    reviews = [
        instance("127.0.1.2", "v1", node_id=NODES["transparent"].id),
        instance("127.0.1.3", "v2", locality=far, weight=2**32 - 1),
        instance("127.0.1.4", "v3", healthy=False, locality=far, weight=2**32 - 1),
    ]
    return world(*map(service, BOOKINFO), yaml=yaml, instances={"reviews": reviews}, mesh=mesh)


def _everywhere() -> World:
    """Services of every kind that there is."""
    web, tls = ServicePort(80, "http"), ServicePort(443, "tls", "TLS")
    mixed = (ServicePort(80, "http"), ServicePort(9000, "odd", ""), ServicePort(50051, "grpc", "GRPC"))

    def entry(host: str, ports: tuple[ServicePort, ...], resolution: Resolution, *endpoints: Instance) -> Service:
        return Service(host, host, "default", ports, resolution, endpoints=endpoints)

    return world(
        service("reviews", *PORTS, addresses=("10.96.0.1", "fd00::1")),
        service("reviews", *PORTS, namespace="other"),
        service("db", ServicePort(5432, "db", "TCP"), addresses=("10.96.0.2", "10.97.0.0/16")),
        service("same", ServicePort(5432, "db", "TCP"), addresses=("10.96.0.2", "10.97.0.5/16", "0.0.0.0")),
        service("ours", ServicePort(15001, "x"), ServicePort(15006, "y", "TCP"), addresses=("10.96.0.3",)),
        service("none"),
        entry("*.example.com", (web, tls), Resolution.NONE),
        entry("plain.example.org", (web, tls), Resolution.NONE),
        entry("looked-up.example.org", mixed, Resolution.DNS),
        entry("two.example.org", (web,), Resolution.DNS, Instance("a.example", {80: 8080}), Instance("10.1.2.3", {})),
        entry("round.example.org", (web,), Resolution.DNS_ROUND_ROBIN),
        entry("UPPER.example.org", (web,), Resolution.DNS, Instance("b.example", {80: 80}, healthy=False)),
        yaml=_ACTIONS + "---\n" + _POLICIES,
        instances={
            "reviews": [
                instance("10.0.0.1", ports={9080: 9080, 7000: 7001, 5432: 5432}, node_id=NODES["transparent"].id),
                instance("10.0.0.1", ports={9080: 9080}, healthy=False),
                instance("fd00::2", "v2", ports={9080: 9080, 50051: 50051}),
                instance("not-an-address", ports={9080: 9080}),
            ],
        },
        mesh=MeshConfig(otlp_endpoint="http://collector.example:4318/v1/traces"),
    )


def scenarios() -> Mapping[str, World]:
    """By name."""
    found = {
        "nothing": world(),
        "no rules": bookinfo(),
        "actions": bookinfo(_ACTIONS),
        "policies": bookinfo(_POLICIES),
        "gateways": bookinfo(_GATEWAYS),
        "everywhere": _everywhere(),
        "quiet": bookinfo(mesh=MeshConfig(access_log_file="", enable_tracing=False, app_idle_timeout=0)),
        "json, strict": bookinfo(
            mesh=MeshConfig(
                access_log_encoding=AccessLogEncoding.JSON,
                outbound_policy=OutboundPolicy.REGISTRY_ONLY,
                otlp_endpoint="http://127.0.0.1/v1/traces",
            )
        ),
        "own format": bookinfo(mesh=MeshConfig(access_log_format="%START_TIME% %REQ(:PATH)%\n", sampling=1)),
    }
    for file in sorted([*EXAMPLES.glob("*/networking/*.yaml"), *EXAMPLES.glob("telemetry/*.yaml")]):
        found[f"{file.relative_to(EXAMPLES).parts[0]}/{file.name}"] = bookinfo(file.read_text())
    return found
