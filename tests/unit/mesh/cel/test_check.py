from __future__ import annotations

import pytest

from mesh.cel.check import Type, check, seconds_of
from mesh.cel.parse import parse
from mesh.cel.syntax import CelError

ATTRIBUTES = {
    "request.method": Type.STRING,
    "request.headers": Type.MAP,
    "request.duration": Type.DURATION,
    "response.code": Type.INT,
    "connection.mtls": Type.BOOL,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("request.method", Type.STRING),
        ("request.headers.x", Type.STRING),
        ("request.headers['x']", Type.STRING),
        ("string(response.code)", Type.STRING),
        ("request.method + '-' + string(response.code)", Type.STRING),
        ("int(request.headers['x'])", Type.INT),
        ("connection.mtls ? 'yes' : 'no'", Type.STRING),
        ("request.duration > duration('1.5s')", Type.BOOL),
        ("'x' in request.headers", Type.BOOL),
    ],
)
def test_types(text: str, expected: Type) -> None:
    assert check(parse(text), ATTRIBUTES) is expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "request.methd == 'GET'",
            'request.methd is no attribute that is supported here; did you mean "request.method"?',
        ),
        ("response.code >= '400'", "a whole number cannot be compared with a string"),
        ("response.code > 1.5", "a whole number cannot be compared with a number with a point"),
        ("connection.mtls < true", "true or false cannot be compared"),
        ("request.method && true", "must be true or false, not a string"),
        ("response.code.startsWith('4')", "what startsWith(…) is called on must be a string, not a whole number"),
        ("request.method.lowerAscii()", ".lowerAscii(…) is not supported; there is startsWith, endsWith"),
        ("timestamp('x')", "timestamp(…) is not supported"),
        ("startsWith(request.method, 'G')", "startsWith(…) is not supported"),
        ("request.method.matches('(')", "is not a regular expression that RE2 understands"),
        ("request.method.matches(request.method)", "matches(…) takes a literal"),
        ("response.code + 1", 'each side of "+" must be a string'),
        ("response.code * 2", "arithmetic"),
        ("duration('soon')", "takes a literal such as"),
        ("response.code in ['a']", "a whole number is never in a list of others"),
        ("response.code in [1, 'a']", "a list has strings, or whole numbers, and not both"),
        ("response.code in request.method", '"in" asks a list or a map, not a string'),
        ("connection.mtls ? 1 : 'no'", "both answers of ?: must be of one type"),
        ("request.method['x']", "what a key is asked of must be a map"),
        ("request.headers[1]", "a key must be a string"),
        ("size(request.headers)", "size(…) is of a string or a list"),
        ("request.method.contains('a', 'b')", "contains(…) takes 1 argument"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(CelError) as caught:
        check(parse(text), ATTRIBUTES)
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", ["string(response.code) == '1'", "request.method + 'x' == 'y'"])
def test_filters_of_logs_convert_nothing(text: str) -> None:
    assert check(parse(text), ATTRIBUTES) is Type.BOOL
    with pytest.raises(CelError, match="not supported here: Envoy has it not in filters"):
        check(parse(text), ATTRIBUTES, conversions=False)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1.5s", 1.5), ("1m30s", 90.0), ("100ms", 0.1), ("-1h", -3600.0), ("", None), ("5", None)]
)
def test_durations(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds
