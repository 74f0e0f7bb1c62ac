"""Bootstrap files: read, merged, checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.bootstrap import bootstrap as written
from mesh.bootstrap import render
from mesh.errors import ConfigError
from mesh.node import Node, ServicePort
from sidecar.bootstrap import load, validate
from sidecar.config.model import Address, AdsConfig
from tests.unit.sidecar.config.build import Data, address, copied, parts, problems

POLICY = "LOAD_BALANCING_POLICY_CONFIG"
HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {
            "http2_protocol_options": {"connection_keepalive": {"interval": "7s", "timeout": "3s"}}
        },
    }
}


def errors(text: str, **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load("", text, **more)
    return [str(problem) for problem in caught.value.problems]


def with_ads(service: Data, **dynamic: Data) -> str:
    given = parts()
    given.bootstrap["node"] = {"id": "a", "cluster": "b"}
    given.static["clusters"].append(copied(given.cluster, name="xds", typed_extension_protocol_options=HTTP2))
    config = {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    given.bootstrap["dynamic_resources"] = {"ads_config": config, **dynamic}
    return json.dumps(given.bootstrap)


def test_a_static_bootstrap(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps(parts().bootstrap))
    bootstrap = load(str(path))
    assert bootstrap.admin == Address("127.0.0.1", 0)
    assert [each.name for each in bootstrap.listeners] == ["in"]
    assert [each.name for each in bootstrap.clusters] == ["up"]
    assert (bootstrap.ads, bootstrap.cds_from_ads, bootstrap.lds_from_ads) == (None, False, False)
    assert bootstrap.source


def test_an_empty_bootstrap_is_good() -> None:
    bootstrap = load("", "{}")
    assert (bootstrap.node, bootstrap.admin, bootstrap.listeners) == ({}, None, ())


def test_no_configuration_at_all() -> None:
    assert errors("") == ["no configuration: give -c FILE or --config-yaml TEXT"]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"^/nope/b\.yaml: cannot be read: No such file or directory"):
        load("/nope/b.yaml")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read: not UTF-8"):
        load(str(path))


def test_the_text_is_merged_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    path.write_text("node: {id: a, cluster: c}\nstatic_resources: {clusters: [{name: x}]}\n")
    bootstrap = load(str(path), "node: {id: b}\nstatic_resources: {clusters: [{name: y}]}")
    assert bootstrap.node == {"id": "b", "cluster": "c"}
    assert [each.name for each in bootstrap.clusters] == ["x", "y"]


def test_flags_replace_the_node() -> None:
    node = load("", "node: {id: a, cluster: b, metadata: {N: 5}}", node_id="x", node_cluster="y").node
    assert node == {"id": "x", "cluster": "y", "metadata": {"N": 5}}


def test_problems_have_lines(tmp_path: Path) -> None:
    path = tmp_path / "b.yaml"
    lines = ("static_resources:", "  clusters:", "  - name: a", f"    lb_policy: {POLICY}", "    connect_timeout: 0s")
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    assert sorted(str(problem) for problem in caught.value.problems) == [
        f"{path}:4: static_resources.clusters[0].lb_policy: {POLICY} is not implemented",
        f"{path}:5: static_resources.clusters[0].connect_timeout: is 0s, must be more than 0s",
    ]


def test_one_name_twice() -> None:
    given = parts()
    given.static["clusters"].append(given.cluster)
    assert problems(given) == ["name: 'up' is defined twice"]


def test_two_listeners_on_one_address() -> None:
    given = parts()
    given.listener["address"] = address(80)
    given.static["listeners"].append(copied(given.listener, name="b"))
    assert problems(given) == ["address: 127.0.0.1:80 is the address of listener 'in' already"]


def test_ads_through_a_cluster() -> None:
    wait = {"retry_back_off": {"base_interval": "0.1s", "max_interval": "9s"}}
    source = {"ads": {}, "resource_api_version": "V3"}
    bootstrap = load(
        "",
        with_ads(
            {"envoy_grpc": {"cluster_name": "xds", "retry_policy": wait}},
            cds_config={**source, "initial_fetch_timeout": "0s"},
            lds_config=source,
        ),
    )
    assert (bootstrap.cds_from_ads, bootstrap.lds_from_ads) == (True, True)
    assert bootstrap.ads == AdsConfig(
        "xds",
        Address("127.0.0.1", 9),
        backoff_base=0.1,
        backoff_max=2.0,  # never longer, whatever the bootstrap allows
        ping_interval=7.0,
        ping_timeout=3.0,
        cds_timeout=0.0,
        lds_timeout=15.0,
    )


@pytest.mark.parametrize("target", ["localhost:15010", "dns:///localhost:15010", "dns:localhost:15010"])
def test_ads_without_a_cluster(target: str) -> None:
    given = parts()
    given.bootstrap["node"] = {"id": "a", "cluster": "b"}
    service = {"google_grpc": {"target_uri": target, "stat_prefix": "s"}}
    config = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    given.bootstrap["dynamic_resources"] = {"ads_config": config}
    ads = load("", json.dumps(given.bootstrap)).ads
    assert ads is not None
    assert (ads.address, ads.delta) == (Address("localhost", 15010), False)


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        ({"envoy_grpc": {"cluster_name": "nope"}}, "there is no static cluster 'nope'"),
        ({"envoy_grpc": {"cluster_name": "up"}}, "cluster 'up' needs http2_protocol_options: ADS is gRPC"),
        ({"google_grpc": {"target_uri": "nowhere", "stat_prefix": "s"}}, "'nowhere' is not HOST:PORT"),
        (
            {"google_grpc": {"target_uri": "a:1", "stat_prefix": "s", "channel_credentials": {"ssl_credentials": {}}}},
            "ssl_credentials: is not implemented",
        ),
        ({}, "needs one of envoy_grpc, google_grpc"),
    ],
)
def test_bad_ads(service: Data, problem: str) -> None:
    assert any(problem in each for each in errors(with_ads(service)))


def test_ads_needs_to_know_who_we_are() -> None:
    found = json.loads(with_ads({"envoy_grpc": {"cluster_name": "xds"}}))
    del found["node"]["cluster"]
    assert any("node.cluster: is required for ADS" in each for each in errors(json.dumps(found)))


def test_what_comes_over_ads_needs_one() -> None:
    given = parts()
    source = {"ads": {}, "resource_api_version": "V3"}
    given.static["clusters"].append({"name": "e", "type": "EDS", "eds_cluster_config": {"eds_config": source}})
    del given.hcm["route_config"]
    given.hcm["rds"] = {"route_config_name": "r", "config_source": source}
    given.bootstrap["dynamic_resources"] = {"cds_config": source}
    assert problems(given) == [
        "ads_config: is required when lds_config or cds_config says ads",
        "listeners[0]: comes over ADS, and dynamic_resources has no ads_config",
        "eds_cluster_config: comes over ADS, and dynamic_resources has no ads_config",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"layered_runtime": {"layers": [{"name": "a", "static_layer": {"x": 1}}]}},
            "runtime values are not implemented",
        ),
        ({"layered_runtime": {"layers": [{"name": "a", "disk_layer": {}}]}}, "disk_layer: is not implemented"),
        ({"overload_manager": {"loadshed_points": [{"name": "a"}]}}, "loadshed_points: is not implemented"),
        ({"static_resources": {"secrets": [{"name": "a"}]}}, "secrets: is not implemented"),
    ],
)
def test_refused(change: Data, problem: str) -> None:
    assert any(problem in each for each in errors(json.dumps(change)))


def test_what_mesh_bootstrap_writes_is_good() -> None:
    for node in (
        Node("sidecar", "127.0.1.5", "reviews-v1", service="reviews", ports=(ServicePort(9080, target=9080),)),
        Node("router", "10.0.0.1", "gateway"),
    ):
        bootstrap = load("", render(written(node, "127.0.0.1", 15010)))
        assert bootstrap.ads is not None
        assert bootstrap.ads.address == Address("127.0.0.1", 15010)
        assert bootstrap.node["id"] == node.id
        assert Node.from_xds(node.id, bootstrap.node["metadata"]).ports == node.ports


def test_validate_says_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(json.dumps(parts().bootstrap))
    assert validate(str(path)) == 0
    assert capsys.readouterr().out == f"configuration '{path}' OK\n"


def test_validate_says_everything_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert validate("", "node: {nmae: a}\nadmin: {adress: {}}") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "--config-yaml:1: node.nmae: there is no such field in envoy.config.core.v3.Node",
        "--config-yaml:2: admin.adress: there is no such field in envoy.config.bootstrap.v3.Admin",
    ]
