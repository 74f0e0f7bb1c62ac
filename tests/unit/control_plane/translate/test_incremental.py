"""What is kept from world to world is what would be made anew: incremental equals full, for any sequence of changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control_plane.resource import messages_of
from control_plane.snapshot.build import Snapshot, Snapshots, differences
from control_plane.translate import Translator, build
from control_plane.world import Instance, MeshConfig, OutboundPolicy, Resolution, Service, World
from mesh.istio.kinds import KINDS
from mesh.istio.load import load_documents
from mesh.istio.resource import Resource
from mesh.naming import service_host
from mesh.node import GENERATOR_GRPC, INTERCEPT_REDIRECT, ROUTER, Locality, Node, ServicePort
from mesh.xds import ROUTE, VIRTUAL_HOST, routes_of

NAMES = ("a", "b", "c")
NAMESPACES = ("default", "shop", "istio-system")
VERSIONS = ("v1", "v2")
A = Node("sidecar", "127.0.0.1", "a-v1", service="a", ports=(ServicePort(9080),), labels={"version": "v1"})
NODES = (
    A,
    Node(
        "sidecar", "10.0.0.2", "b-v1", "shop", service="b", ports=(ServicePort(9080),), interception=INTERCEPT_REDIRECT
    ),
    Node("sidecar", "10.0.0.5", "a-v2", service="a", labels={"version": "v2"}, takes_virtual_hosts=True),
    Node("sidecar", "10.0.0.6", "b-v2", "shop", interception=INTERCEPT_REDIRECT, takes_virtual_hosts=True),
    Node(ROUTER, "10.0.0.3", "gateway", "istio-system", labels={"istio": "ingressgateway"}),
    Node("sidecar", "10.0.0.4", "caller", generator=GENERATOR_GRPC, locality=Locality("r1", "z1")),
)
PORTS = (
    (ServicePort(9080, "http", "HTTP"),),
    (ServicePort(9080, "http", "HTTP"), ServicePort(3306, "tcp", "TCP")),
    (ServicePort(80, "any", ""),),
)


def resource(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> Resource:
    document = {
        "apiVersion": KINDS[kind].api_versions[0],
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return load_documents([document])[0]


hosts = st.sampled_from(NAMES).flatmap(lambda n: st.sampled_from((n, f"{n}.shop", f"*.{n}.example", "*.local")))
destinations = st.builds(
    lambda name, subset: {"host": name, **({"subset": subset} if subset else {})},
    st.sampled_from(NAMES),
    st.sampled_from(("", *VERSIONS)),
)
matches = st.sampled_from(
    (
        {"uri": {"prefix": "/x"}},
        {"port": 9080},
        {"sourceLabels": {"version": "v1"}},
        {"sourceNamespace": "shop"},
        {"gateways": ["mesh"]},
    )
)
exports = st.sampled_from(([], ["*"], ["."], ["shop"], ["~"]))
extras = st.sampled_from(
    (
        {},
        {"mirror": {"host": "c"}},
        {"fault": {"at": "upstream", "abort": {"httpStatus": 503, "percentage": {"value": 50}}}},
        {"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 50}}}},
    )
)
virtual_services = st.builds(
    lambda host, gateways, match, destination, export_to, extra: {
        "hosts": [host],
        "gateways": gateways,
        "exportTo": export_to,
        "http": [{"match": [match], "route": [{"destination": destination}], **extra}],
        "tcp": [{"match": [{"port": 3306}], "route": [{"destination": destination}]}],
    },
    hosts,
    st.sampled_from((["mesh"], ["istio-system/gw"], ["mesh", "istio-system/gw"])),
    matches,
    destinations,
    exports,
    extras,
)
delegating = st.sampled_from(
    (
        {"hosts": ["a"], "http": [{"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": "part"}}]},
        {"hosts": ["a"], "http": [{"delegate": {"name": "part", "namespace": "shop"}}]},
    )
)
parts = st.builds(
    lambda destination, export_to: {"exportTo": export_to, "http": [{"route": [{"destination": destination}]}]},
    destinations,
    exports,
)
sidecars = st.builds(
    lambda hosts, selector, mode, ports: {
        "egress": [*({"hosts": hosts, "port": port} for port in ports), {"hosts": ["*/*"] if ports else hosts}],
        **({"workloadSelector": {"labels": selector}} if selector else {}),
        "outboundTrafficPolicy": {"mode": mode},
        "inboundConnectionPool": {"tcp": {"maxConnections": 9}},
    },
    st.sampled_from((["./*"], ["*/*"], ["shop/*"], ["~/*"], ["*/a.shop.svc.cluster.local"])),
    st.sampled_from(({}, {"version": "v1"})),
    st.sampled_from(("ALLOW_ANY", "REGISTRY_ONLY")),
    st.sampled_from(((), ({"number": 9080, "protocol": "HTTP"},), ({"number": 3306, "protocol": "TCP"},))),
)
telemetries = st.sampled_from(
    (
        {"accessLogging": [{"disabled": True}]},
        {"tracing": [{"randomSamplingPercentage": 5}]},
        {"accessLogging": [{"filter": {"expression": "response.code >= 400"}}]},
    )
)
limits = st.builds(
    lambda host, dry: {"host": host, "dryRun": dry, "limits": [{"name": "few", "requests": 2}]},
    st.sampled_from(NAMES),
    st.booleans(),
)
envoy_filters = st.sampled_from(
    tuple(
        {
            "configPatches": [
                {"applyTo": "CLUSTER", "match": {"context": c}, "patch": {"operation": "MERGE", "value": v}}
            ]
        }
        for c, v in (("SIDECAR_OUTBOUND", {"connect_timeout": "3s"}), ("GATEWAY", {"connect_timeout": "4s"}))
    )
)
policies = st.sampled_from(
    (
        {"loadBalancer": {"simple": "RANDOM"}},
        {"loadBalancer": {"simple": "ROUND_ROBIN"}},
        {"loadBalancer": {"consistentHash": {"useSourceIp": True}}},
        {"outlierDetection": {"consecutive5xxErrors": 3}},
        {"connectionPool": {"tcp": {"maxConnections": 7}}},
    )
)
rules = st.builds(
    lambda host, policy, subsets, export_to, selector: {
        "host": host,
        "exportTo": export_to,
        **({"workloadSelector": {"matchLabels": selector}} if selector else {}),
        "trafficPolicy": policy,
        "subsets": [{"name": version, "labels": {"version": version}} for version in subsets],
    },
    hosts,
    policies,
    st.sampled_from(((), VERSIONS[:1], VERSIONS)),
    exports,
    st.sampled_from(({}, {}, {"version": "v1"})),
)
gateways = st.builds(
    lambda port, host: {
        "selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": [host]}],
    },
    st.sampled_from((8080, 8081)),
    st.sampled_from(("*", "*/x.a.example", "shop/*")),
)
services = st.builds(
    lambda name, namespace, ports, resolution, addresses, export_to: Service(
        service_host(name, namespace), name, namespace, ports, resolution, addresses, export_to=tuple(export_to)
    ),
    st.sampled_from(NAMES),
    st.sampled_from(NAMESPACES[:2]),
    st.sampled_from(PORTS),
    st.sampled_from((Resolution.REGISTRY, Resolution.REGISTRY, Resolution.DNS, Resolution.NONE)),
    st.sampled_from(((), ("10.9.0.1",), ("10.9.0.2", "10.8.0.0/16"))),
    exports,
)
instances = st.lists(
    st.builds(
        lambda number, version, healthy, node: Instance(
            f"10.1.0.{number}",
            {9080: 15006, 3306: 3306, 80: 8080},
            {"version": version},
            healthy=healthy,
            node_id=node,
            locality=Locality("r1", f"z{number % 2}"),
        ),
        st.integers(1, 3),
        st.sampled_from(VERSIONS),
        st.booleans(),
        st.sampled_from(("", NODES[1].id)),
    ),
    max_size=3,
    unique_by=lambda instance: instance.address,
).map(tuple)


def packed(built: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, bytes]]:
    return {
        type_url: {n: m.SerializeToString(deterministic=True) for n, m in messages_of(messages).items()}
        for type_url, messages in built.items()
    }


def bytes_of(snapshot: Snapshot) -> dict[str, dict[str, bytes]]:
    return {
        type_url: {name: resource.packed for name, resource in resources.by_name.items()}
        for type_url, resources in snapshot.types.items()
        if resources.by_name
    }


def assert_same_hosts(resources: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    """For each route configuration; in none has one host the domain of another."""
    expected = {
        f"{name}/{host.name}": (list(host.domains), list(host.routes))
        for name, config in whole.items()
        for host in config.virtual_hosts
    }
    found = {n: (list(h.domains), list(h.routes)) for n, h in resources.items() if routes_of(n) in whole}
    assert found == expected
    assert all(host.name == name for name, host in resources.items())
    domains = [(routes_of(name), domain) for name, host in resources.items() for domain in host.domains]
    assert len(domains) == len(set(domains))


class Worlds(RuleBasedStateMachine):
    """One translator and one line of snapshots through all the worlds, beside new ones for each of them."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.resources: dict[str, dict[tuple[str, str], Resource]] = {}
        self.translator = Translator()
        self.snapshots = Snapshots(self.translator.build, self.world)
        self.last: dict[str, Snapshot] = {}

    def become(self, **changes: Any) -> None:
        self.world = replace(self.world, revision=self.world.revision + 1, **changes)
        self.snapshots.follow(self.world)

    def put(self, kind: str, name: str, namespace: str, spec: dict[str, Any] | None) -> None:
        found = self.resources.setdefault(kind, {})
        if spec is None:
            found.pop((name, namespace), None)
        else:
            created = float(len(found)) if (name, namespace) not in found else found[name, namespace].created
            found[name, namespace] = replace(resource(kind, name, namespace, spec), created=created)
        ordered = tuple(sorted(found.values(), key=lambda r: (r.created, r.key.name, r.key.namespace)))
        self.become(resources={**self.world.resources, kind: ordered})

    @rule(name=st.sampled_from(NAMES), namespace=st.sampled_from(NAMESPACES), spec=st.none() | virtual_services)
    def virtual_service(self, name: str, namespace: str, spec: dict[str, Any] | None) -> None:
        self.put("VirtualService", name, namespace, spec)

    @rule(name=st.sampled_from(NAMES), namespace=st.sampled_from(NAMESPACES), spec=st.none() | rules)
    def destination_rule(self, name: str, namespace: str, spec: dict[str, Any] | None) -> None:
        self.put("DestinationRule", name, namespace, spec)

    @rule(root=st.none() | delegating, part=st.none() | parts, namespace=st.sampled_from(NAMESPACES[:2]))
    def delegation(self, root: dict[str, Any] | None, part: dict[str, Any] | None, namespace: str) -> None:
        self.put("VirtualService", "root", "default", root)
        self.put("VirtualService", "part", namespace, part)

    @rule(namespace=st.sampled_from(NAMESPACES), spec=st.none() | sidecars)
    def sidecar(self, namespace: str, spec: dict[str, Any] | None) -> None:
        self.put("Sidecar", "scope", namespace, spec)

    @rule(namespace=st.sampled_from(NAMESPACES), spec=st.none() | telemetries)
    def telemetry(self, namespace: str, spec: dict[str, Any] | None) -> None:
        self.put("Telemetry", "told", namespace, spec)

    @rule(namespace=st.sampled_from(NAMESPACES[:2]), spec=st.none() | limits)
    def rate_limit(self, namespace: str, spec: dict[str, Any] | None) -> None:
        self.put("RateLimit", "limits", namespace, spec)

    @rule(namespace=st.sampled_from(NAMESPACES), spec=st.none() | envoy_filters)
    def envoy_filter(self, namespace: str, spec: dict[str, Any] | None) -> None:
        self.put("EnvoyFilter", "patches", namespace, spec)

    @rule(spec=st.none() | gateways)
    def gateway(self, spec: dict[str, Any] | None) -> None:
        self.put("Gateway", "gw", "istio-system", spec)

    @rule(service=services)
    def service(self, service: Service) -> None:
        self.become(services={**self.world.services, service.host: service})

    @rule(name=st.sampled_from(NAMES), namespace=st.sampled_from(NAMESPACES[:2]))
    def no_service(self, name: str, namespace: str) -> None:
        host = service_host(name, namespace)
        without = {h: s for h, s in self.world.services.items() if h != host}
        self.become(services=without, instances={h: i for h, i in self.world.instances.items() if h != host})

    @rule(name=st.sampled_from(NAMES), namespace=st.sampled_from(NAMESPACES[:2]), found=instances)
    def endpoints(self, name: str, namespace: str, found: tuple[Instance, ...]) -> None:
        host = service_host(name, namespace)
        if host in self.world.services:
            self.become(instances={**self.world.instances, host: found})

    @rule(policy=st.sampled_from(OutboundPolicy))
    def mesh(self, policy: OutboundPolicy) -> None:
        self.become(mesh=MeshConfig(outbound_policy=policy))

    @rule()
    def nothing(self) -> None:
        self.become()

    @invariant()
    def the_two_forms_of_virtual_hosts_are_the_same(self) -> None:
        for node in NODES[:2]:
            apart, whole = (
                self.translator.build(self.world, replace(node, takes_virtual_hosts=takes)) for takes in (True, False)
            )
            assert VIRTUAL_HOST not in whole
            assert apart[ROUTE].keys() == whole[ROUTE].keys()
            assert all(each.HasField("vhds") and not each.virtual_hosts for each in apart[ROUTE].values())
            assert_same_hosts(messages_of(apart[VIRTUAL_HOST]), whole[ROUTE])

    @invariant()
    def incremental_equals_full(self) -> None:
        for node in NODES:
            full = build(self.world, node)
            assert packed(self.translator.build(self.world, node)) == packed(full)
            snapshot = self.snapshots.of(node)
            anew = Snapshots(Translator().build, self.world).of(node)
            assert bytes_of(snapshot) == bytes_of(anew)
            assert all(snapshot.version(t) == anew.version(t) for t in anew.types)
            before = self.last.get(node.id, Snapshot())
            changed = {
                (t, name)
                for t in before.types.keys() | snapshot.types.keys()
                for name in {*before.of(t), *snapshot.of(t)}
                if (a := before.of(t).get(name)) is None
                or (b := snapshot.of(t).get(name)) is None
                or a.version != b.version
            }
            assert set(differences(before, snapshot)) == changed
            self.last[node.id] = snapshot


Worlds.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestWorlds = Worlds.TestCase
