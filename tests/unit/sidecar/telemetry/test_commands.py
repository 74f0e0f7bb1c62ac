from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ConfigError
from sidecar.telemetry.commands import (
    BYTES,
    NUMBER,
    REQUEST,
    FormattedTime,
    Scope,
    by_name,
    compile_command,
    lookup_metadata,
    query_parameter,
)
from sidecar.telemetry.start_time import StartTime
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock


def test_a_command_tells_what_it_needs() -> None:
    scope = Scope(clock())
    assert compile_command(scope, "DURATION", None, None).kind == NUMBER
    first = compile_command(scope, "REQ", "X-A?x-b", None)
    again = compile_command(scope, "REQ", "x-A", 3)
    assert (first.kind, first.optional) == (BYTES, True)
    assert scope.wanted[REQUEST] == [b"x-a", b"x-b"]
    assert "headers0" in again.source


def test_configuration_never_becomes_source() -> None:
    scope = Scope(clock())
    evil = "') or __import__('os').abort() or ('"
    for name, argument in (("QUERY_PARAM", evil), ("ENVIRONMENT", evil), ("START_TIME", evil)):
        assert "abort" not in compile_command(scope, name, argument, None).source
    source = compile_command(scope, "CLUSTER_METADATA", evil, None).source
    assert repr(evil) in source
    with pytest.raises(ConfigError):
        compile_command(scope, "REQ", evil, None)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        (b"/a?x=1&y=2", b"y", b"2"),
        (b"/a?x=1&x=2", b"x", b"1"),
        (b"/a?x", b"x", b""),
        (b"/a?x=a=b", b"x", b"a=b"),
        (b"/a?xy=1", b"x", None),
        (b"/a", b"x", None),
    ],
)
def test_query_parameters(path: bytes, name: bytes, value: bytes | None) -> None:
    assert query_parameter(path, name) == value


@pytest.mark.parametrize(
    ("metadata", "keys", "value"),
    [
        ({"a": {"b": "c"}}, ("a", "b"), "c"),
        ({"a": {"b": 1.5}}, ("a", "b"), 1.5),
        ({"a": "x"}, ("a", "b"), None),
        ({}, ("a",), None),
        (None, ("a",), None),
    ],
)
def test_metadata(metadata: Any, keys: tuple[str, ...], value: Any) -> None:
    assert lookup_metadata(metadata, keys) == value


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"via", b"user-agent"]), st.binary(max_size=3))))
def test_headers_by_name_are_the_first_or_joined(headers: list[tuple[bytes, bytes]]) -> None:
    found = by_name(headers)
    for name, value in found.items():
        values = [each for key, each in headers if key == name]
        assert value == (b",".join(values) if name in (b"via", b"user-agent") else values[0])


@given(st.floats(0, 100_000))
def test_both_clocks_tell_the_same_time(seconds: float) -> None:
    time = clock()
    moment = CLOCK_START + seconds
    quick = StartTime(time).text(moment)
    slow = FormattedTime(time, "%Y-%m-%dT%H:%M:%S.%3fZ", local=False)(moment)
    # The one keeps seconds as floats, the other counts microseconds: they may differ by one in the last place.
    assert quick[:19] == slow[:19] or abs(seconds - round(seconds)) < 0.002
    assert abs(int(quick[20:23]) - int(slow[20:23])) in (0, 1, 999)
