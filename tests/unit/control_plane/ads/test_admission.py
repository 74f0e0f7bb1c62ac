"""What a client may send, and the reason that it is told."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

from control_plane.ads import admission
from control_plane.ads.admission import LocalAddresses, NodeError, RequestError, check_address
from control_plane.ads.push import PushCore, Variant
from control_plane.ads.subscription import DeltaRequest, SotwRequest
from control_plane.ads.wire import read_node, read_request
from control_plane.registry import workload
from control_plane.registry.ports import Wanted, reached
from control_plane.registry.workload import problem_of
from mesh.node import Node, ServicePort
from mesh.xds import ENDPOINT


def node(**metadata: Any) -> Any:
    return DiscoveryRequest(node={"id": "sidecar~10.0.0.1~web.default~x", "metadata": metadata})


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"SERVICE_PORTS": [{"number": n + 1} for n in range(501)]}, "SERVICE_PORTS has 501 ports; 500 is the limit"),
        ({"SERVICE_PORTS": [{"number": 1e300}]}, r"SERVICE_PORTS\[0\]\.number must be a port number from 1 to 65535"),
        ({"SERVICE_PORTS": [{"number": 1}, {"number": 65536}]}, r"SERVICE_PORTS\[1\]\.number"),
        ({"SERVICE_PORTS": [{"number": 0}]}, r"SERVICE_PORTS\[0\]\.number"),
        ({"SERVICE_PORTS": [{"number": 80.5}]}, "not 80.5"),
        ({"SERVICE_PORTS": [{"number": "80", "target": -1}]}, r"SERVICE_PORTS\[0\]\.target must be .* from 0"),
        ({"SERVICE_PORTS": [{"number": True}]}, r"SERVICE_PORTS\[0\]\.number"),
        ({"OUTBOUND_PORT": 1e300}, "OUTBOUND_PORT must be"),
        ({"INBOUND_PORT": "x"}, "INBOUND_PORT must be"),
        ({"LABELS": {f"l{n}": "" for n in range(300)}}, "LABELS has 300 labels; 256 is the limit"),
        ({"X": "x" * 100_000}, "bytes; 65,536 is the limit"),
    ],
)
def test_what_a_node_may_say(metadata: dict[str, Any], reason: str) -> None:
    with pytest.raises(NodeError, match=reason):
        read_node(node(**metadata), Variant.SOTW)


def test_what_real_nodes_say_is_taken() -> None:
    ports = [{"number": n + 1, "name": f"http-{n}", "protocol": "HTTP", "target": 0} for n in range(500)]
    assert (
        len(read_node(node(SERVICE_PORTS=ports, LABELS={f"l{n}": "x" for n in range(200)}), Variant.SOTW).ports) == 500
    )
    assert read_node(node(SERVICE_PORTS=[{"number": "80"}]), Variant.SOTW).ports == (ServicePort(80, "", "HTTP", 0),)
    with pytest.raises(NodeError, match="node id"):
        read_node(DiscoveryRequest(node={"id": "x" * 2000}), Variant.SOTW)


@pytest.mark.fault(7)
def test_what_a_client_may_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="2,048 is the limit"):
        read_request(DiscoveryRequest(type_url=ENDPOINT, resource_names=["x" * 3000]), Variant.SOTW)
    with pytest.raises(RequestError, match="2,048 is the limit"):
        read_request(DeltaDiscoveryRequest(resource_names_subscribe=["x" * 3000]), Variant.DELTA)
    refused = read_request(DiscoveryRequest(error_detail={"message": "x" * 10_000}), Variant.SOTW)
    assert refused.error is not None
    assert len(refused.error) == admission.MAX_ERROR
    monkeypatch.setattr(admission, "MAX_NAMES", 3)
    core = PushCore(Variant.DELTA)
    core.receive(DeltaRequest(ENDPOINT, ("a", "b")), 0)
    core.receive(DeltaRequest(ENDPOINT, ("c",), ("a",)), 0)
    with pytest.raises(RequestError, match="4 resource names are asked for; 3 is the limit"):
        core.receive(DeltaRequest(ENDPOINT, ("d", "e")), 0)
    monkeypatch.setattr(admission, "MAX_TYPES", 2)
    core = PushCore(Variant.SOTW)
    core.receive(SotwRequest("type.googleapis.com/a"), 0)
    core.receive(SotwRequest("type.googleapis.com/b"), 0)
    with pytest.raises(RequestError, match="3 types"):
        core.receive(SotwRequest("type.googleapis.com/c"), 0)


@pytest.mark.fault(4)
@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.8.7", "::1", "169.254.1.1", "fe80::1", "::ffff:127.0.0.1"])
def test_a_local_address_is_believed_from_this_machine_only(address: str) -> None:
    claiming = Node("sidecar", address, "web")
    for peer in ("ipv4:192.0.2.1:1234", "ipv6:[2001:db8::1]:1234", "ipv6:%5B2001:db8::1%5D:1234"):
        with pytest.raises(NodeError, match="means this machine only"):
            check_address(claiming, peer, LocalAddresses.SAME_HOST)
        check_address(claiming, peer, LocalAddresses.ANYWHERE)
    for peer in ("ipv4:127.0.0.1:1234", "ipv6:[::1]:1", "ipv6:%5B::1%5D:1234", "unix:/run/x", "ipv4:127.7.7.7:1"):
        check_address(claiming, peer, LocalAddresses.SAME_HOST)


def test_other_addresses_may_be_anybodys() -> None:
    for address in ("", "10.0.0.1", "2001:db8::2", "not an address"):
        check_address(Node("sidecar", address, "web"), "ipv4:192.0.2.1:1234", LocalAddresses.SAME_HOST)


@pytest.mark.fault(7)
def test_what_a_nodes_ports_cost_grows_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in ports that are looked at, not in time."""
    counted: dict[int, int] = {}
    for number in (100, 400):
        looks = [0]

        class Port(ServicePort):
            __slots__ = ()

            @property
            def app_port(self, looks: list[int] = looks) -> int:
                looks[0] += 1
                return self.number

        ports = tuple(Port(n + 1, f"p{n}") for n in range(number))
        one = Node("router", "10.0.0.1", "web", service="web", ports=ports)
        asked = [0]
        real = workload.accepts

        def accepts(node: Node, asked: list[int] = asked, real: Any = real) -> Any:
            asked[0] += 1
            return real(node)

        monkeypatch.setattr(workload, "accepts", accepts)
        assert not problem_of(one)
        monkeypatch.undo()
        assert asked[0] == 1
        assert len(reached(one, [Wanted(n + 1, n + 1) for n in range(number)])) == number
        counted[number] = looks[0]
    assert counted[400] <= 5 * counted[100]
