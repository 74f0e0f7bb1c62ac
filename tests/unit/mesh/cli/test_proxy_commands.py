"""proxy-status, proxy-config: Envoy's configuration as tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane

SYNCED = {"state": "SYNCED", "version": "a", "acked": "a", "error": "", "pushed_at": 1.0}
PROXY: dict[str, Any] = {
    "id": "sidecar~127.0.1.9~reviews-v1.default~default.svc.cluster.local",
    "name": "reviews-v1", "namespace": "default", "service": "reviews", "kind": "sidecar", "address": "127.0.1.9",
    "connected": True, "since": 1.0, "types": {"CDS": SYNCED, "LDS": SYNCED, "EDS": SYNCED},
}  # fmt: skip


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_proxy_status(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/proxies", {"items": [PROXY]})
    result = mesh("proxy-status")
    assert result.code == 0
    assert rows(result.out)[1][:5] == ["reviews-v1", "127.0.1.9", "SYNCED", "SYNCED", "SYNCED"]
    assert "NOT SENT" in result.out


def test_proxy_status_fails_when_a_proxy_refused(mesh: Mesh, plane: FakeControlPlane) -> None:
    nacked = {**PROXY, "types": {**PROXY["types"], "RDS": {**SYNCED, "state": "NACKED", "error": "bad route"}}}
    plane.on("GET /api/v1/proxies", {"items": [PROXY, nacked]})
    result = mesh("proxy-status")
    assert result.code == 1
    assert "NACKED" in result.out
    assert "reviews-v1.default: RDS: bad route" in result.err


HCM = {"name": "hcm", "typed_config": {"rds": {"route_config_name": "9080"}}}
TCP = {"name": "tcp", "typedConfig": {"cluster": "PassthroughCluster"}}
INLINE = {
    "name": "hcm",
    "typed_config": {"route_config": {"virtual_hosts": [{"routes": [{"route": {"cluster": "inbound|9080||"}}]}]}},
}
ADDRESS = {"socket_address": {"address": "127.0.1.9", "port_value": 15001}}


@pytest.mark.parametrize(
    ("what", "item", "expected"),
    [
        (
            "clusters",
            {"name": "outbound|9080|v1|reviews.default.svc.cluster.local", "type": "EDS", "lbPolicy": "LEAST_REQUEST"},
            [["reviews.default.svc.cluster.local", "9080", "v1", "outbound", "EDS", "LEAST_REQUEST"]],
        ),
        ("clusters", {"name": "PassthroughCluster"}, [["PassthroughCluster", "-", "-", "-", "STATIC", "ROUND_ROBIN"]]),
        (
            "listeners",
            {
                "name": "virtualOutbound",
                "address": ADDRESS,
                "filter_chains": [
                    {"filter_chain_match": {"destination_port": 15001}, "filters": [HCM]},
                    {"filters": [INLINE]},
                ],
                "default_filter_chain": {"filters": [TCP]},
            },
            [
                ["virtualOutbound", "127.0.1.9:15001", "yes", "port", "15001", "routes", "9080"],
                ["virtualOutbound", "127.0.1.9:15001", "yes", "any", "cluster", "inbound|9080||"],
                ["virtualOutbound", "127.0.1.9:15001", "yes", "any", "cluster", "PassthroughCluster"],
            ],
        ),
        (
            "routes",
            {
                "name": "9080",
                "virtualHosts": [
                    {
                        "domains": ["reviews", "reviews.default"],
                        "routes": [
                            {"match": {"prefix": "/", "headers": [{"name": "end-user"}]}, "route": {"cluster": "a"}},
                            {"match": {"safeRegex": {"regex": "/x.*"}}, "redirect": {"port_redirect": 1}},
                            {"match": {"path": "/"}, "directResponse": {"status": 503}},
                            {
                                "match": {"prefix": "/"},
                                "route": {
                                    "weightedClusters": {"clusters": [{"name": "a", "weight": 9}, {"name": "b"}]}
                                },
                            },
                            {"match": {"connect_matcher": {}}, "route": {"cluster": "c"}},
                        ],
                    }
                ],
            },
            [
                ["9080", "reviews", "(+1)", "^", "/", "and", "header", "end-user", "a"],
                ["9080", "reviews", "(+1)", "~", "/x.*", "redirect", "{'port_redirect':", "1}"],
                ["9080", "reviews", "(+1)", "=", "/", "answer", "503"],
                ["9080", "reviews", "(+1)", "^", "/", "a", "9,", "b", "0"],
                ["9080", "reviews", "(+1)", "CONNECT", "c"],
            ],
        ),
        (
            "endpoints",
            {
                "cluster_name": "outbound|9080||reviews",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": ADDRESS}, "health_status": "UNHEALTHY"}]}],
            },
            [["127.0.1.9:15001", "UNHEALTHY", "1", "outbound|9080||reviews"]],
        ),
    ],
)
def test_proxy_config(
    mesh: Mesh, plane: FakeControlPlane, what: str, item: dict[str, Any], expected: list[list[str]]
) -> None:
    plane.on("GET /api/v1/proxies/reviews-v1/config", {"items": [item]})
    assert rows(mesh("proxy-config", what, "reviews-v1").out)[1:] == expected
    assert plane.asked[-1][1] == f"/api/v1/proxies/reviews-v1/config?type={what}"
    assert json.loads(mesh("proxy-config", what, "reviews-v1", "-o", "json").out) == [item]


def test_proxy_config_of_a_stranger_says_what_the_control_plane_says(mesh: Mesh, plane: FakeControlPlane) -> None:
    words = "no connected proxy nobody; connected: reviews-v1.default"
    plane.on("GET /api/v1/proxies/nobody/config", {"errors": [{"message": words}]}, 404)
    result = mesh("proxy-config", "routes", "nobody")
    assert (result.code, result.err) == (1, f"error: {words}\n")


def test_proxy_config_knows_four_types(mesh: Mesh) -> None:
    assert mesh("proxy-config", "secrets", "reviews-v1").code == 2
