"""envoy.filters.http.fault: delays and aborts by chance."""

from __future__ import annotations

from sidecar.config.match import header_matcher
from sidecar.config.model import UNLIMITED, FaultConfig
from sidecar.config.reader import Reader


def compile(reader: Reader) -> FaultConfig:
    delay, abort = reader.child("delay"), reader.child("abort")
    seconds, delay_chance = 0.0, 0
    status, grpc_status, abort_chance = 0, None, 0
    if delay is not None:
        seconds, delay_chance = delay.seconds("fixed_delay"), delay.chance("percentage", 0)
    if abort is not None:
        status, grpc_status = abort.number("http_status"), abort.optional_number("grpc_status")
        abort_chance = abort.chance("percentage", 0)
    return FaultConfig(
        delay=seconds,
        delay_chance=delay_chance,
        abort_status=status,
        abort_grpc_status=grpc_status,
        abort_chance=abort_chance,
        max_active=reader.number("max_active_faults", UNLIMITED),
        headers=tuple(header_matcher(each) for each in reader.children("headers")),
    )


compile_route = compile
