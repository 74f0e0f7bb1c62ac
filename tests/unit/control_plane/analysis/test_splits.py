"""Weights of connections, and rules for requests where there are none."""

from tests.unit.control_plane.analysis.support import REVIEWS, TO_REVIEWS, analysed, codes, document, route

MONGO = document("Service", "mongo", "{selector: {app: mongo}, ports: [{name: mongo, port: 27017}]}")
OTHER = MONGO.replace("name: mongo}", "name: mongo-2}", 1)


def test_weights_of_connections() -> None:
    shares = "route: [{destination: {host: mongo}, weight: %d}, {destination: {host: mongo-2}, weight: %d}]"
    rule = document("VirtualService", "mongo", f"{{hosts: [mongo], tcp: [{{{shares % (90, 10)}}}]}}")
    (found,) = analysed(MONGO, OTHER, rule)
    assert (found.code.number, found.field) == ("MESH0007", "spec.tcp[0].route")
    assert "a client that keeps one open" in found.message
    everything = document("VirtualService", "mongo", f"{{hosts: [mongo], tcp: [{{{shares % (100, 0)}}}]}}")
    assert codes(MONGO, OTHER, everything) == []


def test_request_rules_for_a_tcp_port() -> None:
    rule = route("{route: [{destination: {host: mongo}}]}", host="mongo")
    (found,) = analysed(MONGO, rule)
    assert (found.code.number, found.field) == ("MESH0010", "spec.hosts[0]")
    assert "no port of mongo.default.svc.cluster.local speaks HTTP: 27017 (TCP)" in found.message
    assert codes(REVIEWS, route(f"{{{TO_REVIEWS}}}")) == []
