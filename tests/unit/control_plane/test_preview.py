"""A mesh on paper."""

from __future__ import annotations

from control_plane.preview import Client, preview
from mesh.istio.load import load
from mesh.xds import CLUSTER, LISTENER, ROUTE

RULE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /a}}, {uri: {prefix: /b}, sourceLabels: {version: v2}}]
    route: [{destination: {host: reviews, port: {number: 9080}}}]
  - route: [{destination: {host: ratings.other.svc.cluster.local}}]
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.96.0.7, selector: {app: reviews}, ports: [{port: 9080, name: http}]}
"""


def test_services_that_rules_name_are_taken_to_be_there() -> None:
    found = preview(load(RULE), Client("productpage"), "reviews", 9080)
    assert found.assumed == ("ratings.other.svc.cluster.local", "reviews.default.svc.cluster.local")
    assert "outbound|9080||ratings.other.svc.cluster.local" in found.messages[CLUSTER]
    declared = preview(load(SERVICE), Client("productpage"), "reviews", 9080)
    assert declared.assumed == ()
    assert declared.virtual_address("reviews") == "10.96.0.7"
    assert declared.virtual_address("nobody") == ""


def test_hosts_of_the_world_outside_are_not() -> None:
    assert preview([], Client("productpage"), "example.com", 80).assumed == ()


def test_a_rule_says_which_one_it_is() -> None:
    def places(version: str) -> list[dict[str, float]]:
        found = preview(load(RULE), Client("productpage", version=version), "reviews", 9080).messages
        hosts = {host.name: host for host in found[ROUTE]["http_proxy"].virtual_hosts}
        routes = hosts["reviews.default.svc.cluster.local:9080"].routes
        origins = (route.metadata.filter_metadata for route in routes)
        return [dict(metadata["mesh.origin"]) for metadata in origins if "mesh.origin" in metadata]

    assert places("v1") == [{"http": 0, "match": 0}, {"http": 1}]
    assert places("v2") == [{"http": 0, "match": 0}, {"http": 0, "match": 1}, {"http": 1}]


def test_who_asks() -> None:
    assert "virtualOutbound" in preview([], Client("a")).messages[LISTENER]
    assert preview([], Client("a", redirected=True)).messages[LISTENER]["virtualOutbound"].use_original_dst.value
    assert "virtualOutbound" not in preview([], Client("istio-ingressgateway", gateway=True)).messages[LISTENER]
