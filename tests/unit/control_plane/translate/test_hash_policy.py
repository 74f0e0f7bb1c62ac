"""Consistent hashing: what of a request is hashed, on which routes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict

from control_plane.translate.hash_policy import consistent_hash, hash_policy
from control_plane.translate.index import Index
from control_plane.translate.routes import service_routes
from control_plane.translate.viewer import Audience, Viewer
from mesh.istio.load_balancing import ConsistentHashLB
from mesh.naming import outbound_cluster
from tests.simulation.scenarios import destination_rule, virtual_service
from tests.simulation.worlds import service, world

VIEWER = Viewer("default", Audience.EXPLICIT)
HOST = "reviews.default.svc.cluster.local"
BY_USER = "loadBalancer: {consistentHash: {httpHeaderName: x-user}}"
RULE = f"""
  host: reviews
  trafficPolicy:
    {BY_USER}
    portLevelSettings:
    - {{port: {{number: 80}}, loadBalancer: {{simple: RANDOM}}}}
  subsets:
  - name: own
    trafficPolicy: {{loadBalancer: {{consistentHash: {{httpQueryParameterName: q}}}}}}
  - name: other
    trafficPolicy: {{loadBalancer: {{simple: ROUND_ROBIN}}}}
  - name: same
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("httpHeaderName: x-user", {"header": {"header_name": "x-user"}}),
        ("httpQueryParameterName: q", {"query_parameter": {"name": "q"}}),
        ("useSourceIp: true", {"connection_properties": {"source_ip": True}}),
        ("useSourceIp: false", None),
        ("ringHash: {minimumRingSize: 7}", None),
        ("httpCookie: {name: c}", {"cookie": {"name": "c"}}),
        ("httpCookie: {name: c, ttl: 0s}", {"cookie": {"name": "c", "ttl": "0s"}}),
        (
            "httpCookie: {name: c, ttl: 1.5s, path: /p, attributes: [{name: Secure}, {name: a, value: b}]}",
            {
                "cookie": {
                    "name": "c",
                    "ttl": "1.500s",
                    "path": "/p",
                    "attributes": [{"name": "Secure"}, {"name": "a", "value": "b"}],
                }
            },
        ),
    ],
)
def test_what_is_hashed(text: str, expected: Any) -> None:
    made = hash_policy(ConsistentHashLB.model_validate(yaml.safe_load(text)))
    assert (None if made is None else MessageToDict(made, preserving_proto_field_name=True)) == expected


@pytest.mark.parametrize(
    ("port", "subset", "key"),
    [
        (9080, "", "x-user"),
        (80, "", None),  # the port's own settings
        (9080, "own", "q"),
        (9080, "other", None),
        (9080, "same", "x-user"),
        (9080, "unknown", "x-user"),
    ],
)
def test_the_policy_of_the_very_cluster_counts(port: int, subset: str, key: str | None) -> None:
    index = Index(world(service("reviews", 9080, 80), yaml=destination_rule(RULE)))
    found = consistent_hash(index, outbound_cluster(HOST, port, subset), "default")
    assert (found and (found.http_header_name or found.http_query_parameter_name)) == key


def test_clusters_of_nobody() -> None:
    index = Index(world(service("reviews"), yaml=destination_rule(RULE)))
    for cluster in ("PassthroughCluster", outbound_cluster("elsewhere", 80)):
        assert consistent_hash(index, cluster, "default") is None


def routes_of(rules: str = "", rule: str = RULE, viewer: Viewer = VIEWER) -> list[Any]:
    text = destination_rule(rule) + (f"---\n{virtual_service(rules)}" if rules else "")
    index = Index(world(service("reviews"), service("ratings"), yaml=text))
    reviews = index.service(HOST)
    assert reviews is not None
    return service_routes(index, viewer, reviews, 9080)


def headers_of(route: Any) -> list[str]:
    return [policy.header.header_name or policy.query_parameter.name for policy in route.route.hash_policy]


def test_a_service_without_rules() -> None:
    (route,) = routes_of()
    assert headers_of(route) == ["x-user"]
    assert route.route.retry_policy.retry_host_predicate  # as Istio has it: only rules' routes go without


def test_the_only_destination_of_a_rule() -> None:
    (route,) = routes_of("{route: [{destination: {host: reviews, subset: own}}]}")
    assert headers_of(route) == ["q"]
    assert not route.route.retry_policy.retry_host_predicate
    (plain,) = routes_of("{route: [{destination: {host: ratings}}]}")
    assert not plain.route.hash_policy
    assert plain.route.retry_policy.retry_host_predicate


def test_several_destinations_share_one_list() -> None:
    shares = [
        f"{{destination: {{host: {host}}}, weight: 1}}" for host in ("reviews, subset: own", "reviews", "ratings")
    ]
    (route,) = routes_of(f"{{route: [{', '.join(shares)}]}}")
    assert headers_of(route) == ["q", "x-user"]
    assert route.route.retry_policy.retry_host_predicate


def test_it_depends_on_the_namespace_of_the_client() -> None:
    rule = destination_rule(f"{{host: {HOST}, trafficPolicy: {{{BY_USER}}}}}")
    theirs = rule.replace("{name: policy}", "{name: policy, namespace: there}")
    rules = virtual_service(f"{{route: [{{destination: {{host: {HOST}}}}}]}}")
    index = Index(world(service("reviews"), yaml=f"{theirs}---\n{rules}"))
    reviews = index.service(HOST)
    assert reviews is not None
    here, there = (
        service_routes(index, Viewer(namespace, Audience.EXPLICIT), reviews, 9080)[0] for namespace in ("here", "there")
    )
    assert (headers_of(here), headers_of(there)) == ([], ["x-user"])
