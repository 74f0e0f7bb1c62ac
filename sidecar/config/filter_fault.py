"""envoy.filters.http.fault: delays, aborts and slow responses by chance, fixed or as requests ask for."""

from __future__ import annotations

from typing import Any

from sidecar.config.match import header_matcher
from sidecar.config.model import UNLIMITED, FaultConfig
from sidecar.config.reader import UNITS, Reader


def compile(reader: Reader) -> FaultConfig:
    delay, abort = reader.child("delay"), reader.child("abort")
    seconds, delay_chance = 0.0, 0
    by_header: dict[str, Any] = {}
    status, grpc_status, abort_chance = 0, None, 0
    if delay is not None:
        by_header["delay_by_header"] = delay.child("header_delay") is not None
        by_header["delay_unit"] = _unit(delay)
        seconds, delay_chance = delay.seconds("fixed_delay"), delay.chance("percentage", 0)
    if abort is not None:
        status, grpc_status = abort.number("http_status"), abort.optional_number("grpc_status")
        by_header["abort_by_header"] = abort.child("header_abort") is not None
        by_header["abort_unit"] = _unit(abort)
        abort_chance = abort.chance("percentage", 0)
    return FaultConfig(
        delay=seconds,
        delay_chance=delay_chance,
        abort_status=status,
        abort_grpc_status=grpc_status,
        abort_chance=abort_chance,
        max_active=reader.number("max_active_faults", UNLIMITED),
        upstream_cluster=reader.text("upstream_cluster"),
        downstream_nodes=frozenset(node.encode() for node in reader.values("downstream_nodes")),
        headers=tuple(header_matcher(each) for each in reader.children("headers")),
        **by_header,
        **_rate(reader.child("response_rate_limit")),
    )


def _rate(reader: Reader | None) -> dict[str, Any]:
    if reader is None:
        return {}
    fixed = reader.child("fixed_limit")
    return {
        "rate_kbps": fixed.number("limit_kbps") if fixed is not None else 0,
        "rate_by_header": reader.child("header_limit") is not None,
        "rate_unit": _unit(reader),
        "rate_chance": reader.chance("percentage", 0),
    }


def _unit(reader: Reader) -> int:
    """One unit of the percentage's denominator, parts per million."""
    return UNITS[min(reader.message.percentage.denominator, 2)]


compile_route = compile
