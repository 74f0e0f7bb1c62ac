"""Who is told of what: `exportTo`, and Sidecar resources."""

from __future__ import annotations

import pytest

from control_plane.translate import build
from control_plane.world import MeshConfig
from mesh.node import Node, ServicePort
from mesh.xds import CLUSTER, LISTENER, ROUTE
from tests.simulation.test_service_entries import declared, entry
from tests.simulation.worlds import service, sidecar, transparent, world

HTTP = "ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS"


def scope(spec: str, name: str = "default") -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def hosts(node: Node, *documents: str, services: tuple[str, ...] = ("a", "b")) -> set[str]:
    """The services whose clusters a proxy gets."""
    named = [service(name, namespace=space) for name in services for space in ("default", "other")]
    made = build(world(*named, yaml="---\n".join(documents)), node)[CLUSTER]
    return {name.split("|")[3].removesuffix(".svc.cluster.local") for name in made if name.startswith("outbound|")}


@pytest.mark.parametrize(
    ("export_to", "seen"),
    [
        ("['*']", "default other third"),
        ("['.']", "default"),
        ("[other]", "other"),
        ("[., third]", "default third"),
        ("['~']", ""),
    ],
)
def test_services_are_exported(export_to: str, seen: str) -> None:
    made = declared(entry(f"{{hosts: [x.example.com], {HTTP}, exportTo: {export_to}}}"))
    for namespace in ("default", "other", "third"):
        there = "outbound|80||x.example.com" in build(made, sidecar(namespace=namespace))[CLUSTER]
        assert there == (namespace in seen.split()), namespace


def test_a_kubernetes_service_is_exported_by_annotation() -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: web, annotations: {networking.istio.io/exportTo: '., other'}}\n"
    made = declared(text + "spec: {ports: [{port: 80, name: http}]}\n")
    for namespace, seen in (("default", True), ("other", True), ("third", False)):
        assert (
            "outbound|80||web.default.svc.cluster.local" in build(made, sidecar(namespace=namespace))[CLUSTER]
        ) == seen


def test_a_rule_of_the_services_namespace_holds_where_it_is_exported() -> None:
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\n"
        "spec: {host: a.default.svc.cluster.local, exportTo: ['.'], subsets: [{name: v1, labels: {version: v1}}]}\n"
    )
    where = world(service("a"), yaml=rule)
    for namespace, seen in (("default", True), ("other", False)):
        made = build(where, sidecar(namespace=namespace))[CLUSTER]
        assert ("outbound|9080|v1|a.default.svc.cluster.local" in made) == seen


def test_what_a_sidecar_imports() -> None:
    everything = {"a.default", "a.other", "b.default", "b.other"}
    assert hosts(sidecar()) == everything
    assert hosts(sidecar(), scope("egress: [{hosts: ['./*']}]")) == {"a.default", "b.default"}
    assert hosts(sidecar(), scope("egress: [{hosts: ['other/*', './a.default.svc.cluster.local']}]")) == {
        "a.default", "a.other", "b.other"
    }  # fmt: skip
    assert hosts(sidecar(), scope("egress: [{hosts: ['*/a.other.svc.cluster.local']}]")) == {"a.other"}
    assert hosts(sidecar(), scope("egress: [{hosts: ['~/*']}]")) == set()
    assert hosts(sidecar(namespace="other"), scope("egress: [{hosts: ['./*']}]")) == everything
    assert hosts(Node("router", "127.0.1.9", "g"), scope("egress: [{hosts: ['./*']}]")) == everything


def test_which_sidecar_is_for_a_workload() -> None:
    own = scope("egress: [{hosts: ['./*']}]")
    picked = scope("workloadSelector: {labels: {app: special}}, egress: [{hosts: ['other/*']}]", "special")
    root = scope("egress: [{hosts: ['*/a.default.svc.cluster.local']}]", "default, namespace: istio-system")
    assert hosts(sidecar(), own, picked, root) == {"a.default", "b.default"}
    assert hosts(sidecar(labels={"app": "special"}), own, picked, root) == {"a.other", "b.other"}
    assert hosts(sidecar(namespace="third"), own, picked, root) == {"a.default"}


def test_services_that_imported_rules_send_to_come_along() -> None:
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\n"
        "spec: {hosts: [a], http: [{route: [{destination: {host: b.other.svc.cluster.local}}]}]}\n"
    )
    found = hosts(sidecar(), scope("egress: [{hosts: ['./a.default.svc.cluster.local']}]"), rule)
    assert found == {"a.default", "b.other"}


def test_a_workload_serves_what_it_does_not_import() -> None:
    where = world(
        service("reviews"), yaml=scope("egress: [{hosts: ['~/*']}], inboundConnectionPool: {tcp: {maxConnections: 7}}")
    )
    made = build(where, sidecar("reviews", ServicePort(9080)))
    assert made[CLUSTER]["inbound|9080||"].circuit_breakers.thresholds[0].max_connections.value == 7
    assert "virtualInbound" in made[LISTENER]


def test_where_unknown_hosts_may_go_is_the_sidecars_to_say() -> None:
    def unknown(mode: str, mesh: MeshConfig) -> str:
        text = scope(f"outboundTrafficPolicy: {{mode: {mode}}}") if mode else ""
        host = build(world(service("a", 80), yaml=text, mesh=mesh), transparent())[ROUTE]["80"].virtual_hosts[-1]
        return str(host.name)

    from control_plane.world import OutboundPolicy

    strict = MeshConfig(outbound_policy=OutboundPolicy.REGISTRY_ONLY)
    assert unknown("", MeshConfig()) == "allow_any"
    assert unknown("REGISTRY_ONLY", MeshConfig()) == "block_all"
    assert unknown("ALLOW_ANY", strict) == "allow_any"
