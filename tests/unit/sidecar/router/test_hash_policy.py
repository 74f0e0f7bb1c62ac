"""What a request is balanced by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from xxhash import xxh64_intdigest

from sidecar.config.model import Address, HashPolicy, HashSource
from sidecar.http.exchange import Exchange
from sidecar.router.hash_policy import HashPolicies, Key, cookie_value

HEADER = HashPolicy(HashSource.HEADER, "x-a")
QUERY = HashPolicy(HashSource.QUERY_PARAMETER, "q")
COOKIE = HashPolicy(HashSource.COOKIE, "place", ttl=60, path="/p", attributes=(("SameSite", "Lax"), ("Secure", "")))
SOURCE = HashPolicy(HashSource.SOURCE_IP)


def exchange(path: bytes = b"/", *headers: tuple[bytes, bytes]) -> Exchange:
    connection: Any = SimpleNamespace(remote=Address("10.0.0.1", 4000), local=Address("10.0.0.2", 80))
    return Exchange(connection, b"GET", path, list(headers), 0.0)


def key(request: Exchange, *policies: HashPolicy) -> Key:
    return HashPolicies(policies).key(request)


def test_each_source() -> None:
    assert key(exchange(b"/", (b"x-a", b"v")), HEADER).value == xxh64_intdigest(b"v")
    assert key(exchange(b"/?a=1&q=v&q=w"), QUERY).value == xxh64_intdigest(b"v")
    assert key(exchange(b"/", (b"cookie", b"a=b; place=v")), COOKIE).value == xxh64_intdigest(b"v")
    assert key(exchange(), SOURCE).value == xxh64_intdigest(b"10.0.0.1")


def test_nothing_there() -> None:
    assert key(exchange(), HEADER, QUERY, HashPolicy(HashSource.COOKIE, "place")) == Key()


def test_the_values_of_a_header_count_in_any_order() -> None:
    one, other = (b"x-a", b"1"), (b"x-a", b"2")
    assert key(exchange(b"/", one, other), HEADER) == key(exchange(b"/", other, one), HEADER)
    assert key(exchange(b"/", one, other), HEADER) != key(exchange(b"/", one), HEADER)


def test_a_headers_value_is_rewritten() -> None:
    policy = HashPolicy(HashSource.HEADER, "x-a", rewrite=(r"(\d+)-\d+", r"\1"))
    assert key(exchange(b"/", (b"x-a", b"7-1")), policy).value == xxh64_intdigest(b"7")


def test_policies_are_mixed_in_order() -> None:
    request = exchange(b"/?q=2", (b"x-a", b"1"))
    first, second = xxh64_intdigest(b"1"), xxh64_intdigest(b"2")
    assert key(request, HEADER, QUERY).value == (first << 1 | first >> 63) & (2**64 - 1) ^ second
    assert key(request, QUERY, HEADER) != key(request, HEADER, QUERY)
    assert key(request, HashPolicy(HashSource.HEADER, "x-b"), QUERY).value == second


def test_a_terminal_policy_is_the_last_when_there_is_a_hash() -> None:
    terminal = HashPolicy(HashSource.HEADER, "x-a", terminal=True)
    assert key(exchange(b"/?q=2", (b"x-a", b"1")), terminal, QUERY).value == xxh64_intdigest(b"1")
    assert key(exchange(b"/?q=2"), terminal, QUERY).value == xxh64_intdigest(b"2")
    assert not key(exchange(b"/", (b"x-a", b"1")), terminal, COOKIE).cookies


def test_a_cookie_is_made_up_for_the_connection() -> None:
    made = key(exchange(), COOKIE)
    value = b"%016x" % xxh64_intdigest(b"10.0.0.1:400010.0.0.2:80")
    assert made.cookies == [b'place="%b"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly' % value]
    assert made.value == xxh64_intdigest(value)
    assert key(exchange(b"/", (b"cookie", b'place="%b"' % value)), COOKIE) == Key(made.value)


def test_a_cookie_for_the_session_has_no_age() -> None:
    (cookie,) = key(exchange(), HashPolicy(HashSource.COOKIE, "c", ttl=0)).cookies
    assert cookie.endswith(b'"; HttpOnly')


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"c=1", b"1"),
        (b"a=2;c=1", b"1"),
        (b"a=2;   c=1; b=3", b"1"),
        (b'c="1"', b"1"),
        (b'c="', b'"'),
        (b"c=1=2", b"1=2"),
        (b"c=1; c=2", b"1"),
        (b"cc=1; c", b""),
        (b"c =1", b""),
        (b"", b""),
    ],
)
def test_cookies(line: bytes, value: bytes) -> None:
    assert cookie_value(exchange(b"/", (b"cookie", line)), b"c") == value


def test_a_bit_that_is_rotated_out_comes_back_in() -> None:
    """A hash with its highest bit set, mixed with another: no bit is lost."""
    value = next(b"%d" % n for n in range(100) if xxh64_intdigest(b"%d" % n) >> 63)
    request = exchange(b"/?q=2", (b"x-a", value))
    first, second = xxh64_intdigest(value), xxh64_intdigest(b"2")
    assert key(request, HEADER, QUERY).value == (((first << 1) & (2**64 - 1)) | 1) ^ second


def test_a_policy_whose_header_is_missing_leaves_the_others() -> None:
    assert key(exchange(b"/?q=2"), QUERY, HEADER).value == xxh64_intdigest(b"2")


def test_values_are_chained_each_seeds_the_next() -> None:
    request = exchange(b"/", (b"x-a", b"2"), (b"x-a", b"1"))
    assert key(request, HEADER).value == xxh64_intdigest(b"2", xxh64_intdigest(b"1"))


def test_a_parameter_without_a_value_is_an_empty_one() -> None:
    assert key(exchange(b"/?q"), QUERY).value == xxh64_intdigest(b"")
    assert key(exchange(b"/q=v"), QUERY).value is None


def test_a_cookie_without_a_lifetime_is_not_made_up() -> None:
    made = key(exchange(), HashPolicy(HashSource.COOKIE, "c", path="/p"))
    assert made == Key(None)


def test_an_empty_cookie_is_none() -> None:
    made = key(exchange(b"/", (b"cookie", b"place=")), COOKIE)
    assert len(made.cookies) == 1


@pytest.mark.parametrize("value", [b'a"', b'"a', b"a"])
def test_only_a_pair_of_quotes_goes(value: bytes) -> None:
    assert cookie_value(exchange(b"/", (b"cookie", b"c=" + value)), b"c") == value


@pytest.mark.parametrize("name", [b"name", b"mutant", b"session-id"])
def test_only_spaces_before_a_cookies_name_go(name: bytes) -> None:
    assert cookie_value(exchange(b"/", (b"cookie", b"a=1;  " + name + b"=2")), name) == b"2"
