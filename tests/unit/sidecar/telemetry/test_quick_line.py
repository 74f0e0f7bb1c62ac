from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.access_log import ISTIO_JSON
from sidecar.http.response_flags import Flag
from sidecar.telemetry.formatter import compile_json
from sidecar.telemetry.propagation import TraceContext
from sidecar.telemetry.quick_line import quick_json
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock, exchange

NOW = CLOCK_START + 0.0421
FIELDS = {
    **ISTIO_JSON,
    "agent": "%REQ(User-Agent)%",
    "mine": "%REQ(x-mine)%",
    "path": "%REQ(:PATH)%",
    "host": "%UPSTREAM_CLUSTER%",
    "answer": "%RESP(x-mine)%",
}


def fallback(_exchange: Any, _now: float) -> bytes:
    raise AssertionError("not needed")


headers = st.lists(
    st.tuples(
        st.sampled_from([b"user-agent", b"x-forwarded-for", b"x-mine", b"x-request-id", b"x-envoy-original-path"]),
        st.binary(max_size=8) | st.just(b"again"),
    ),
    max_size=5,
)


@given(
    headers=headers,
    response_headers=headers,
    request_id=st.sampled_from([b"", b"0f-1"]),
    original_path=st.sampled_from([b"", b"/before"]),
    details=st.text(max_size=8),
    flags=st.integers(0, max(Flag) * 2 - 1),
    status=st.integers(0, 999),
    bytes_sent=st.integers(0, 10**12),
    trace=st.none() | st.just(TraceContext(b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7", b"", True)),
)
def test_it_writes_what_the_generated_function_writes(**changes: Any) -> None:
    generated = compile_json(FIELDS, clock())
    quick = quick_json(FIELDS, clock(), generated)
    assert quick is not None
    one = exchange(**changes)
    for _ in range(2):  # the second time from what it remembers
        assert quick(one, NOW) == generated(one, NOW)


def test_what_is_not_there_is_null() -> None:
    nothing = exchange(route=None, cluster=None, endpoint=None, upstream_local="", protocol="", method=b"", path=b"")
    quick = quick_json(FIELDS, clock(), fallback)
    assert quick is not None
    assert quick(nothing, NOW) == compile_json(FIELDS, clock())(nothing, NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {"a": "%RESPONSE_CODE% and text"},
        {"a": "text"},
        {"a": {"b": "%RESPONSE_CODE%"}},
        {"a": 1.0},
        {"a": "%REQ(:PATH):3%"},
        {"a": "%REQ(A?B)%"},
        {"a": "%REQ(Host)%"},
        {"a": "%START_TIME(%s)%"},
        {"a": "%SPAN_ID%"},
        {},
    ],
)
def test_other_formats_are_left_to_the_generated_function(fields: dict[str, Any]) -> None:
    assert quick_json(fields, clock(), fallback) is None


def test_remembered_values_are_bounded() -> None:
    quick = quick_json({"a": "%REQ(x-mine)%"}, clock(), fallback)
    assert quick is not None
    for number in range(10_000):
        value = b"%d" % number
        assert quick(exchange(headers=[(b"x-mine", value)]), NOW) == b'{"a":"' + value + b'"}\n'
    assert quick(exchange(headers=[(b"x-mine", b"long" * 1000)]), NOW) == b'{"a":"' + b"long" * 1000 + b'"}\n'
