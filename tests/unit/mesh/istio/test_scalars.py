from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mesh.istio.model import Message
from mesh.istio.scalars import (
    MAX_REGEX_LENGTH,
    Count,
    Duration,
    ExportTo,
    HttpStatus,
    Labels,
    OptionalDnsLabel,
    Percentage,
    PortNumber,
    Regex,
    Rows,
    WholePercent,
    host_problem,
    parse_duration,
    regex_problem,
    rewrite_problem,
)


class Sample(Message):
    duration: Duration | None = None
    port: PortNumber | None = None
    count: Count = 0
    percentage: Percentage = 0.0
    whole: WholePercent = 0
    status: HttpStatus | None = None
    regex: Regex = ""
    label: OptionalDnsLabel = ""
    labels: Labels | None = None
    rows: Rows[str] = ()
    export_to: ExportTo = ()
    text: str = ""
    flag: bool = False


def value(field: str, written: Any) -> Any:
    return getattr(Sample.model_validate({field: written}), field)


def message(field: str, written: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({field: written})
    (error,) = caught.value.errors()
    assert error["loc"][0] == field
    return str(error["msg"])


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("1h10m", 4200.0),
        ("1h10m30s", 4230.0),
        ("1ms", 0.001),
        ("1000us", 0.001),
        ("1000µs", 0.001),
        ("2000000ns", 0.002),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("+3s", 3.0),
        ("7200s", 7200.0),
    ],
)
def test_durations(written: str, seconds: float) -> None:
    assert value("duration", written) == seconds


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (5, 'must be a duration such as "1.5s", "100ms" or "1h10m", not 5, did you mean "5s"?'),
        ("5", 'not "5", did you mean "5s"?'),
        (1.5, 'not 1.5, did you mean "1.5s"?'),
        (True, "not true"),
        ("", 'not ""'),
        ("s", 'not "s"'),
        ("1d", 'not "1d"'),
        ("1 s", 'not "1 s"'),
        ("٣s", "must be a duration"),
        ("0s", "must be at least 1ms"),
        ("0.5ms", "must be at least 1ms"),
        ("-1s", "must not be negative"),
        ("1.0005s", "a whole number of milliseconds"),
        ("9999999999h", "is too long"),
        ({}, "not a mapping"),
    ],
)
def test_what_is_no_duration(written: Any, expected: str) -> None:
    assert expected in message("duration", written)


@given(st.integers(min_value=1, max_value=10**12))
def test_every_number_of_milliseconds_is_a_duration_in_any_unit(milliseconds: int) -> None:
    seconds = Decimal(milliseconds) / 1000
    assert value("duration", f"{milliseconds}ms") == float(seconds)
    assert value("duration", f"{seconds:f}s") == float(seconds)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, rest = divmod(rest, 1000)
    assert value("duration", f"{hours}h{minutes}m{whole}s{rest}ms") == float(seconds)


@given(st.text())
def test_any_text_is_a_duration_or_none(text: str) -> None:
    seconds = parse_duration(text)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("port", [1, 80, 65535, 80.0])
def test_ports(port: Any) -> None:
    assert value("port", port) == int(port)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0, "must be a port number from 1 to 65535, not 0"),
        (65536, "must be a port number from 1 to 65535, not 65536"),
        (-1, "must be a port number"),
        ("80", 'must be an integer, not "80"; leave out the quotes'),
        (80.5, "must be an integer, not 80.5"),
        (True, "must be an integer, not true"),
        ([80], "must be an integer, not a list"),
    ],
)
def test_what_is_no_port(written: Any, expected: str) -> None:
    assert expected in message("port", written)


@pytest.mark.parametrize("percentage", [0, 0.0, 0.0001, 50, 99.99, 100])
def test_percentages(percentage: float) -> None:
    assert value("percentage", percentage) == percentage


@pytest.mark.parametrize("percentage", [0.00001, -1, 100.1])
def test_what_is_no_percentage(percentage: float) -> None:
    assert "must be 0, or from 0.0001 to 100" in message("percentage", percentage)


def test_numbers_have_bounds_and_no_quotes() -> None:
    assert message("count", -1) == "must be at least 0, not -1"
    assert message("whole", 101) == "must be at most 100, not 101"
    assert message("status", 199) == "must be an HTTP status from 200 to 599, not 199"
    assert message("percentage", "5") == 'must be a number, not "5"; leave out the quotes'
    assert message("percentage", "many") == 'must be a number, not "many"'


def test_strings_and_booleans_are_not_guessed() -> None:
    assert message("text", 5) == "must be a string, not 5; put it in quotes"
    assert message("text", True) == "must be a string, not true; put it in quotes"
    assert message("flag", "true") == 'must be true or false, not "true"; leave out the quotes'
    assert message("flag", "yes") == 'must be true or false, not "yes"'
    assert message("flag", 1) == "must be true or false, not 1"
    assert message("rows", "a") == 'must be a list, not "a"'


def test_regular_expressions_are_re2s() -> None:
    assert value("regex", "^/item/[0-9]+$") == "^/item/[0-9]+$"
    assert "missing )" in message("regex", "(a")
    assert "RE2" in message("regex", r"(a)\1")
    assert "RE2" in message("regex", "(?=a)")
    assert message("regex", "") == "must not be an empty regular expression"
    assert str(MAX_REGEX_LENGTH) in message("regex", "a" * (MAX_REGEX_LENGTH + 1))
    assert regex_problem("a" * MAX_REGEX_LENGTH) == ""
    assert "32768 is the limit" in regex_problem(r"\pL{100}")


@given(st.text(max_size=50))
def test_any_text_is_a_regular_expression_or_has_a_problem(text: str) -> None:
    assert isinstance(regex_problem(text), str)


@pytest.mark.parametrize(
    ("regex", "rewrite", "good"),
    [
        ("^/a/(.*)$", r"/b/\1", True),
        ("^/a/(.*)$", r"/b/\0", True),
        ("^/a/(.*)$", r"/b/\\", True),
        ("^/a/(.*)$", r"/b/\2", False),
        ("^/a/(.*)$", "/b/\\", False),
        ("^/a/(.*)$", r"/b/\x", False),
        ("^/a/(.*)$", "", False),
    ],
)
def test_rewrites_name_groups_that_are_there(regex: str, rewrite: str, good: bool) -> None:
    assert (rewrite_problem(regex, rewrite) == "") is good


@pytest.mark.parametrize(
    ("host", "plain", "wildcard"),
    [
        ("reviews", True, True),
        ("reviews.default.svc.cluster.local", True, True),
        ("Example.COM", True, True),
        ("example.com.", True, True),
        ("*.example.com", False, True),
        ("*", False, True),
        ("*-eu.example.com", False, True),
        ("a.*.com", False, False),
        ("", False, False),
        (".", False, False),
        ("-a.com", False, False),
        ("a_b.com", False, False),
        ("a..com", False, False),
        ("10.1.2.3", False, False),
        ("a" * 64, False, False),
        (".".join(["a" * 63] * 4) + ".a", False, False),
    ],
)
def test_hosts(host: str, plain: bool, wildcard: bool) -> None:
    assert (host_problem(host, wildcard=False) == "") is plain
    assert (host_problem(host, wildcard=True) == "") is wildcard


def test_labels() -> None:
    good = {"app": "reviews", "app.kubernetes.io/name": "x_y.z", "version": ""}
    assert value("labels", good) == good
    assert "is not a label name" in message("labels", {"-a": "b"})
    assert "is not a label value" in message("labels", {"a": "b c"})
    assert message("labels", {"version": 1}) == "must be a string, not 1; put it in quotes"
    assert "must be a DNS label" in message("label", "v_1")
    assert value("label", "") == ""


@pytest.mark.parametrize("good", [["*"], ["."], ["~"], [".", "shop"], []])
def test_export_to_names_namespaces(good: list[str]) -> None:
    assert Sample.model_validate({"exportTo": good}).export_to == tuple(good)


@pytest.mark.parametrize("bad", [["*", "."], ["~", "shop"], ["a", "a"], ["A.B"], [""]])
def test_what_is_no_export(bad: list[str]) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate({"exportTo": bad})
