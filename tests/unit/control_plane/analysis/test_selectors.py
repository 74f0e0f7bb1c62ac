"""Workload selectors: two for one workload, two for all, and those that pick nobody."""

from tests.simulation.worlds import gateway, sidecar
from tests.unit.control_plane.analysis.support import analysed, codes, deployment, document

EGRESS = "egress: [{hosts: ['./*']}]"
EVERYBODY = document("Sidecar", "one", f"{{{EGRESS}}}")
PICKING = document("Sidecar", "picking", f"{{workloadSelector: {{labels: {{app: reviews}}}}, {EGRESS}}}")
TRACING = "tracing: [{randomSamplingPercentage: 10}]"


def test_two_sidecars_for_all_of_a_namespace() -> None:
    second = EVERYBODY.replace("name: one", "name: two")
    assert codes(EVERYBODY, second) == [("IST0111", "one"), ("IST0111", "two")]
    assert codes(EVERYBODY, PICKING, deployment("reviews", "app: reviews")) == []
    assert codes(EVERYBODY, second.replace("name: two", "name: two, namespace: other")) == []
    (found, _) = analysed(EVERYBODY, second)
    assert found.message.startswith(
        'The Sidecars [one two] in namespace "default" have no workload selector, which can lead'
    )


def test_two_sidecars_for_one_workload() -> None:
    version = PICKING.replace("name: picking", "name: other").replace("app: reviews", "version: v1")
    workload = deployment("reviews-v1", "app: reviews, version: v1")
    assert codes(PICKING, version, workload) == [("IST0110", "other"), ("IST0110", "picking")]
    (found, _) = analysed(PICKING, version, workload)
    assert (
        'The Sidecars [picking other] in namespace "default" select the same workload pod "reviews-v1"' in found.message
    )
    # labels that no workload has together are no conflict
    apart = (deployment("reviews-v2", "app: reviews, version: v2"), deployment("ratings", "app: ratings, version: v1"))
    assert codes(PICKING, version, *apart) == []


def test_two_telemetries() -> None:
    one = document("Telemetry", "one", f"{{{TRACING}}}")
    assert codes(one, one.replace("name: one", "name: two")) == [("IST0160", "one"), ("IST0160", "two")]
    picking = document("Telemetry", "picking", f"{{selector: {{matchLabels: {{app: reviews}}}}, {TRACING}}}")
    again = picking.replace("name: picking", "name: again")
    assert codes(picking, again, deployment("reviews", "app: reviews")) == [
        ("IST0159", "again"),
        ("IST0159", "picking"),
    ]


def test_a_selector_that_picks_nobody() -> None:
    workload = deployment("ratings", "app: ratings")
    assert codes(PICKING, workload) == [("IST0127", "picking")]
    (found,) = analysed(PICKING, workload)
    assert found.message == "No matching workloads for this resource with the following labels: app=reviews"
    assert found.field == "spec.workloadSelector"
    assert codes(PICKING) == []  # of no workload anything is known
    assert codes(PICKING, nodes=[sidecar("reviews")]) == []
    assert codes(PICKING, nodes=[sidecar("reviews", namespace="other")]) == [("IST0127", "picking")]


def test_a_gateway_that_selects_nobody() -> None:
    edge = document(
        "Gateway",
        "edge",
        "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, "
        "protocol: HTTP}, hosts: ['*']}]}",
    )
    assert codes(edge, nodes=[gateway()]) == []
    assert codes(edge, nodes=[gateway(istio="egressgateway")]) == [("IST0101", "edge")]
    (found,) = analysed(edge, nodes=[sidecar("reviews")])
    assert found.message == 'Referenced selector not found: "istio=ingressgateway"'


def test_there_is_one_mesh() -> None:
    def settings(name: str) -> str:
        return f"apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: MeshConfig\nmetadata: {{name: {name}}}\nspec: {{}}\n"

    assert codes(settings("one")) == []
    (found,) = analysed(settings("one"), settings("two"))
    assert (found.code.number, found.key.name, found.others[0].name) == ("MESH0012", "two", "one")
