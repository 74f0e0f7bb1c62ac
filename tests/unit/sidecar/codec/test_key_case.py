from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.codec.key_case import RememberingRequests, RememberingResponses, as_sent, proper_case, spell

NAMES = st.text("abcXYZ019-_.", min_size=1, max_size=12).map(str.encode)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"content-type", b"Content-Type"),
        (b"x-a_b.c1d", b"X-A_B.C1d"),
        (b"etag", b"Etag"),
        (b"-a", b"-A"),
        (b"1a", b"1a"),
    ],
)
def test_proper_case(name: bytes, expected: bytes) -> None:
    assert proper_case(name) == expected


def test_only_names_are_spelled() -> None:
    head = b"GET /a: b HTTP/1.1\r\nhost: h: x\r\nx-a: b: c\r\n\r\nbody: x\r\ny: z"
    assert spell(head, bytes.upper) == b"GET /a: b HTTP/1.1\r\nHOST: h: x\r\nX-A: b: c\r\n\r\nbody: x\r\ny: z"


@given(st.lists(NAMES, max_size=5, unique_by=bytes.lower))
def test_what_was_remembered_comes_back(names: list[bytes]) -> None:
    parser = RememberingRequests()
    head = b"GET / HTTP/1.1\r\n" + b"".join(name + b": v\r\n" for name in names) + b"\r\n"
    parser.parse(head)
    lower = b"GET / HTTP/1.1\r\n" + b"".join(name.lower() + b": v\r\n" for name in names) + b"\r\n"
    assert spell(lower, as_sent(parser.names, None)) == head


def test_what_was_not_there_has_the_other_spelling() -> None:
    parser = RememberingResponses()
    parser.parse(b"HTTP/1.1 200 OK\r\nX-oNe: 1\r\nx-One: 2\r\n\r\n")
    spelling = as_sent(parser.names, proper_case)
    assert (spelling(b"x-one"), spelling(b"date")) == (b"X-oNe", b"Date")
    assert as_sent(parser.names, None)(b"date") == b"date"


def test_a_parser_forgets_with_each_head() -> None:
    parser = RememberingRequests()
    parser.parse(b"GET / HTTP/1.1\r\nX-A: 1\r\n\r\n")
    before = parser.names
    parser.parse(b"GET / HTTP/1.1\r\nx-a: 1\r\n\r\n")
    assert (before, parser.names) == ({b"x-a": b"X-A"}, {b"x-a": b"x-a"})
