"""How long a request may last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import Forward, StreamDuration
from sidecar.router.durations import final_timeout, grpc_timeout, limit, rendered


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"200m", 0.2),
        (b"3S", 3.0),
        (b"2M", 120.0),
        (b"1H", 3600.0),
        (b"200001u", 0.201),
        (b"1n", 0.001),
        (b"0S", 0.0),
        (b"soon", None),
        (b"5", None),
        (b"123456789S", None),
        (b"-1S", None),
        (b"", None),
        (None, None),
    ],
)
def test_grpc_timeouts(value: bytes | None, seconds: float | None) -> None:
    assert grpc_timeout(value) == seconds


@pytest.mark.parametrize(
    ("seconds", "value"),
    [(0.0, b"0m"), (0.2, b"200m"), (99999.999, b"99999999m"), (100_000.0, b"100000S"), (99999 * 3600.0, b"5999940M")],
)
def test_rendering(seconds: float, value: bytes) -> None:
    assert rendered(seconds) == value


@given(st.integers(0, 99_999_999), st.sampled_from(b"HMSm"))
def test_what_is_rendered_reads_back(amount: int, unit: int) -> None:
    seconds = grpc_timeout(b"%d%c" % (amount, unit))
    assert seconds is not None
    again = grpc_timeout(rendered(seconds))
    assert again is not None
    assert again <= seconds < again + 3600


@pytest.mark.parametrize(
    ("route", "manager", "header", "seconds"),
    [
        (None, 0.0, None, None),
        (None, 5.0, b"1S", 5.0),
        (StreamDuration(), 5.0, None, 5.0),
        (StreamDuration(whole=2.0), 5.0, None, 2.0),
        (StreamDuration(whole=0.0), 5.0, None, None),
        (StreamDuration(whole=2.0), 0.0, b"1S", 2.0),
        (StreamDuration(whole=2.0, grpc_max=0.0), 0.0, b"9S", 9.0),
        (StreamDuration(grpc_max=3.0), 0.0, b"9S", 3.0),
        (StreamDuration(grpc_max=3.0), 0.0, b"1S", 1.0),
        (StreamDuration(grpc_max=3.0), 0.0, b"x", None),
        (StreamDuration(grpc_max=3.0, grpc_offset=1.0), 0.0, b"9S", 2.0),
        (StreamDuration(grpc_max=3.0, grpc_offset=5.0), 0.0, b"9S", 0.0),
    ],
)
def test_limits(route: StreamDuration | None, manager: float, header: bytes | None, seconds: float | None) -> None:
    assert limit(route, manager, header) == seconds


@pytest.mark.parametrize(
    ("asked", "most", "offset", "seconds"),
    [
        (b"3S", 0.0, 0.0, 3.0),
        (b"3S", None, 0.0, 3.0),
        (b"3S", 5.0, 0.0, 3.0),
        (b"9S", 5.0, 0.0, 5.0),
        (b"9S", 9.0, 0.0, 9.0),
        (b"3S", 0.0, 1.0, 2.0),
        (b"3S", 0.0, 3.0, 3.0),  # an offset that would leave nothing is none
        (b"3S", 0.0, 4.0, 3.0),
        (b"9S", 5.0, 1.0, 5.0),
        (None, 0.0, 1.0, 0.0),
        (None, 5.0, 0.0, 5.0),
        (b"0S", 5.0, 0.0, 5.0),
        (b"soon", 5.0, 0.0, 5.0),
    ],
)
def test_what_a_grpc_request_may_take(asked: bytes | None, most: float | None, offset: float, seconds: float) -> None:
    assert final_timeout(asked, Forward((), max_grpc_timeout=most, grpc_timeout_offset=offset)) == seconds


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (6e6, b"6000000S"),
        (1e8, b"1666666M"),
        (6e9, b"1666666H"),
        (99_999_999 * 3600.0, b"99999999H"),
        (1e15, b"99999999H"),
    ],
)
def test_the_finest_unit_that_has_room(seconds: float, value: bytes) -> None:
    assert rendered(seconds) == value
