from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.node import GENERATOR_GRPC, ROUTER, SIDECAR, Locality, Node, ServicePort

LABEL = st.from_regex("[a-z][a-z0-9]{0,8}", fullmatch=True)
PORTS = st.builds(ServicePort, st.integers(1, 65535), LABEL, st.sampled_from(["HTTP", "TCP"]), st.integers(1, 65535))
NODES = st.builds(
    Node,
    kind=st.sampled_from([SIDECAR, ROUTER]),
    address=st.ip_addresses(v=4).map(str),
    name=LABEL,
    namespace=LABEL,
    service=LABEL | st.just(""),
    labels=st.dictionaries(LABEL, LABEL, max_size=3),
    ports=st.lists(PORTS, max_size=3).map(tuple),
    workload=LABEL,
    locality=st.builds(Locality, LABEL, LABEL, LABEL),
    interception=st.sampled_from(["NONE", "REDIRECT"]),
    generator=st.sampled_from(["", GENERATOR_GRPC]),
)


@given(NODES)
def test_a_node_reads_back_from_its_xds_form(node: Node) -> None:
    written = node.to_xds()
    assert Node.from_xds(written["id"], written["metadata"], node.locality) == node
    assert (written["locality"]["zone"]) == node.locality.zone


def test_ids_are_istios() -> None:
    node = Node(SIDECAR, "127.0.1.2", "reviews-v1", service="reviews", labels={"version": "v1"})
    assert node.id == "sidecar~127.0.1.2~reviews-v1.default~default.svc.cluster.local"
    assert node.to_xds()["cluster"] == "reviews.default"
    assert "locality" not in node.to_xds()


@pytest.mark.parametrize("name", ["", "envoy-1", "a~b", "sidecar~1.2.3.4~x"])
def test_a_node_of_another_shape_is_a_client_in_the_default_namespace(name: str) -> None:
    node = Node.from_xds(name, {})
    assert (node.kind, node.name, node.namespace, node.service) == (SIDECAR, name, "default", "")


def test_canonical_names() -> None:
    node = Node(SIDECAR, "", "reviews-1", service="reviews", workload="reviews-v1", labels={"app": "books"})
    assert (node.canonical_service, node.canonical_revision, node.version) == ("books", "latest", "")
    labels = {"service.istio.io/canonical-name": "c", "service.istio.io/canonical-revision": "r", "version": "v"}
    node = Node(SIDECAR, "", "x", labels=labels)
    assert (node.canonical_service, node.canonical_revision, node.version) == ("c", "r", "v")
    assert Node(SIDECAR, "", "x", service="s").canonical_service == "s"
    assert Node(SIDECAR, "", "x", workload="w").canonical_service == "w"


def test_the_app_listens_on_the_target_or_on_the_port_itself() -> None:
    assert ServicePort(80).app_port == 80
    assert ServicePort(80, target=8080).app_port == 8080
