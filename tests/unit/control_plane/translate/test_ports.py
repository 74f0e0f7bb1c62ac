import pytest

from control_plane.translate.ports import bare_port, is_http, is_unknown, virtual_addresses, virtual_networks
from mesh.node import ServicePort
from tests.simulation.worlds import service


@pytest.mark.parametrize(
    ("protocol", "http", "unknown"),
    [
        ("HTTP", True, False),
        ("http", True, False),
        ("", False, True),
        ("HTTP2", True, False),
        ("GRPC", True, False),
        ("GRPC-WEB", True, False),
        ("HTTPS", False, False),
        ("TCP", False, False),
    ],
)
def test_protocols(protocol: str, http: bool, unknown: bool) -> None:
    port = ServicePort(1, "x", protocol)
    assert (is_http(port), is_unknown(port)) == (http, unknown)


def test_the_port_of_a_request_without_one() -> None:
    assert bare_port(service("a", 8080, 80)) == 80
    assert bare_port(service("a", ServicePort(70, "t", "TCP"), ServicePort(71, "x", ""), 72)) == 71
    assert bare_port(service("a", ServicePort(80, "t", "TCP"))) == 0


def test_virtual_addresses() -> None:
    found = service("a", addresses=("10.0.0.1", "10.1.2.3/16", "0.0.0.0", "fd00::1"))
    assert virtual_addresses(found) == ("10.0.0.1", "fd00::1")
    assert virtual_networks(found) == ("10.1.0.0/16",)
