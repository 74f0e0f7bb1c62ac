"""Active health checks."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import Cluster, GrpcProbe, HealthCheck, HttpProbe, TcpProbe
from tests.unit.sidecar.config.build import Data, cluster_of, parts, problems

REQUIRED = {"timeout": "1s", "interval": "2s", "unhealthy_threshold": 3, "healthy_threshold": 4}


def compiled(**fields: Any) -> HealthCheck:
    check = _cluster(fields).health_check
    assert check is not None
    return check


def _cluster(fields: Data, **cluster: Any) -> Cluster:
    given = parts()
    given.cluster.update({"health_checks": [{**REQUIRED, **fields}], **cluster})
    return cluster_of(given)


def refused(fields: Data, **cluster: Any) -> list[str]:
    given = parts()
    given.cluster.update({"health_checks": [{**REQUIRED, **fields}], **cluster})
    return problems(given)


def http(**fields: Any) -> HttpProbe:
    probe = compiled(http_health_check={"path": "/h", **fields}).probe
    assert isinstance(probe, HttpProbe)
    return probe


def test_defaults_are_envoys() -> None:
    assert compiled(tcp_health_check={}) == HealthCheck(
        1.0, 2.0, 3, 4, TcpProbe(), 60.0, 60.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0, True
    )
    assert http() == HttpProbe("/h")


def test_intervals_stand_in_for_each_other() -> None:
    check = compiled(tcp_health_check={}, unhealthy_interval="5s", no_traffic_interval="6s")
    assert (check.unhealthy_edge_interval, check.healthy_edge_interval) == (5.0, 2.0)
    assert check.no_traffic_healthy_interval == 6.0


def test_all_of_http() -> None:
    probe = http(
        host="h",
        method="POST",
        expected_statuses=[{"start": 200, "end": 300}],
        retriable_statuses=[{"start": 500, "end": 501}],
        send={"text": "6869"},
        receive=[{"text": "6f6B"}, {"binary": "b2s="}],
        response_buffer_size=0,
        request_headers_to_add=[{"header": {"key": "X-A", "value": "1"}}],
    )
    assert (probe.host, probe.method, probe.expected, probe.retriable) == ("h", "POST", ((200, 300),), ((500, 501),))
    assert (probe.send, probe.receive, probe.body_limit) == (b"hi", (b"ok", b"ok"), 0)
    assert probe.headers.add[0].name == b"x-a"


def test_tcp_payloads() -> None:
    probe = compiled(tcp_health_check={"send": {"text": "00"}, "receive": [{"text": "ff"}]}).probe
    assert probe == TcpProbe(b"\0", (b"\xff",))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tcp_health_check": {"send": {"text": "0g"}}}, "'0g' is not hexadecimal"),
        ({"http_health_check": {"path": "/", "send": {"text": "00"}}}, "a GET request has no body"),
        ({"http_health_check": {"path": "/", "codec_client_type": "HTTP3"}}, "HTTP3 is not implemented"),
        ({"http_health_check": {"path": "/", "expected_statuses": [{"start": 300, "end": 200}]}}, "no range"),
        (
            {"http_health_check": {"path": "/", "response_buffer_size": 1, "receive": [{"text": "0000"}]}},
            "longer than response_buffer_size",
        ),
        (
            {
                "http_health_check": {
                    "path": "/",
                    "request_headers_to_add": [{"header": {"key": "a", "value": "%PROTOCOL%"}}],
                }
            },
            "format commands are not implemented",
        ),
        ({"grpc_health_check": {}}, "needs a cluster whose hosts speak HTTP/2"),
        (
            {"grpc_health_check": {"initial_metadata": [{"header": {"key": "a", "value": "%PROTOCOL%"}}]}},
            "initial_metadata: format commands are not implemented",
        ),
        ({}, "health_checker: needs one of"),
    ],
)
def test_refused(fields: Data, expected: str) -> None:
    found = refused(fields)
    assert any(expected in problem for problem in found), found


def test_grpcs_probe() -> None:
    fields = {"grpc_health_check": {"service_name": "a.B", "authority": "b"}}
    check = _cluster(fields, http2_protocol_options={}).health_check
    assert check is not None and check.probe == GrpcProbe("a.B", "b")
    assert http(codec_client_type="HTTP2").http2 and not http(codec_client_type="HTTP1").http2
