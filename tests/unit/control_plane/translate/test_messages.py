import pytest
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from control_plane.translate.messages import (
    address,
    ads,
    authority,
    config_path,
    duration,
    is_ip,
    is_loopback,
    istio_metadata,
    tcp_proxy,
)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, (0, 0)), (1.0, (1, 0)), (0.001, (0, 1_000_000)), (2.5, (2, 500_000_000)), (0.9999, (1, 0))],
)
def test_durations_are_whole_milliseconds(seconds: float, expected: tuple[int, int]) -> None:
    made = duration(seconds)
    assert (made.seconds, made.nanos) == expected


def test_addresses_and_authorities() -> None:
    assert address("10.0.0.1", 80).socket_address.port_value == 80
    assert (authority("a", 80), authority("a"), authority("fd00::1", 80)) == ("a:80", "a", "[fd00::1]:80")


@pytest.mark.parametrize(
    ("text", "ip", "loopback"),
    [("127.0.1.9", True, True), ("::1", True, True), ("10.0.0.1", True, False), ("localhost", False, False)],
)
def test_ip_addresses(text: str, ip: bool, loopback: bool) -> None:
    assert (is_ip(text), is_loopback(text)) == (ip, loopback)


def test_ads_waits_unless_told_otherwise() -> None:
    assert ads().HasField("initial_fetch_timeout")
    assert not ads(None).HasField("initial_fetch_timeout")


def test_metadata_is_under_istios_name() -> None:
    metadata = istio_metadata({"config": config_path("virtual-service", "a", "b")})
    expected = "/apis/networking.istio.io/v1/namespaces/a/virtual-service/b"
    assert metadata.filter_metadata["istio"]["config"] == expected


def test_a_tcp_proxy_is_known_by_its_cluster() -> None:
    assert tcp_proxy("x").name == "envoy.filters.network.tcp_proxy"


@pytest.mark.parametrize(("prefix", "told"), [("", "to"), ("mine", "mine")])
def test_a_tcp_proxy_counts_under_its_prefix_or_its_cluster(prefix: str, told: str) -> None:
    proxy = TcpProxy()
    assert tcp_proxy("to", stat_prefix=prefix).typed_config.Unpack(proxy)
    assert (proxy.stat_prefix, proxy.cluster) == (told, "to")
