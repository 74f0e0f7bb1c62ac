from __future__ import annotations

import random
from typing import Any

import pytest

from sidecar.config.log_filter_model import (
    AllOf,
    AnyOf,
    Compares,
    HasFlag,
    HasGrpcStatus,
    HasHeader,
    HasLogType,
    HasMetadata,
    LogFilter,
    Measured,
    NoHealthCheck,
    Sampled,
    Traced,
)
from sidecar.config.model import HeaderMatcher
from sidecar.http.exchange import UNCOUNTED
from sidecar.http.response_flags import Flag
from sidecar.telemetry.expression import Occasion
from sidecar.telemetry.log_filter import compile_filter, request_number
from sidecar.telemetry.propagation import TraceContext
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, exchange

YES, NO = HasMetadata(True), HasMetadata(False)
NOW = CLOCK_START + 0.25
TRACE = TraceContext(b"1" * 32, b"2" * 16, b"", True)


def wanted(config: LogFilter, log_type: str = "DownstreamEnd", **fields: Any) -> bool:
    return compile_filter(config, Occasion(log_type), random.Random(1))(exchange(**fields), NOW)


@pytest.mark.parametrize(
    ("config", "fields", "expected"),
    [
        (Compares(Measured.STATUS, "EQ", 200), {}, True),
        (Compares(Measured.STATUS, "EQ", 200), {"status": 201}, False),
        (Compares(Measured.STATUS, "NE", 200), {"status": 201}, True),
        (Compares(Measured.STATUS, "GE", 500), {"status": 500}, True),
        (Compares(Measured.STATUS, "LE", 299), {"status": 300}, False),
        (Compares(Measured.DURATION, "GE", 250), {}, True),
        (Compares(Measured.DURATION, "GE", 251), {}, False),
        (NoHealthCheck(), {}, True),
        (NoHealthCheck(), {"filter_state": {UNCOUNTED: True}}, False),
        (Traced(), {"trace": TRACE, "request_id": b"11111111-2222-a333-8444-555555555555"}, True),
        (Traced(), {"request_id": b"11111111-2222-a333-8444-555555555555"}, False),
        (Traced(), {"trace": TRACE}, False),
        (HasHeader(HeaderMatcher(b"user-agent")), {}, True),
        (HasHeader(HeaderMatcher(b"x-none")), {}, False),
        (HasFlag(("UO", "UF")), {"flags": int(Flag.UF)}, True),
        (HasFlag(("UO",)), {"flags": int(Flag.UF)}, False),
        (HasFlag(), {"flags": int(Flag.UF)}, True),
        (HasFlag(), {}, False),
        (HasGrpcStatus(frozenset((5,))), {"response_headers": [(b"grpc-status", b"5")]}, True),
        (HasGrpcStatus(frozenset((5,)), exclude=True), {"response_headers": [(b"grpc-status", b"5")]}, False),
        (HasGrpcStatus(frozenset((14,))), {"status": 503}, True),
        (HasGrpcStatus(frozenset((2,))), {"response_headers": [(b"grpc-status", b"x")]}, False),  # none, not "unknown"
        (HasLogType(frozenset(("DownstreamEnd",))), {}, True),
        (HasLogType(frozenset(("DownstreamEnd",)), exclude=True), {}, False),
        (AllOf((YES, YES)), {}, True),
        (AllOf((YES, NO)), {}, False),
        (AnyOf((NO, YES)), {}, True),
        (AnyOf((NO, NO)), {}, False),
    ],
)
def test_what_is_told(config: LogFilter, fields: dict[str, Any], expected: bool) -> None:
    assert wanted(config, **fields) is expected


def test_a_request_is_drawn_by_its_id_on_every_hop() -> None:
    # 0x11111111 % 100 is 53
    assert wanted(Sampled(54, 100))
    assert not wanted(Sampled(53, 100))


def test_without_an_id_chance_decides() -> None:
    drawn = [wanted(Sampled(50, 100), request_id=b"") for _ in range(3)]
    assert drawn == [wanted(Sampled(50, 100, independent=True))] * 3  # of the same seed
    assert wanted(Sampled(100, 100), request_id=b"none")
    assert not wanted(Sampled(0, 100), request_id=b"none")


@pytest.mark.parametrize(("request_id", "number"), [(b"0000000a" + b"-" * 28, 10), (b"x" * 36, None), (b"1", None)])
def test_the_number_of_an_id(request_id: bytes, number: int | None) -> None:
    assert request_number(request_id) == number
