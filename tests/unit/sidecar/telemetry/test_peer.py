from __future__ import annotations

from base64 import b64encode

from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from mesh.node import Node
from sidecar.config.model import Address, Endpoint
from sidecar.telemetry import peer
from tests.unit.sidecar.telemetry.exchanges import node


def header(content: dict[str, object]) -> bytes:
    struct = Struct()
    struct.update(content)
    return b64encode(struct.SerializeToString(deterministic=True))


def test_a_node_introduces_itself() -> None:
    rendered = dict(peer.headers(node()))
    assert (
        rendered[b"x-envoy-peer-metadata-id"] == b"sidecar~127.0.1.2~productpage-v1-1.default~default.svc.cluster.local"
    )
    found = peer.decode(rendered[b"x-envoy-peer-metadata"])
    assert found is not None
    assert found.workload == "productpage-v1"
    assert found.namespace == "default"
    assert (found.canonical_service, found.canonical_revision) == ("productpage", "v1")
    assert (found.app, found.version, found.cluster, found.name) == (
        "productpage",
        "v1",
        "Kubernetes",
        "productpage-v1-1",
    )


def test_the_header_is_the_same_every_time() -> None:
    assert peer.headers(node()) == peer.headers(node())


def test_an_istio_proxys_header_is_read() -> None:
    """What Istio's proxies send: more fields than we look at, labels inside."""
    found = peer.decode(
        header(
            {
                "CLUSTER_ID": "cluster-1",
                "INSTANCE_IPS": "10.52.0.34",
                "LABELS": {
                    "app": "ratings",
                    "pod-template-hash": "84975bc778",
                    "service.istio.io/canonical-name": "ratings",
                    "service.istio.io/canonical-revision": "version-1",
                    "version": "v1",
                },
                "MESH_ID": "mesh",
                "NAME": "ratings-v1-84975bc778-pxz2w",
                "NAMESPACE": "default",
                "OWNER": "kubernetes://apis/apps/v1/namespaces/default/deployments/ratings-v1",
                "WORKLOAD_NAME": "ratings-v1",
            }
        )
    )
    assert found is not None
    assert (found.workload, found.namespace, found.cluster) == ("ratings-v1", "default", "cluster-1")
    assert (found.canonical_service, found.canonical_revision) == ("ratings", "version-1")
    assert (found.app, found.version) == ("ratings", "v1")


def test_missing_fields_are_empty() -> None:
    found = peer.decode(header({}))
    assert found is not None
    assert (found.workload, found.namespace, found.app) == ("", "", "")


def test_fields_of_another_type_are_empty() -> None:
    found = peer.decode(header({"WORKLOAD_NAME": 5, "LABELS": "none", "NAMESPACE": ["x"]}))
    assert found is not None
    assert (found.workload, found.namespace) == ("", "")


@given(st.binary(max_size=200))
def test_anything_else_is_no_peer_or_one_of_bounded_size(value: bytes) -> None:
    for candidate in (value, b64encode(value)):
        found = peer.decode(candidate)
        assert found is None or len(found.workload) <= 253


def test_what_is_too_long_is_not_read() -> None:
    assert peer.decode(header({"WORKLOAD_NAME": "x" * 8192})) is None
    found = peer.decode(header({"WORKLOAD_NAME": "x" * 4096}))
    assert found is not None
    assert len(found.workload) == 253


def test_equal_headers_give_one_peer() -> None:
    value = header({"NAME": "a"})
    assert peer.decode(value) is peer.decode(bytes(bytearray(value)))


@given(
    st.text(min_size=1, max_size=20),
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["app", "version"]), st.text()),
)
def test_every_node_survives_the_way_to_its_neighbour(name: str, namespace: str, labels: dict[str, str]) -> None:
    sent = Node("sidecar", "10.0.0.1", name, namespace, labels=labels)
    found = peer.decode(dict(peer.headers(sent))[peer.METADATA_HEADER])
    own = peer.from_node(sent)
    assert found is not None
    assert (found.workload, found.namespace, found.app) == (own.workload, own.namespace, own.app[:253])


def endpoint(metadata: dict[str, object]) -> Endpoint:
    return Endpoint(Address("10.0.0.7", 9080), metadata=metadata)


def test_an_endpoints_metadata_names_its_workload() -> None:
    found = peer.from_endpoint(endpoint({"istio": {"workload": "reviews-v1;default;reviews;v1;Kubernetes"}}))
    assert found is not None
    assert (found.workload, found.namespace, found.cluster) == ("reviews-v1", "default", "Kubernetes")
    assert (found.canonical_service, found.canonical_revision, found.app) == ("reviews", "v1", "")


def test_an_endpoint_without_it_is_unknown() -> None:
    for metadata in ({}, {"istio": {}}, {"istio": "x"}, {"istio": {"workload": "a;b"}}, {"istio": {"workload": 1}}):
        assert peer.from_endpoint(endpoint(dict(metadata))) is None
