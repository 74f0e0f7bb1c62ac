"""The WorkloadEntries of members of groups."""

from control_plane.registry.entries import entry_of
from control_plane.registry.workload import Workload
from mesh.istio.load import load_documents
from mesh.node import SIDECAR, Locality, Node, ServicePort

NODE = Node(
    SIDECAR, "10.0.0.1", "vm-1", "shop", labels={"app": "a"}, ports=(ServicePort(9080, "http", "HTTP", 8080),),
    locality=Locality("eu", "eu-1"), group="vms", weight=3, interception="REDIRECT",
)  # fmt: skip


def test_a_member() -> None:
    document = entry_of(Workload(NODE, joined=1_700_000_000.0, since=1_700_000_060.0))
    assert document["metadata"]["name"] == "vms-10.0.0.1"
    assert document["metadata"]["annotations"] == {
        "istio.io/autoRegistrationGroup": "vms",
        "istio.io/connectedAt": "2023-11-14T22:13:20Z",
    }
    assert document["spec"] == {
        "address": "10.0.0.1",
        "ports": {"http": 8080},
        "labels": {"app": "a"},
        "locality": "eu/eu-1",
        "weight": 3,
    }
    assert document["status"]["conditions"] == [
        {"type": "Healthy", "status": "True", "lastTransitionTime": "2023-11-14T22:14:20Z"}
    ]
    (resource,) = load_documents([document])  # it is one as people write them
    assert resource.key.name == "vms-10.0.0.1"


def test_what_its_probe_says() -> None:
    ((ill,), (gone,)) = (
        entry_of(workload)["status"]["conditions"]
        for workload in (Workload(NODE, healthy=False, problem="status 503"), Workload(NODE, connected=False))
    )
    assert (ill["status"], ill["message"]) == ("False", "status 503")
    assert (gone["status"], gone["message"]) == ("False", "its stream is gone")


def test_addresses_with_colons() -> None:
    node = Node(SIDECAR, "fd00::1", "vm-2", group="vms")
    assert entry_of(Workload(node))["metadata"]["name"] == "vms-fd00--1"
