import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.translate.hosts import common, covers, qualified, short_names

HOSTS = st.sampled_from(["*", "*.com", "*.a.com", "b.a.com", "a.com", "*a.com", "x.org", "*.b.a.com"])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("reviews", "reviews.ns.svc.cluster.local"),
        ("Reviews", "reviews.ns.svc.cluster.local"),
        ("a.b", "a.b"),
        ("*", "*"),
        ("*.Com", "*.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_short_names_are_completed(host: str, expected: str) -> None:
    assert qualified(host, "ns") == expected


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("a.com", "a.com", True),
        ("a.com", "b.com", False),
        ("*", "a.com", True),
        ("*.com", "a.com", True),
        ("*.com", "com", False),
        ("*.com", "*.a.com", True),
        ("*.a.com", "*.com", False),
        ("*.com", "*.com", True),
        ("a.com", "*.com", False),
    ],
)
def test_wildcards_cover(pattern: str, host: str, expected: bool) -> None:
    assert covers(pattern, host) == expected


@given(HOSTS, HOSTS)
def test_what_two_hosts_have_in_common_lies_in_both(one: str, other: str) -> None:
    host = common(one, other)
    assert host == common(other, one)
    if host:
        assert host in (one, other)
        assert covers(one, host) and covers(other, host)


def test_the_names_of_a_service() -> None:
    host = "reviews.a.svc.cluster.local"
    elsewhere = ("reviews.a", "reviews.a.svc", f"{host}.")
    assert short_names(host, "a") == ("reviews", *elsewhere)
    assert short_names(host, "b") == elsewhere
    assert short_names("example.com", "a") == ("example.com.",)
    assert short_names("*.example.com", "a") == ()
    assert short_names("odd.svc.cluster.local", "a") == ("odd.svc.cluster.local.",)
