"""The options of `mesh run` and `mesh bootstrap`, as a node."""

from __future__ import annotations

import pytest
import yaml

from mesh.cli.errors import CliError
from mesh.cli.workload import Interception, Protocol, Workload, describe, parse_locality, parse_port
from mesh.node import Locality, Node, ServicePort
from tests.unit.mesh.cli.conftest import Mesh


def node(workload: Workload) -> Node:
    described = describe(workload)
    described.reservation.release()
    return described.node


def test_a_service() -> None:
    made = node(
        Workload("reviews", "v1", ("9080", "80:8080"), "127.0.1.9", labels=("tier=a", "app=other"), namespace="shop")
    )
    assert made.id == "sidecar~127.0.1.9~reviews-v1.shop~shop.svc.cluster.local"
    assert made.labels == {"app": "other", "version": "v1", "tier": "a"}
    assert made.ports == (ServicePort(9080, "http", "HTTP", 9080), ServicePort(80, "http", "HTTP", 8080))
    assert (made.service, made.workload, made.interception) == ("reviews", "reviews-v1", "NONE")


def test_a_client_serves_nothing() -> None:
    made = node(Workload(name="shell", address="127.0.1.9"))
    assert (made.service, made.ports, made.name) == ("", (), "shell")


def test_a_gateway() -> None:
    made = node(Workload(gateway=True, address="10.0.0.1", interception=Interception.REDIRECT))
    assert made.id == "router~10.0.0.1~istio-ingressgateway.default~default.svc.cluster.local"
    assert made.labels["istio"] == "ingressgateway"


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (Workload(), "which workload"),
        (Workload(name="a", ports=("1",)), "--service NAME is missing"),
        (Workload(gateway=True, service="a"), "--gateway has no"),
        (Workload("a", ports=("x",)), "--port x"),
        (Workload("a", ports=("80:0",)), "--port 80:0"),
        (Workload("a", ports=("65536",)), "--port 65536"),
        (Workload("a", labels=("x",)), "--label x"),
        (Workload("a", labels=("=x",)), "--label =x"),
        (Workload("a", locality="a/b/c/d"), "--locality"),
        (Workload("a", xds="host:port"), "--xds host:port"),
        (Workload("a", xds=":15010"), "--xds :15010"),
    ],
)
def test_refused(workload: Workload, words: str) -> None:
    with pytest.raises(CliError, match=words) as caught:
        describe(workload)
    assert caught.value.code == 2


def test_xds_address() -> None:
    def xds(text: str) -> tuple[str, int]:
        return describe(Workload("a", address="10.0.0.1", xds=text)).xds

    assert xds("istiod") == ("istiod", 15010)
    assert xds("istiod:1") == ("istiod", 1)
    assert xds("[::1]:2") == ("::1", 2)
    assert xds("::1") == ("::1", 15010)


def test_small_parsers() -> None:
    assert parse_port("3306", Protocol.TCP) == ServicePort(3306, "tcp", "TCP", 3306)
    assert parse_locality("eu/a") == Locality("eu", "a", "")
    assert parse_locality("") == Locality()


def test_bootstrap_prints_yaml(mesh: Mesh) -> None:
    result = mesh("bootstrap", "--service", "reviews", "--version", "v1", "--address", "127.0.1.9", "--port", "9080")
    config = yaml.safe_load(result.out)
    assert result.code == 0
    assert config["node"]["cluster"] == "reviews.default"


def test_bootstrap_without_an_address_takes_a_free_loopback_one(mesh: Mesh) -> None:
    config = yaml.safe_load(mesh("bootstrap", "--service", "reviews").out)
    assert config["node"]["metadata"]["INSTANCE_IPS"].startswith("127.0.")


def test_help_tells_what_becomes_of_options_that_are_left_out(mesh: Mesh) -> None:
    assert "a free one" in mesh("bootstrap", "--help").out
    assert "(SERVICE-VERSION)" in mesh("run", "--help").out
    assert "(never)" in mesh("demo", "--help").out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/metrics", ":9080/metrics"),
        ("9100/m", ":9100/m"),
        (":9100", ":9100/metrics"),
        ("http://127.0.0.1:9100/a", ":9100/a"),
        ("", ""),
    ],
)
def test_where_the_app_has_metrics(text: str, expected: str) -> None:
    made = node(Workload("a", ports=("80:9080",), address="127.0.1.9", app_metrics=text))
    assert made.app_metrics == expected
    assert Node.from_xds(made.id, made.to_xds()["metadata"]).app_metrics == expected


def test_metrics_of_another_machine_are_not_the_apps() -> None:
    with pytest.raises(CliError, match=r"--app-metrics http://10\.0\.0\.1:9100/a: expected"):
        node(Workload("a", address="127.0.1.9", app_metrics="http://10.0.0.1:9100/a"))
