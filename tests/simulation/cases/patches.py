"""EnvoyFilters: what Envoy is told besides. Those that change all that a client does are in worlds of their own."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import Case, document, to

V1: Final = f"{{name: one, {to('v1')}}}"
HCM: Final = "envoy.filters.network.http_connection_manager"
ROUTER: Final = f"filterChain: {{filter: {{name: {HCM}, subFilter: {{name: envoy.filters.http.router}}}}}}"
TYPES: Final = "type.googleapis.com/envoy.extensions.filters"


def marks(header: str) -> str:
    """A filter that adds a header to answers."""
    added = f"{{append: {{header: {{key: {header}, value: 'yes'}}}}}}"
    return (
        "name: envoy.filters.http.header_mutation, typed_config: {'@type': "
        f"{TYPES}.http.header_mutation.v3.HeaderMutation, mutations: {{response_mutations: [{added}]}}}}"
    )


def patch(
    name: str, apply_to: str, operation: str, match: str, value: str = "", more: str = "", **expected: object
) -> Case:
    """A case of an EnvoyFilter."""
    changed = f"operation: {operation}" + (f", value: {{{value}}}" if value else "")
    spec = f"{more}configPatches: [{{applyTo: {apply_to}, match: {{{match}}}, patch: {{{changed}}}}}]"
    document_ = document("EnvoyFilter", spec, group="networking.istio.io/v1alpha3")
    return Case(f"patch: {name}", V1, more=document_, **expected)  # type: ignore[arg-type]


HOST_OF: Final = "routeConfiguration: {name: http_proxy, vhost: {name: '$HOST:80'%s}}"
OUT: Final = "context: SIDECAR_OUTBOUND, "
CHAIN: Final = (
    "name: $NAME, filter_chain_match: {destination_port: 7}, filters: [{name: envoy.filters.network.tcp_proxy, typed_config: "
    f"{{'@type': {TYPES}.network.tcp_proxy.v3.TcpProxy, stat_prefix: mine, cluster: PassthroughCluster}}}}]"
)
IDLE: Final = f"name: envoy.filters.network.tcp_proxy, typed_config: {{'@type': {TYPES}.network.tcp_proxy.v3.TcpProxy, idle_timeout: 5s}}"
INSPECTOR: Final = (
    "name: envoy.filters.listener.tls_inspector, typed_config: "
    f"{{'@type': {TYPES}.listener.tls_inspector.v3.TlsInspector}}"
)
STATUS: Final = "name: $NAME, match: {path: /mine}, direct_response: {status: 418}"


CASES: Final = (
    patch("a filter before the router", "HTTP_FILTER", "INSERT_BEFORE", f"{OUT}listener: {{{ROUTER}}}", marks("x-before"),
          "workloadSelector: {labels: {app: client}}, priority: 5, ", world="patched", gets={"x-before": "yes"}),
    patch("a filter before all", "HTTP_FILTER", "INSERT_FIRST", f"{OUT}listener: {{name: virtualOutbound, filterChain: {{filter: "
          f"{{name: {HCM}}}}}}}", marks("x-first"), world="patched", gets={"x-first": "yes"}),
    patch("a filter after another", "HTTP_FILTER", "INSERT_AFTER", f"{OUT}listener: {{name: virtualOutbound, filterChain: {{filter: "
          f"{{name: {HCM}, subFilter: {{name: envoy.filters.http.cors}}}}}}}}", marks("x-after"), world="patched",
          gets={"x-after": "yes"}),
    patch("a filter of gateways", "HTTP_FILTER", "INSERT_BEFORE", f"context: GATEWAY, listener: {{{ROUTER}}}", marks("x-edge"),
          world="patched", via="gateway", gets={"x-edge": "yes"}),
    patch("no filter", "HTTP_FILTER", "REMOVE", f"{OUT}listener: {{{ROUTER.replace('http.router', 'http.cors')}}}",
          world="fewer filters", method="OPTIONS"),
    patch("another filter", "HTTP_FILTER", "REPLACE", f"{OUT}listener: {{{ROUTER.replace('http.router', 'http.fault')}}}",
          f"name: envoy.filters.http.fault, typed_config: {{'@type': {TYPES}.http.fault.v3.HTTPFault, abort: {{http_status: 418, "
          "percentage: {numerator: 100}}}", world="other filters", to="", status=418),
    patch("a route before all", "HTTP_ROUTE", "INSERT_FIRST", OUT + HOST_OF % "", STATUS, path="/mine", to="", status=418),
    patch("a route before one of its name", "HTTP_ROUTE", "INSERT_BEFORE", OUT + HOST_OF % ", route: {name: one}", STATUS,
          path="/mine", to="", status=418),
    patch("a route after those that redirect", "HTTP_ROUTE", "ADD", OUT + HOST_OF % ", route: {action: REDIRECT}", STATUS),
    *(patch(f"routes that {action}", "HTTP_ROUTE", "MERGE", OUT + HOST_OF % f", route: {{action: {action}}}",
            "response_headers_to_add: [{header: {key: x-patched, value: 'yes'}}]", gets={"x-patched": patched})
      for action, patched in (("ANY", "yes"), ("ROUTE", "yes"), ("REDIRECT", None), ("DIRECT_RESPONSE", None))),
    patch("no route", "HTTP_ROUTE", "REMOVE", OUT + HOST_OF % ", route: {action: ROUTE}", to="", status=404),
    patch("a host by its name", "VIRTUAL_HOST", "MERGE", OUT + "routeConfiguration: {vhost: {domainName: $HOST}}",
          "response_headers_to_add: [{header: {key: x-host, value: 'yes'}}]", gets={"x-host": "yes"}),
    patch("routes of a port", "ROUTE_CONFIGURATION", "MERGE", OUT + "routeConfiguration: {portNumber: 80}",
          "response_headers_to_remove: [x-version]"),
    patch("all routes", "ROUTE_CONFIGURATION", "MERGE", "context: ANY", "response_headers_to_remove: [x-version]",
          world="routes without versions", gets={"x-version": None}),
    patch("a cluster by its service", "CLUSTER", "MERGE", OUT + "cluster: {service: $HOST, portNumber: 80, subset: v1}",
          "connect_timeout: 3s"),
    patch("a cluster by its name", "CLUSTER", "REMOVE", OUT + "cluster: {name: 'outbound|80|v1|$HOST'}", to="", status=503),
    patch("a cluster besides", "CLUSTER", "ADD", "context: SIDECAR_OUTBOUND", "name: $NAME, type: STATIC, connect_timeout: 1s"),
    patch("what the app is asked", "NETWORK_FILTER", "MERGE", f"context: SIDECAR_INBOUND, listener: {{filterChain: {{filter: "
          f"{{name: {HCM}}}}}}}", f"typed_config: {{'@type': {TYPES}.network.http_connection_manager.v3.HttpConnectionManager, "
          "stream_idle_timeout: 7s}"),
    patch("connections of a chain", "NETWORK_FILTER", "MERGE", "context: SIDECAR_INBOUND, listener: {filterChain: {name: "
          "virtualInbound-blackhole-15001, filter: {name: envoy.filters.network.tcp_proxy}}}", IDLE),
    patch("a chain of a port", "FILTER_CHAIN", "REMOVE", "context: SIDECAR_INBOUND, listener: {filterChain: {destinationPort: "
          "80}}"),
    patch("a chain besides", "FILTER_CHAIN", "ADD", "context: SIDECAR_INBOUND, listener: {name: virtualInbound}", CHAIN,
          "workloadSelector: {labels: {app: beside}}, "),
    patch("a chain by its protocols", "FILTER_CHAIN", "REMOVE", OUT + "listener: {portNumber: 80, filterChain: "
          "{applicationProtocols: http/1.1}}"),
    patch("a chain by its name", "FILTER_CHAIN", "MERGE", OUT + "listener: {filterChain: {sni: tls.$HOST}}",
          "metadata: {filter_metadata: {a: {b: c}}}"),
    patch("a chain by its transport", "FILTER_CHAIN", "REMOVE", OUT + "listener: {filterChain: {transportProtocol: tls}}"),
    patch("a listener filter", "LISTENER_FILTER", "INSERT_FIRST", OUT + "listener: {name: virtualOutbound}", INSPECTOR,
          world="patched"),
    patch("no listener filter", "LISTENER_FILTER", "REMOVE", "context: SIDECAR_INBOUND, listener: {listenerFilter: "
          "envoy.filters.listener.original_dst}"),
    patch("a listener", "LISTENER", "MERGE", OUT + "listener: {name: virtualOutbound}", "per_connection_buffer_limit_bytes: 9999",
          world="patched"),
    patch("clusters of a port", "CLUSTER", "MERGE", OUT + "cluster: {portNumber: 80}", "connect_timeout: 3s", world="patched"),
    patch("clusters of a service", "CLUSTER", "MERGE", OUT + "cluster: {service: $HOST}", "connect_timeout: 3s"),
    Case("patch: one after the other", V1, more="---\n".join(
        document("EnvoyFilter", f"priority: {priority}, configPatches: [{{applyTo: CLUSTER, match: {{cluster: {{service: $HOST}}}}, "
                 f"patch: {{operation: MERGE, value: {{connect_timeout: {seconds}s}}}}}}]", f"$NAME-{seconds}", "networking.istio.io/v1alpha3")
        for priority, seconds in ((2, 3), (1, 4)))),
    Case("patch: one of two listener filters", V1, more=document(
        "EnvoyFilter", f"configPatches: [{{applyTo: LISTENER_FILTER, match: {{{OUT}listener: {{portNumber: 80, listenerFilter: "
        "envoy.filters.listener.http_inspector}}, patch: {operation: REMOVE}}]", group="networking.istio.io/v1alpha3") + "---\n"
        + document("ServiceEntry", "hosts: [tls.$HOST], ports: [{number: 80, name: tls, protocol: TLS}], resolution: STATIC, "
                   "endpoints: [{address: $A1}]", "$NAME-tls")),
)  # fmt: skip
