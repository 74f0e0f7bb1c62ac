"""DestinationRules, and who is told of what."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import OURS, Case, document, to


def policy(name: str, text: str, **expected: object) -> Case:
    """A case of a trafficPolicy."""
    return Case(name, f"{{{to('v1')}}}", policy=text, **expected)  # type: ignore[arg-type]


def hashed(name: str, key: str, **expected: object) -> Case:
    """A case whose requests all go to one version, whichever it is."""
    text = f"{{loadBalancer: {{consistentHash: {{{key}}}}}}}"
    return Case(name, policy=text, to="v1 v2 v3", times=1, **expected)  # type: ignore[arg-type]


CASES: Final = (
    *(policy(f"balance by {name}", f"{{loadBalancer: {{simple: {name}}}}}")
      for name in ("UNSPECIFIED", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH")),
    policy("warm-up", "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 1s, minimumPercent: 50}}}"),
    policy("warm-up, the old way", "{loadBalancer: {warmupDurationSecs: 1s}}"),
    hashed("hash a header", "httpHeaderName: x", headers={"x": "a"}),
    hashed("hash a parameter", "httpQueryParameterName: q", path="/?q=1"),
    hashed("hash the address", "useSourceIp: true"),
    hashed("hash a cookie", "httpCookie: {name: c, ttl: 60s}"),
    hashed("hash with a small table", "httpHeaderName: x, maglev: {tableSize: 101}", headers={"x": "b"}),
    hashed("hash with a ring", "httpHeaderName: x, ringHash: {minimumRingSize: 64}", headers={"x": "c"}),
    policy("limits of connections", "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 1s}}}"),
    policy("limits of requests",
           "{connectionPool: {http: {http1MaxPendingRequests: 5, http2MaxRequests: 9, maxRetries: 1}}}"),
    policy("one request a connection", "{connectionPool: {http: {maxRequestsPerConnection: 1, idleTimeout: 2s}}}"),
    policy("TCP settings", "{connectionPool: {tcp: {tcpKeepalive: {probes: 3, time: 60s, interval: 5s}, idleTimeout: 3s, "
           "maxConnectionDuration: 60s}}}"),
    policy("outlier detection", "{outlierDetection: {consecutive5xxErrors: 5, interval: 1s, baseEjectionTime: 1s, "
           "maxEjectionPercent: 100, minHealthPercent: 10}}"),
    policy("outlier detection of gateways", "{outlierDetection: {consecutiveGatewayErrors: 2, consecutive5xxErrors: 0, "
           "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}}"),
    policy("retry budget", "{retryBudget: {percent: 30, minRetryConcurrency: 2}}"),
    policy("settings of a port", "{loadBalancer: {simple: RANDOM}, portLevelSettings: [{port: {number: 80}, "
           "loadBalancer: {simple: ROUND_ROBIN}}]}"),
    policy("all settings of a port", "{portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {connectTimeout: 2s}}, "
           "outlierDetection: {consecutive5xxErrors: 9}, tls: {mode: DISABLE}}]}"),
    policy("a ring, the old way", "{loadBalancer: {consistentHash: {httpHeaderName: x, minimumRingSize: 99}}}"),
    policy("a cookie with attributes", "{loadBalancer: {consistentHash: {httpCookie: {name: c, path: /, ttl: 5s, "
           "attributes: [{name: SameSite, value: Lax}]}}}}"),
    policy("warm-up with aggression", "{loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 9s, aggression: 2.5}}}"),
    policy("zones by themselves", "{loadBalancer: {zoneAwareLbSetting: {enabled: true, minClusterSize: 2}}}"),
    policy("no zones", "{loadBalancer: {zoneAwareLbSetting: {enabled: false}}}"),
    policy("which statuses are errors", "{outlierDetection: {outlierDetectionHttpErrorCodes: [429, 503]}}"),
    policy("errors of its own side apart", "{outlierDetection: {splitExternalLocalOriginErrors: true}}"),
    policy("the client's protocol", "{connectionPool: {http: {useClientProtocol: true}}}"),
    Case("streams and pings to a host that has no HTTP/2", f"{{{to('v1')}}}", to="", status=502,
         policy="{connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 50, "
                "http2KeepAlive: {interval: 60s, timeout: 5s}}}}"),
    *(policy(f"HTTP/2 by policy {name}", f"{{connectionPool: {{http: {{h2UpgradePolicy: {name}}}}}}}")
      for name in ("DEFAULT", "DO_NOT_UPGRADE")),
    Case("HTTP/2 to a host that has none", f"{{{to('v1')}}}", policy="{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}",
         to="", status=502),
    Case("a policy of a subset", f"{{{to('mine')}}}", to="v2",
         more=document("DestinationRule", "host: $HOST, workloadSelector: {matchLabels: {app: client}}, subsets: [{name: mine, "
                       "labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]", "$NAME-of-subset")),
    *(Case(f"a policy that {name}", f"{{{to('mine')}}}", bare=True,
           more=document("ServiceEntry", "hosts: [$HOST], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, "
                         "endpoints: $ENDS") + "---\n"
           + document("DestinationRule", f"host: $HOST, exportTo: [{exported}], subsets: [{{name: mine, labels: {{version: v3}}}}]",
                      "$NAME, namespace: istio-system"), **expected)
      for name, exported, expected in (("is exported", "default", {"to": "v3"}), ("is not", "other", {"to": "", "status": 503}))),
    policy("no TLS", "{tls: {mode: DISABLE}}"),
    policy("places, switched off",
           "{loadBalancer: {localityLbSetting: {enabled: false}}, outlierDetection: {interval: 1s}}"),
    policy("fail over",
           "{loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}, outlierDetection: {interval: 1s}}"),
    policy("shares", "{loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {'*': 100}}]}}}"),
    Case("exported to everybody", f"{{{to('v2')}}}", spec="exportTo: ['*']", to="v2"),
    Case("exported to the own namespace", f"{{{to('v2')}}}", spec="exportTo: ['.']", to="v2"),
    Case("exported by name", f"{{{to('v2')}}}", spec="exportTo: [default]", to="v2"),
    Case("exported to others", f"{{{to('v2')}}}", spec="exportTo: [other]", to="v1 v2 v3"),
    Case("exported to nobody", f"{{{to('v2')}}}", spec="exportTo: ['~']", to="v1 v2 v3"),
    Case("a private rule counts before an older one", f"{{{to('v1')}}}", to="v2",
         more=document("VirtualService", f"hosts: [$HOST], exportTo: ['.'], http: [{{{to('v2')}}}]", "$NAME-private")),
    Case("a rule for callers with a label", f"{{{to('mine')}}}", to="v3",
         more=document("DestinationRule", "host: $HOST, workloadSelector: {matchLabels: {app: client}}, "
                           "subsets: [{name: mine, labels: {version: v3}}]", "$NAME-for-clients")),
    Case("a rule for other callers", f"{{{to('mine')}}}", to="", status=503,
         more=document("DestinationRule", "host: $HOST, workloadSelector: {matchLabels: {app: other}}, "
                           "subsets: [{name: mine, labels: {version: v3}}]", "$NAME-for-others")),
    Case("a host that no service has", spec="hosts: [$HOST, also-$HOST]", rules=f"{{{to('v2')}}}", authority="also-$HOST",
         to="v2"),
    Case("a wildcard of hosts", spec="hosts: ['*.$HOST']", rules=f"{{{to('v3')}}}", authority="x.$HOST", to="v3"),
    Case("a three-state breaker that is closed", f"{{{to('v2')}}}", to="v2",
         more=document("CircuitBreaker", "host: $HOST, consecutiveFailures: 5, failureRate: 50, minimumRequests: 3, window: 9s, "
                       "openTime: 3s, halfOpenRequests: 2, slowCallRate: 80, slowCallDuration: 1s", group=OURS)),
    Case("a host that nobody declared", authority="nobody.example.net", to="", status=502),
)  # fmt: skip
