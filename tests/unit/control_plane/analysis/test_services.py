"""Names of ports, and Deployments behind several Services."""

from tests.unit.control_plane.analysis.support import REVIEWS, analysed, codes, deployment, document


def test_names_of_ports() -> None:
    named = "{selector: {app: a}, ports: [{name: web, port: 8080, targetPort: 80}]}"
    (found,) = analysed(document("Service", "a", named))
    assert (found.code.number, found.code.level.word, found.field) == ("IST0118", "Info", "spec.ports[0]")
    message = "Port name web (port: 8080, targetPort: 80) doesn't follow the naming convention of Istio port."
    assert found.message == message
    for right in ("name: http-web, port: 8080", "name: web, port: 8080, appProtocol: http", "name: db, port: 3306"):
        assert codes(document("Service", "a", f"{{selector: {{app: a}}, ports: [{{{right}}}]}}")) == []


def test_names_of_ports_of_the_system_are_its_own() -> None:
    for namespace, expected in (("istio-system", []), ("kube-system", []), ("shop", [("IST0118", "a")])):
        text = document("Service", "a", "{selector: {app: a}, ports: [{name: web, port: 80}]}", namespace=namespace)
        assert codes(text) == expected


def test_ports_of_external_names() -> None:
    external = "{type: ExternalName, externalName: example.com, ports: [{name: %s, port: 80}]}"
    assert codes(document("Service", "a", external % "http")) == []
    assert codes(document("Service", "a", external % "tcp")) == [("IST0150", "a")]
    assert codes(document("Service", "a", external % "web")) == [("IST0150", "a")]


def test_a_deployment_of_several_services() -> None:
    workload = deployment("reviews", "app: reviews")
    assert codes(REVIEWS, workload) == []
    tcp = document("Service", "raw", "{selector: {app: reviews}, ports: [{name: tcp, port: 9080}]}")
    (found,) = analysed(REVIEWS, tcp, workload)
    assert (found.code.number, found.key.kind) == ("IST0116", "Deployment")
    words = "This deployment reviews is associated with multiple services using port 9080 but different protocols"
    assert found.message == f"{words}: [raw reviews]"
    other = document("Service", "web", "{selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: 9080}]}")
    (found,) = analysed(REVIEWS, other, workload)
    assert found.code.number == "IST0137"
    assert found.message == (
        'This deployment reviews is associated with multiple services [reviews web] using targetPort "9080" but different '
        "ports: [80 9080]."
    )
    assert codes(REVIEWS, other, deployment("ratings", "app: ratings")) == []
