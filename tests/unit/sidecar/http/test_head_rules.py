from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import Address, Hcm, HeaderAdd, RemoveMatching, StringMatch, StringMatcher
from sidecar.http.exchange import Exchange
from sidecar.http.head_rules import (
    early_mutations,
    host_rule,
    identification,
    path_rule,
    unescape_slashes,
    without_trailing_dot,
)
from sidecar.telemetry.stats import HttpStats, Stats

STATS = HttpStats(Stats(), "test")


def exchange(path: bytes = b"/", headers: list[tuple[bytes, bytes]] | None = None, **fields: Any) -> Exchange:
    downstream = SimpleNamespace(local=Address("127.0.0.1", 81))
    made = Exchange(downstream, b"GET", path, headers or [], 0.0)
    made.indexed_headers = dict(headers or [])
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def hcm(**fields: Any) -> Hcm:
    return Hcm("test", (), **fields)


def test_nothing_to_do_is_nothing() -> None:
    def forwarded(_exchange: Exchange) -> None:
        raise AssertionError

    assert path_rule(hcm(), STATS) is None
    assert host_rule(hcm()) is None
    assert identification(hcm(), forwarded, "node", "cluster") is None


@pytest.mark.parametrize(
    ("path", "unescaped", "found"),
    [
        (b"/a%2Fb%2fc", b"/a/b/c", True),
        (b"/a%5Cb", b"/a\\b", True),
        (b"/a?b=%2F", b"/a?b=%2F", False),
        (b"/%252F", b"/%252F", False),
    ],
)
def test_escaped_slashes(path: bytes, unescaped: bytes, found: bool) -> None:
    assert unescape_slashes(path) == (unescaped, found)


@given(st.binary(max_size=20))
def test_no_escaped_slash_is_left(path: bytes) -> None:
    unescaped, found = unescape_slashes(path)
    if not found:
        assert unescaped == path
    assert unescaped.partition(b"?")[2] == path.partition(b"?")[2]


def test_what_is_done_about_escaped_slashes() -> None:
    path = b"/a%2F..%2fb"
    for action, status in (("REJECT_REQUEST", 400), ("UNESCAPE_AND_REDIRECT", 307)):
        rule = path_rule(hcm(escaped_slashes=action, normalize_path=True), STATS)
        assert rule is not None
        answer = rule(exchange(path))
        assert answer is not None
        assert answer.status == status
        assert rule(exchange(b"/plain")) is None
    assert answer.headers == ((b"location", b"/b"),)
    forwarding = path_rule(hcm(escaped_slashes="UNESCAPE_AND_FORWARD"), STATS)
    made = exchange(path)
    assert forwarding is not None
    assert forwarding(made) is None
    assert made.path == b"/a/../b"


@pytest.mark.parametrize(
    ("authority", "expected"),
    [(b"a.", b"a"), (b"a", b"a"), (b"a.:80", b"a:80"), (b"a:80", b"a:80"), (b"a..", b"a."), (b"a.:x", b"a.:x")],
)
def test_trailing_dots(authority: bytes, expected: bytes) -> None:
    assert without_trailing_dot(authority) == expected


def test_ports_of_the_host() -> None:
    for config, authority, expected in (
        (hcm(strip_any_host_port=True), b"a:80", b"a"),
        (hcm(strip_matching_host_port=True), b"a:81", b"a"),
        (hcm(strip_matching_host_port=True), b"a:80", b"a:80"),
        (hcm(strip_trailing_host_dot=True, strip_any_host_port=True), b"a.:80", b"a"),
    ):
        rule, made = host_rule(config), exchange(authority=authority)
        assert rule is not None
        rule(made)
        assert made.authority == expected


def test_early_mutations_are_seen_by_all() -> None:
    made = exchange(headers=[(b"x-a", b"0"), (b"x-request-id", b"theirs"), (b"x-forwarded-for", b"1.1.1.1")])
    early_mutations(
        (
            HeaderAdd(b"x-request-id", "mine"),
            b"x-a",
            RemoveMatching(StringMatcher(StringMatch.PREFIX, "x-forwarded")),
            HeaderAdd(b"x-b", "1"),
        )
    )(made)
    assert made.headers == [(b"x-request-id", b"theirs"), (b"x-request-id", b"mine"), (b"x-b", b"1")]
    assert made.indexed_headers == {b"x-request-id": b"theirs,mine"}


def test_who_we_are() -> None:
    seen: list[str] = []
    apply = identification(
        hcm(add_user_agent=True, scheme="https", append_x_forwarded_port=True),
        lambda _: seen.append("forwarded"),
        "n",
        "c",
    )
    made = exchange(headers=[(b"user-agent", b"me")])
    assert apply is not None
    apply(made)
    assert seen == ["forwarded"]
    assert made.scheme == b"https"
    assert dict(made.headers) == {
        b"x-forwarded-proto": b"https",
        b"user-agent": b"me",
        b"x-envoy-downstream-service-cluster": b"c",
        b"x-envoy-downstream-service-node": b"n",
        b"x-forwarded-port": b"81",
    }
