"""What Istio's webhook refuses is refused here, too: one example of each kind of mistake that its validation knows, in the
fields of the kinds that this mesh has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from mesh.errors import ConfigError
from mesh.istio.load import load

TO: Final = "route: [{destination: {host: a.b}}]"


def http(rule: str) -> str:
    return f"{{hosts: [a.b], http: [{{{rule}}}]}}"


def matched(match: str) -> str:
    return http(f"match: [{{{match}}}], {TO}")


def policy(fields: str) -> str:
    return f"{{host: a.b, trafficPolicy: {{{fields}}}}}"


def entry(fields: str, hosts: str = "a.b", ports: str = "{number: 80, name: http, protocol: HTTP}") -> str:
    return f"{{hosts: [{hosts}], ports: [{ports}], {fields}}}"


def server(hosts: str = "a.b", port: str = "number: 80, name: http, protocol: HTTP", more: str = "") -> str:
    return f"{{selector: {{istio: gw}}, servers: [{{hosts: ['{hosts}'], port: {{{port}}}{more and ', ' + more}}}]}}"


def egress(*listeners: str) -> str:
    return f"{{egress: [{', '.join(f'{{{each}}}' for each in listeners)}]}}"


def ingress(*listeners: str) -> str:
    return f"{{ingress: [{', '.join(f'{{{each}}}' for each in listeners)}]}}"


MISTAKES: Final[Mapping[str, Mapping[str, str]]] = {
    "VirtualService": {
        "nothing": "{}",
        "no routes": "{hosts: [a.b]}",
        "hosts within one another": f"{{hosts: ['*.a.b', '*.b'], http: [{{{TO}}}]}}",
        "a host of odd letters": f"{{hosts: ['a.b!c'], http: [{{{TO}}}]}}",
        "every host, for the mesh": f"{{hosts: ['*'], http: [{{{TO}}}]}}",
        "a gateway of odd letters": f"{{hosts: [a.b], gateways: ['g@teway'], http: [{{{TO}}}]}}",
        "all gateways of a namespace": f"{{hosts: [a.b], gateways: ['ns/*'], http: [{{{TO}}}]}}",
        "a gateway of all namespaces": f"{{hosts: [a.b], gateways: ['*/gw'], http: [{{{TO}}}]}}",
        "a rule that does nothing": http(""),
        "a destination that is none": http("route: [{}]"),
        "a destination without a host": http("route: [{destination: {}}]"),
        "a destination with a part of a wildcard": http("route: [{destination: {host: a.*}}]"),
        "a destination that is every host": http("route: [{destination: {host: '*'}}]"),
        "a destination with a slash": http("route: [{destination: {host: ns/a}}]"),
        "a port selector without a number": http("route: [{destination: {host: a.b, port: {}}}]"),
        "a weight below 0": http(
            "route: [{destination: {host: a.b}, weight: -1}, {destination: {host: c.d}, weight: 5}]"
        ),
        "weights of 0 only": http(
            "route: [{destination: {host: a.b}, weight: 0}, {destination: {host: c.d}, weight: 0}]"
        ),
        "a route and a redirect": http(f"{TO}, redirect: {{uri: /x}}"),
        "an empty redirect": http("redirect: {uri: '', authority: ''}"),
        "a redirect with a status below 300": http("redirect: {uri: /x, redirectCode: 299}"),
        "a redirect with a status above 399": http("redirect: {uri: /x, redirectCode: 400}"),
        "a direct response below 200": http("directResponse: {status: 199}"),
        "a direct response above 600": http("directResponse: {status: 601}"),
        "a direct response of more than 1 MiB": http(
            f"directResponse: {{status: 200, body: {{string: {'a' * (1024 * 1024 + 1)}}}}}"
        ),
        "a rewrite of nothing": http(f"{TO}, rewrite: {{}}"),
        "a rewrite in two ways": http(f"{TO}, rewrite: {{uri: /x, uriRegexRewrite: {{match: a, rewrite: b}}}}"),
        "a rewrite by no expression": http(f"{TO}, rewrite: {{uriRegexRewrite: {{rewrite: b}}}}"),
        "a rewrite to nothing": http(f"{TO}, rewrite: {{uriRegexRewrite: {{match: a}}}}"),
        "a rewrite by a broken expression": http(f"{TO}, rewrite: {{uriRegexRewrite: {{match: '[', rewrite: '['}}}}"),
        "the authority in two ways": http(
            f"{TO}, rewrite: {{authority: x}}, headers: {{request: {{set: {{':authority': y}}}}}}"
        ),
        "a header without a name, added": http(f"{TO}, headers: {{request: {{add: {{'': x}}}}}}"),
        "a header without a name, set": http(f"{TO}, headers: {{response: {{set: {{'': x}}}}}}"),
        "a header without a name, removed": http(f"{TO}, headers: {{response: {{remove: ['']}}}}"),
        "a pseudo-header removed": http(f"{TO}, headers: {{request: {{remove: [':path']}}}}"),
        "a value with a lone %": http(f"{TO}, headers: {{response: {{set: {{x: abc%def}}}}}}"),
        "a header to match, of odd letters": matched("headers: {'illegal\"char': {exact: x}}"),
        "a header to match, colons only": matched("headers: {'::': {exact: x}}"),
        "a header to begin with nothing": matched("headers: {x: {prefix: ''}}"),
        "a broken expression": matched("uri: {regex: '['}"),
        "a method for CORS that is none": http(f"{TO}, corsPolicy: {{allowMethods: [GET, PUTT]}}"),
        "a header for CORS without a name": http(f"{TO}, corsPolicy: {{exposeHeaders: ['']}}"),
        "an origin that is nothing": http(f"{TO}, corsPolicy: {{allowOrigins: [{{exact: ''}}]}}"),
        "an age below a millisecond": http(f"{TO}, corsPolicy: {{maxAge: 2.000000042s}}"),
        "an abort that is no status": http(f"{TO}, fault: {{abort: {{httpStatus: 9000}}}}"),
        "an abort below 200": http(f"{TO}, fault: {{abort: {{httpStatus: 100}}}}"),
        "an abort of less than none": http(f"{TO}, fault: {{abort: {{httpStatus: 503, percentage: {{value: -10}}}}}}"),
        "an abort with no status of gRPC": http(f"{TO}, fault: {{abort: {{grpcStatus: BAD_STATUS}}}}"),
        "a delay of more than all": http(f"{TO}, fault: {{delay: {{fixedDelay: 3s, percentage: {{value: 101}}}}}}"),
        "a delay below a millisecond": http(f"{TO}, fault: {{delay: {{fixedDelay: 3.000000042s}}}}"),
        "a fault that is none": http(f"{TO}, fault: {{}}"),
        "retries of none with conditions": http(f"{TO}, retries: {{attempts: 0, retryOn: 5xx}}"),
        "retries of none elsewhere": http(f"{TO}, retries: {{attempts: 0, retryRemoteLocalities: false}}"),
        "retries below 0": http(f"{TO}, retries: {{attempts: -1}}"),
        "a time for each try below a millisecond": http(f"{TO}, retries: {{attempts: 1, perTryTimeout: 0.000000999s}}"),
        "a back-off below a millisecond": http(f"{TO}, retries: {{attempts: 1, backoff: 0.000000999s}}"),
        "retries on what nobody knows": http(f"{TO}, retries: {{attempts: 1, retryOn: '5xx,whatever'}}"),
        "retries on no status": http(f"{TO}, retries: {{attempts: 1, retryOn: '600,connect-failure'}}"),
        "a time-out below a millisecond": http(f"{TO}, timeout: 0.000000999s"),
        "a mirror of more than all": http(f"{TO}, mirror: {{host: c.d}}, mirrorPercentage: {{value: 101}}"),
        "a mirror of less than none": http(f"{TO}, mirror: {{host: c.d}}, mirrorPercentage: {{value: -1}}"),
        "mirrors without a destination": http(f"{TO}, mirrors: [{{percentage: {{value: 1}}}}]"),
        "mirrors of more than all": http(
            f"{TO}, mirrors: [{{destination: {{host: c.d}}, percentage: {{value: 101}}}}]"
        ),
        "mirrors in two ways": http(f"{TO}, mirror: {{host: c.d}}, mirrors: [{{destination: {{host: c.d}}}}]"),
        "tcp without a route": "{hosts: [a.b], tcp: [{match: [{port: 999}]}]}",
        "tls without a route": "{hosts: [a.b], tls: [{match: [{port: 999, sniHosts: [a.b]}]}]}",
        "tls without a match": f"{{hosts: [a.b], tls: [{{{TO}}}]}}",
        "tls without names": f"{{hosts: [a.b], tls: [{{match: [{{port: 999}}], {TO}}}]}}",
        "a name with a wildcard within": f"{{hosts: [a.b], tls: [{{match: [{{sniHosts: [a.*.b]}}], {TO}}}]}}",
        "names beside those of the hosts": f"{{hosts: [a.b], tls: [{{match: [{{sniHosts: [c.d]}}], {TO}}}]}}",
        "a delegate and a route": http(f"delegate: {{name: x}}, {TO}"),
        "a part that delegates and has no hosts": f"{{gateways: [gw], http: [{{delegate: {{name: x}}}}, {{{TO}}}]}}",
        "exported twice": f"{{hosts: [a.b], exportTo: [ns, ns], http: [{{{TO}}}]}}",
        "exported to all and one": f"{{hosts: [a.b], exportTo: ['*', ns], http: [{{{TO}}}]}}",
        "exported to no namespace": f"{{hosts: [a.b], exportTo: ['b@d'], http: [{{{TO}}}]}}",
        "a claim of a JWT, without a gateway": matched("headers: {'@request.auth.claims.x': {exact: x}}"),
    },
    "DestinationRule": {
        "no host": "{host: ''}",
        "a subset without a name": "{host: a.b, subsets: [{name: '', labels: {v: a}}]}",
        "a subset twice": "{host: a.b, subsets: [{name: x, labels: {v: a}}, {name: x, labels: {v: b}}]}",
        "a subset with labels that are none": "{host: a.b, subsets: [{name: x, labels: {'.': '~'}}]}",
        "an empty policy": policy(""),
        "an empty pool": policy("connectionPool: {}"),
        "an empty pool of a subset": "{host: a.b, subsets: [{name: x, trafficPolicy: {connectionPool: {}}}]}",
        "a pool for requests and their protocol": policy(
            "connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}"
        ),
        "a pool with fewer than no connections": policy("connectionPool: {tcp: {maxConnections: -1}}"),
        "a time to connect below a millisecond": policy("connectionPool: {tcp: {connectTimeout: 2.000000005s}}"),
        "a time for connections below a millisecond": policy(
            "connectionPool: {tcp: {maxConnectionDuration: 0.0000005s}}"
        ),
        "fewer than no requests in a queue": policy("connectionPool: {http: {http1MaxPendingRequests: -1}}"),
        "fewer than no requests": policy("connectionPool: {http: {http2MaxRequests: -1}}"),
        "fewer than no requests of a connection": policy("connectionPool: {http: {maxRequestsPerConnection: -1}}"),
        "fewer than no retries": policy("connectionPool: {http: {maxRetries: -1}}"),
        "an idle time below a millisecond": policy("connectionPool: {http: {idleTimeout: 30.000000005s}}"),
        "fewer than no streams": policy("connectionPool: {http: {maxConcurrentStreams: -1}}"),
        "settings of no port": policy("portLevelSettings: [{loadBalancer: {simple: ROUND_ROBIN}}]"),
        "a cookie without a name": policy("loadBalancer: {consistentHash: {httpCookie: {ttl: 1h}}}"),
        "a Maglev table that is no prime": policy(
            "loadBalancer: {consistentHash: {httpHeaderName: x, maglev: {tableSize: 1000}}}"
        ),
        "an attribute of a cookie twice": policy(
            "loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1h, attributes: [{name: A}, {name: A}]}}}"
        ),
        "an attribute of a cookie without a name": policy(
            "loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1h, attributes: [{name: ''}]}}}"
        ),
        "localities in two ways": policy("loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}"),
        "shares and fail-over": policy(
            "loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {a/*: 100}}], failover: [{from: a, to: b}]}}, "
            "outlierDetection: {interval: 1s}"
        ),
        "shares that are not all": policy(
            "loadBalancer: {localityLbSetting: {distribute: [{from: a/*, to: {b/*: 50}}]}}"
        ),
        "fail-over to where it fails": policy(
            "loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}, outlierDetection: {interval: 1s}"
        ),
        "fail-over between zones": policy(
            "loadBalancer: {localityLbSetting: {failover: [{from: a/b, to: c/d}]}}, outlierDetection: {interval: 1s}"
        ),
        "an interval below a millisecond": policy("outlierDetection: {interval: 2.000000005s}"),
        "an ejection below a millisecond": policy("outlierDetection: {baseEjectionTime: 2.000000005s}"),
        "ejections of more than all": policy("outlierDetection: {maxEjectionPercent: 105}"),
        "a threshold below 0": policy("outlierDetection: {minHealthPercent: -1}"),
        "a threshold above all": policy("outlierDetection: {minHealthPercent: 101}"),
        "local failures that are not told apart": policy("outlierDetection: {consecutiveLocalOriginFailures: 10}"),
        "no verification, but authorities": policy("tls: {mode: SIMPLE, caCertificates: x, insecureSkipVerify: true}"),
        "no verification, but names": policy("tls: {mode: SIMPLE, subjectAltNames: [a.b], insecureSkipVerify: true}"),
        "a tunnel that is no protocol": policy("tunnel: {protocol: FTP, targetHost: a.b, targetPort: 80}"),
        "a budget of more than all": policy("retryBudget: {percent: 101}"),
        "an exact port twice": policy("portLevelSettings: [{port: {number: 0}}]"),
        "a warm-up of no time": policy("loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 0s}}"),
        "exported twice": "{host: a.b, exportTo: ['.', '.']}",
    },
    "ServiceEntry": {
        "no hosts": "{hosts: [], ports: [{number: 80, name: http}], resolution: DNS}",
        "a host that is a dash": entry("resolution: DNS", hosts="'-'"),
        "every host": entry("resolution: DNS", hosts="a.b, '*'"),
        "an endpoint's port that nobody declares": entry(
            "resolution: DNS, endpoints: [{address: c.d, ports: {other: 1}}]"
        ),
        "DNS for a wildcard": entry("resolution: DNS", hosts="'*.a.b'"),
        "DNS with a wildcard as its endpoint": entry("resolution: DNS, endpoints: [{address: '*.c.d'}]"),
        "DNS with a Unix socket": entry("resolution: DNS, endpoints: [{address: 'unix:///x'}]"),
        "endpoints without resolution": entry("resolution: NONE, endpoints: [{address: c.d}]"),
        "a name as a static endpoint": entry("resolution: STATIC, endpoints: [{address: c.d}]"),
        "a port's name twice": entry("resolution: NONE", ports="{number: 80, name: x}, {number: 81, name: x}"),
        "a port twice": entry("resolution: NONE", ports="{number: 80, name: x}, {number: 80, name: y}"),
        "a port that is none": entry("resolution: NONE", ports="{number: 66000, name: x}"),
        "a relative socket": entry("resolution: STATIC, endpoints: [{address: 'unix://./x'}]"),
        "a socket with ports": entry("resolution: STATIC, endpoints: [{address: 'unix:///x', ports: {http: 1}}]"),
        "a socket for two ports": entry(
            "resolution: STATIC, endpoints: [{address: 'unix:///x'}]",
            ports="{number: 80, name: x}, {number: 81, name: y}",
        ),
        "a selector and endpoints": entry("workloadSelector: {labels: {a: b}}, endpoints: [{address: 1.1.1.1}]"),
        "a selector of nothing": entry("workloadSelector: {labels: {'': b}}, resolution: STATIC"),
        "a target that is no port": entry("resolution: DNS", ports="{number: 80, name: x, targetPort: 65536}"),
        "an endpoint's port that is none": entry(
            "resolution: STATIC, endpoints: [{address: 1.1.1.1, ports: {http: 65536}}]"
        ),
        "one name after the other, of two": entry(
            "resolution: DNS_ROUND_ROBIN, endpoints: [{address: c.d}, {address: 1.1.1.2}]"
        ),
        "dynamic names by TCP": entry(
            "resolution: DYNAMIC_DNS", hosts="'*.a.b'", ports="{number: 81, name: x, protocol: TCP}"
        ),
        "dynamic names of one host": entry("resolution: DYNAMIC_DNS"),
        "dynamic names with endpoints": entry("resolution: DYNAMIC_DNS, endpoints: [{address: c.d}]", hosts="'*.a.b'"),
        "dynamic names with addresses": entry("resolution: DYNAMIC_DNS, addresses: [1.1.1.1]", hosts="'*.a.b'"),
        "an address that is none": entry("resolution: NONE, addresses: [x.y]"),
        "several hosts of one address": entry("resolution: STATIC, addresses: [1.1.1.300]"),
        "exported to nobody and all": entry("resolution: NONE, exportTo: ['~', '*']"),
    },
    "Gateway": {
        "nothing": "{selector: {istio: gw}}",
        "a server without a port": "{selector: {istio: gw}, servers: [{hosts: [a.b]}]}",
        "a server without hosts": "{selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}}]}",
        "hosts of no namespace": server("~/a.b"),
        "a wildcard within": server("a.*.b"),
        "a wildcard within, of a namespace": server("ns/a.*.b"),
        "half a wildcard": server("*a.b"),
        "a short name": server("foo"),
        "a port that is none": server(port="number: 66000, name: http, protocol: HTTP"),
        "a port without a number": server(port="name: http, protocol: HTTP"),
        "a port without a protocol": server(port="number: 80, name: http"),
        "a protocol that is none": server(port="number: 80, name: http, protocol: kafka"),
        "names of ports twice": (
            "{selector: {istio: gw}, servers: [{hosts: [a.b], port: {number: 80, name: x, protocol: HTTP}}, "
            "{hosts: [c.d], port: {number: 81, name: x, protocol: HTTP}}]}"
        ),
        "TLS without a certificate": server(port="number: 443, name: x, protocol: HTTPS", more="tls: {mode: SIMPLE}"),
        "HTTPS without TLS": server(port="number: 443, name: x, protocol: HTTPS"),
        "HTTP with TLS": server(more="tls: {mode: SIMPLE, credentialName: x}"),
        "bound to a name": server(more="bind: foo.bar"),
        "bound to a socket, with a port": server(more="bind: 'unix://@foo'"),
    },
    "WorkloadEntry": {
        "no address": "{}",
        "a socket with ports": "{address: 'unix:///x', ports: {x: 80}}",
        "a name with a port": "{address: 'a.b:80'}",
        "labels that are none": "{address: 1.1.1.1, labels: {'.': '~'}}",
    },
    "WorkloadGroup": {
        "no template": "{}",
        "labels that are none": "{template: {}, metadata: {labels: {'.': '~'}}}",
        "a probe of nothing": "{template: {}, probe: {}}",
        "a probe of no port": "{template: {}, probe: {httpGet: {}}}",
        "a TCP probe of no port": "{template: {}, probe: {tcpSocket: {}}}",
        "a probe by no command": "{template: {}, probe: {exec: {}}}",
    },
    "Sidecar": {
        "nothing": "{}",
        "a namespace that is none": egress("hosts: ['*/*', '~Invalid_NS/*']"),
        "a host without a namespace": egress("hosts: ['*']"),
        "a slash": egress("hosts: ['/']"),
        "half a wildcard": egress("hosts: ['ns/*a.b']"),
        "no hosts": egress("hosts: []"),
        "two for everything": egress("hosts: ['*/a.b']", "hosts: ['ns/c.d']"),
        "that for everything first": egress(
            "hosts: ['*/a.b']", "port: {number: 80, name: x, protocol: HTTP}, hosts: ['ns/c.d']"
        ),
        "a port that is none": egress("port: {number: 1000000, name: '', protocol: http1}, hosts: ['ns/a.b']"),
        "bound to what is no address": egress(
            "port: {number: 80, name: x, protocol: HTTP}, bind: 'foo:///x', hosts: ['ns/a.b']"
        ),
        "a port twice": egress(
            "port: {number: 90, name: x, protocol: HTTP}, hosts: ['ns/a.b']",
            "port: {number: 90, name: y, protocol: TCP}, hosts: ['ns/c.d']",
        ),
        "ingress without a port": ingress("defaultEndpoint: '127.0.0.1:110'"),
        "ingress of a port twice": ingress(
            "port: {number: 90, name: x, protocol: HTTP}, defaultEndpoint: '127.0.0.1:110'",
            "port: {number: 90, name: y, protocol: TCP}, defaultEndpoint: '127.0.0.1:110'",
        ),
        "ingress to another machine": ingress(
            "port: {number: 90, name: x, protocol: HTTP}, defaultEndpoint: '1.1.1.1:90'"
        ),
        "ingress to a port that is a word": ingress(
            "port: {number: 90, name: x, protocol: HTTP}, defaultEndpoint: '127.0.0.1:hi'"
        ),
        "ingress to no socket": ingress("port: {number: 90, name: x, protocol: HTTP}, defaultEndpoint: 'unix:///'"),
        "ingress with the mesh's own TLS": ingress(
            "port: {number: 90, name: x, protocol: HTTP}, defaultEndpoint: '127.0.0.1:91', tls: {mode: ISTIO_MUTUAL}"
        ),
        "an empty pool": "{inboundConnectionPool: {}}",
    },
    "Telemetry": {
        "samples of more than all": "{tracing: [{randomSamplingPercentage: 101}]}",
        "a provider without a name": "{metrics: [{providers: [{name: ''}]}]}",
        "a tag that is nothing": "{tracing: [{customTags: {x: {}}}]}",
        "a tag set to nothing": "{metrics: [{overrides: [{tagOverrides: {x: {operation: UPSERT, value: ''}}}]}]}",
        "a tag removed, to a value": "{metrics: [{overrides: [{tagOverrides: {x: {operation: REMOVE, value: y}}}]}]}",
    },
}
VERSIONS: Final = {"Telemetry": "telemetry.istio.io/v1"}


def mistakes() -> Iterator[object]:
    for kind, of_kind in MISTAKES.items():
        for what, spec in of_kind.items():
            yield pytest.param(kind, spec, id=f"{kind}: {what}")


@pytest.mark.parametrize(("kind", "spec"), list(mistakes()))
def test_it_is_refused_with_its_place(kind: str, spec: str) -> None:
    version = VERSIONS.get(kind, "networking.istio.io/v1")
    with pytest.raises(ConfigError) as refused:
        load(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n", "x.yaml")
    for problem in refused.value.problems:
        assert problem.field.startswith("spec") and (problem.line, problem.column) >= (4, 1), str(problem)
