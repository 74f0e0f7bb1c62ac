"""VirtualService `fault` → the fault filter's configuration for a route."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.http.fault.v3.fault_pb2 import FaultAbort, HTTPFault
from envoy.type.v3.percent_pb2 import FractionalPercent

from control_plane.translate.messages import duration
from mesh.istio.virtual_service import HTTPFaultInjection, Percent
from mesh.istio.virtual_service_actions import GRPC_STATUSES
from mesh.xds import any_of

FAULT_FILTER: Final = "envoy.filters.http.fault"
RESET_METADATA: Final = "mesh.fault"  # of a route; an Envoy takes it for metadata and no more
_MILLIONTHS_OF_A_PERCENT: Final = 10_000


def add_fault(route: Any, fault: HTTPFaultInjection) -> None:
    """To an Envoy route, in the fields that Envoy has for it, and the share of resets, for which it has none."""
    route.typed_per_filter_config[FAULT_FILTER].CopyFrom(any_of(fault_config(fault)))
    if fault.reset is not None and fault.reset.percentage is not None:
        route.metadata.filter_metadata[RESET_METADATA].update({"reset": fault.reset.percentage.value})


def fault_config(fault: HTTPFaultInjection) -> Any:
    """Faults without a percentage happen never, as in Istio."""
    config = HTTPFault()
    if (delay := fault.delay) is not None:
        config.delay.fixed_delay.CopyFrom(duration(delay.fixed_delay))
        chance = chance_of(delay.percentage) if delay.percentage is not None else _whole(delay.percent or 0)
        config.delay.percentage.CopyFrom(chance)
    if (abort := fault.abort) is not None:
        config.abort.CopyFrom(FaultAbort(percentage=chance_of(abort.percentage)))
        if abort.grpc_status is not None:
            config.abort.grpc_status = GRPC_STATUSES.index(abort.grpc_status)
        elif abort.http_status is not None:
            config.abort.http_status = abort.http_status
    if (throttle := fault.throttle) is not None:
        config.response_rate_limit.fixed_limit.limit_kbps = throttle.limit_kbps
        config.response_rate_limit.percentage.CopyFrom(chance_of(throttle.percentage))
    return config


def chance_of(percent: Percent | None) -> Any:
    """In millionths. Rounded, where Istio cuts off: 0.29 % is 2,900 and not 2,899."""
    value = percent.value if percent is not None else 0.0
    return FractionalPercent(numerator=round(value * _MILLIONTHS_OF_A_PERCENT), denominator=FractionalPercent.MILLION)


def _whole(percent: int) -> Any:
    return FractionalPercent(numerator=percent, denominator=FractionalPercent.HUNDRED)
