from typing import Any

import pytest
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.type.v3.percent_pb2 import FractionalPercent

from control_plane.translate.fault import FAULT_FILTER, RESET_METADATA, add_fault, chance_of, fault_config
from mesh.istio.virtual_service import HTTPFaultInjection, Percent


def fault(**fields: object) -> Any:
    return fault_config(HTTPFaultInjection.model_validate(fields))


@pytest.mark.parametrize(
    ("percent", "expected"), [(0.0001, 1), (0.29, 2_900), (33.3, 333_000), (100.0, 1_000_000), (0.0, 0)]
)
def test_chances_are_millionths(percent: float, expected: int) -> None:
    chance = chance_of(Percent(value=percent))
    assert (chance.numerator, chance.denominator) == (expected, FractionalPercent.MILLION)


def test_without_a_percentage_nothing_happens() -> None:
    found = fault(delay={"fixedDelay": "5s"}, abort={"httpStatus": 500})
    assert found.delay.percentage.numerator == found.abort.percentage.numerator == 0
    assert (found.delay.fixed_delay.seconds, found.abort.http_status) == (5, 500)


def test_the_old_percent() -> None:
    found = fault(delay={"fixedDelay": "1s", "percent": 7})
    assert (found.delay.percentage.numerator, found.delay.percentage.denominator) == (7, FractionalPercent.HUNDRED)
    assert not found.HasField("abort")


def test_grpc_statuses_by_name() -> None:
    found = fault(abort={"grpcStatus": "UNAVAILABLE", "percentage": {"value": 50.0}})
    assert (found.abort.grpc_status, found.abort.WhichOneof("error_type")) == (14, "grpc_status")
    assert not found.HasField("delay")


def test_a_throttle_is_envoys_rate_limit_of_responses() -> None:
    config = fault(throttle={"limitKbps": 64, "percentage": {"value": 50.0}})
    assert config.response_rate_limit.fixed_limit.limit_kbps == 64
    assert config.response_rate_limit.percentage.numerator == 500_000


def test_a_reset_stands_beside_what_envoy_knows() -> None:
    route = Route()
    injection = {"reset": {"percentage": {"value": 12.5}}, "abort": {"httpStatus": 503, "percentage": {"value": 50.0}}}
    add_fault(route, HTTPFaultInjection.model_validate(injection))
    assert dict(route.metadata.filter_metadata[RESET_METADATA]) == {"reset": 12.5}
    config = HTTPFault()
    assert route.typed_per_filter_config[FAULT_FILTER].Unpack(config)
    assert config.abort.http_status == 503
    never = Route()
    add_fault(never, HTTPFaultInjection.model_validate({"reset": {}}))
    assert RESET_METADATA not in never.metadata.filter_metadata
