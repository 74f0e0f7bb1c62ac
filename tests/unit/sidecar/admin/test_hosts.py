from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.admin import hosts
from sidecar.config import model
from tests.unit.sidecar.admin.fakes import FakeBreaker, FakeCluster, FakeHost, FakeListener, reviews


def host() -> FakeHost:
    return FakeHost(model.Address("10.0.0.7", 9080))


def test_a_cluster_as_text_has_envoys_lines() -> None:
    cluster = FakeCluster(reviews(outlier=model.OutlierDetection(), limits=model.Limits(max_connections=5)), [host()])
    name = "outbound|9080||reviews"
    assert "".join(hosts.cluster_text(cluster, added_via_api=True)).splitlines() == [
        f"{name}::observability_name::{name}",
        f"{name}::outlier::success_rate_average::-1",
        f"{name}::outlier::success_rate_ejection_threshold::-1",
        f"{name}::outlier::local_origin_success_rate_average::-1",
        f"{name}::outlier::local_origin_success_rate_ejection_threshold::-1",
        f"{name}::default_priority::max_connections::5",
        f"{name}::default_priority::max_pending_requests::1024",
        f"{name}::default_priority::max_requests::1024",
        f"{name}::default_priority::max_retries::3",
        f"{name}::high_priority::max_connections::1024",
        f"{name}::high_priority::max_pending_requests::1024",
        f"{name}::high_priority::max_requests::1024",
        f"{name}::high_priority::max_retries::3",
        f"{name}::added_via_api::true",
        f"{name}::10.0.0.7:9080::cx_active::3",
        f"{name}::10.0.0.7:9080::cx_connect_fail::0",
        f"{name}::10.0.0.7:9080::cx_total::7",
        f"{name}::10.0.0.7:9080::rq_active::2",
        f"{name}::10.0.0.7:9080::rq_error::2",
        f"{name}::10.0.0.7:9080::rq_pending_active::0",
        f"{name}::10.0.0.7:9080::rq_success::38",
        f"{name}::10.0.0.7:9080::rq_timeout::1",
        f"{name}::10.0.0.7:9080::rq_total::40",
        f"{name}::10.0.0.7:9080::hostname::reviews",
        f"{name}::10.0.0.7:9080::health_flags::healthy",
        f"{name}::10.0.0.7:9080::weight::1",
        f"{name}::10.0.0.7:9080::region::r1",
        f"{name}::10.0.0.7:9080::zone::z1",
        f"{name}::10.0.0.7:9080::sub_zone::",
        f"{name}::10.0.0.7:9080::canary::false",
        f"{name}::10.0.0.7:9080::priority::0",
        f"{name}::10.0.0.7:9080::success_rate::-1",
        f"{name}::10.0.0.7:9080::local_origin_success_rate::-1",
    ]


def test_a_cluster_as_json_has_envoys_shape() -> None:
    found = hosts.cluster_json(FakeCluster(reviews(), [host()]), added_via_api=True)
    assert found["added_via_api"] is True
    (status,) = found["host_statuses"]
    assert status["address"] == {"socket_address": {"address": "10.0.0.7", "port_value": 9080}}
    assert {"value": "40", "name": "rq_total"} in status["stats"]
    assert {"name": "cx_connect_fail"} in status["stats"]
    assert {"type": "GAUGE", "value": "3", "name": "cx_active"} in status["stats"]
    assert status["health_status"] == {"eds_health_status": "HEALTHY"}
    assert status["locality"] == {"region": "r1", "zone": "z1"}
    assert found["circuit_breakers"]["thresholds"][1]["priority"] == "HIGH"
    static = hosts.cluster_json(FakeCluster(reviews()), added_via_api=False)
    assert "added_via_api" not in static
    assert "host_statuses" not in static


@pytest.mark.parametrize(
    ("health", "ejected", "flags"),
    [
        (model.Health.HEALTHY, False, "healthy"),
        (model.Health.HEALTHY, True, "/failed_outlier_check"),
        (model.Health.UNHEALTHY, False, "/failed_eds_health"),
        (model.Health.DRAINING, True, "/failed_outlier_check/eds_status_draining"),
        (model.Health.DEGRADED, False, "/degraded_eds_health"),
    ],
)
def test_health_flags(health: model.Health, ejected: bool, flags: str) -> None:
    made = host()
    made.ejected = ejected
    made.endpoint = replace(made.endpoint, health=health)
    cluster = FakeCluster(reviews(), [made])
    assert f"::health_flags::{flags}\n" in "".join(hosts.cluster_text(cluster, added_via_api=False))
    (status,) = hosts.cluster_json(cluster, added_via_api=False)["host_statuses"]
    assert status["health_status"].get("failed_outlier_check", False) is ejected


def test_listeners_show_where_they_really_listen() -> None:
    config = model.Listener("virtualOutbound", model.Address("127.0.0.1", 0), ())
    listener = FakeListener(config, [model.Address("127.0.0.1", 4321)])
    assert hosts.listener_text("virtualOutbound", listener) == "virtualOutbound::127.0.0.1:4321\n"
    assert hosts.listener_json("virtualOutbound", listener) == {
        "name": "virtualOutbound",
        "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 4321}},
    }


def test_listeners_without_a_socket_show_their_address() -> None:
    config = model.Listener("0.0.0.0_9080", model.Address("0.0.0.0", 9080), (), bind_to_port=False)
    assert hosts.listener_text("0.0.0.0_9080", FakeListener(config)) == "0.0.0.0_9080::0.0.0.0:9080\n"


def test_listeners_may_have_several_sockets() -> None:
    config = model.Listener("l", model.Address("::", 0), ())
    listener = FakeListener(config, [model.Address("::1", 1), model.Address("127.0.0.1", 2)])
    assert hosts.listener_text("l", listener) == "l::[::1]:1\nl::127.0.0.1:2\n"
    more = hosts.listener_json("l", listener)["additional_local_addresses"]
    assert more == [{"socket_address": {"address": "127.0.0.1", "port_value": 2}}]


def test_breakers_of_hosts_that_have_one() -> None:
    tripped = host()
    tripped.breaker = FakeBreaker()
    clusters = [FakeCluster(reviews(), [host(), tripped])]
    assert hosts.breakers(clusters, bool) == [
        {"cluster": "outbound|9080||reviews", "host": "10.0.0.7:9080", "state": "open", "reason": "5 consecutive 5xx"}
    ]
    assert hosts.breakers(clusters, lambda name: False) == []


def test_the_breaker_of_a_cluster_is_shown_with_its_reason() -> None:
    cluster = FakeCluster(reviews(), [host()], circuit=FakeBreaker("half-open", "open for 5 s"))
    assert hosts.breakers([cluster], bool) == [
        {"cluster": "outbound|9080||reviews", "host": "*", "state": "half-open", "reason": "open for 5 s"}
    ]
    text = "".join(hosts.cluster_text(cluster, False))
    assert "outbound|9080||reviews::mesh_circuit_breaker::state::half-open\n" in text
    assert hosts.cluster_json(cluster, False)["mesh_circuit_breaker"]["reason"] == "open for 5 s"


@pytest.mark.parametrize(
    ("labels", "shown"), [({"canary": True}, "true"), ({"canary": "true"}, "false"), ({}, "false")]
)
def test_canary(labels: dict[str, object], shown: str) -> None:
    made = host()
    made.endpoint = replace(made.endpoint, metadata={"envoy.lb": labels})
    assert f"::canary::{shown}\n" in "".join(hosts.cluster_text(FakeCluster(reviews(), [made]), added_via_api=False))
