import gc
import weakref

import pytest

from control_plane.translate.bound import gateway_name
from control_plane.translate.index import Index
from control_plane.translate.indexes import index_of
from control_plane.world import World
from tests.simulation.scenarios import destination_rule, virtual_service
from tests.simulation.worlds import instance, service, world

RULE = "{route: [{destination: {host: reviews}}]}"


def test_an_index_lives_as_long_as_its_world() -> None:
    one = world()
    assert index_of(one) is index_of(one)
    assert index_of(World()) is not index_of(one)
    gone = weakref.ref(index_of(temporary := world()))
    del temporary
    gc.collect()
    assert gone() is None


def test_what_is_made_once_is_made_once() -> None:
    index, calls = Index(world()), []

    def make() -> object:
        calls.append(1)
        return None

    for key in ("a", "a", "b"):
        index.once(key, make)
    assert len(calls) == 2


def test_gateways_are_named_in_full() -> None:
    assert [gateway_name(name, "ns") for name in ("a", "b/a", "mesh")] == ["ns/a", "b/a", "mesh"]


def test_only_labels_that_rules_ask_for_count() -> None:
    yaml = virtual_service(
        "{match: [{sourceLabels: {b: x}}, {sourceLabels: {a: x, b: y}}], route: [{destination: {host: reviews}}]}"
    )
    assert Index(world(yaml=yaml)).source_labels == ("a", "b")


def test_services_are_found_in_either_case() -> None:
    index = Index(world(service("Upper.example.com")))
    assert index.service("upper.example.com") is index.services[0]
    assert index.service("other") is None


def test_hosts_of_rules_that_no_service_has() -> None:
    yaml = "---\n".join(
        virtual_service(RULE, hosts, name=name)
        for name, hosts in (
            ("a", "[reviews, elsewhere]"),
            ("b", "['*.svc.cluster.local']"),
            ("c", "['*.example.com']"),
        )
    )
    found = Index(world(service("reviews"), yaml=yaml)).hosts_without_service()
    assert [host for host, _ in found] == ["*.example.com", "elsewhere.default.svc.cluster.local"]


def test_destination_rules_by_namespace() -> None:
    def rule(namespace: str, host: str) -> str:
        return destination_rule(f"{{host: {host}}}").replace("{name: policy}", f"{{name: r, namespace: {namespace}}}")

    yaml = "---\n".join(
        (rule("client", "reviews.server"), rule("server", "'*.server.svc.cluster.local'"), rule("istio-system", "'*'"))
    ).replace("reviews.server", "reviews.server.svc.cluster.local")
    index = Index(world(yaml=yaml))
    host = "reviews.server.svc.cluster.local"

    def namespace_of(client: str, server: str, name: str = host) -> str:
        found = index.rule(name, server, client)
        return found.resource.key.namespace if found else ""

    assert namespace_of("client", "server") == "client"
    assert namespace_of("other", "server") == "server"
    assert namespace_of("other", "third") == "istio-system"
    assert namespace_of("client", "server", "ratings.server.svc.cluster.local") == "server"


def test_rules_for_one_host_are_merged() -> None:
    yaml = destination_rule("{host: reviews, subsets: [{name: v1, labels: {a: b}}]}", "one") + "---\n"
    yaml += destination_rule(
        "{host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}, "
        "subsets: [{name: v1, labels: {c: d}}, {name: v2}]}",
        "two",
    )
    rule = Index(world(yaml=yaml)).rule("reviews.default.svc.cluster.local", "default", "default")
    assert rule is not None
    assert rule.resource.key.name == "one" and rule.policy is not None
    assert [(subset.name, dict(subset.labels)) for subset in rule.subsets] == [("v1", {"a": "b"}), ("v2", {})]


def test_what_a_workload_serves() -> None:
    one, other = instance("10.0.0.1", node_id="n"), instance("10.0.0.2")
    index = Index(world(service("reviews"), instances={"reviews": [one, other], "also": [one]}))
    assert [host.partition(".")[0] for host, _ in index.served_by("n")] == ["also", "reviews"]
    assert index.served_by("nobody") == ()


@pytest.mark.fault("F:control_plane/translate/index.py:159")
def test_the_longest_wildcard_comes_first() -> None:
    """However the rules are written, and whatever comes first in the alphabet."""
    patterns = ["*.com", "*.b.com", "*.a.b.com", "*.zz.com"]
    yaml = "---\n".join(
        virtual_service(RULE, f"['{pattern}']", name=f"rule{number}")
        + "---\n"
        + destination_rule(f"{{host: '{pattern}'}}", f"rule{number}")
        for number, pattern in enumerate(patterns)
    )
    index = Index(world(yaml=yaml))
    for host, number in (("x.com", 0), ("x.b.com", 1), ("x.a.b.com", 2), ("x.zz.com", 3), ("b.com", 0)):
        bound, rule = index.mesh_service(host), index.rule(host, "default", "default")
        assert bound is not None and bound.resource.key.name == f"rule{number}"
        assert rule is not None and rule.resource.key.name == f"rule{number}"
