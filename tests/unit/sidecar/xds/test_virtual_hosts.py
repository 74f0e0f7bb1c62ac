"""Virtual hosts that come one by one, and the route configurations that they belong to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import DirectResponse, PathMatch, Route, RouteConfig, RouteMatch, VirtualHost
from sidecar.xds.virtual_hosts import VirtualHosts


def host(name: str, *domains: str, body: bytes = b"") -> VirtualHost:
    answer = Route(RouteMatch(PathMatch.PREFIX, "/"), DirectResponse(200, body))
    return VirtualHost(name, domains, (answer,))


def base(name: str = "r", *hosts: VirtualHost, vhds: bool = True) -> RouteConfig:
    return RouteConfig(name, hosts, vhds=vhds)


def names(configs: list[RouteConfig]) -> list[tuple[str, list[str]]]:
    return [(each.name, [host.name for host in each.virtual_hosts]) for each in configs]


def test_a_configuration_waits_for_its_first_hosts() -> None:
    store = VirtualHosts()
    assert not store.wanted
    assert store.set_bases([base()]) == []
    assert store.wanted
    assert names(store.set_hosts({"r/b": host("r/b", "b"), "r/a": host("r/a", "a")}, ())) == [("r", ["r/a", "r/b"])]
    assert names(store.set_bases([base("r", host("any", "*"))])) == [("r", ["any", "r/a", "r/b"])]


def test_an_answer_without_hosts_is_an_answer() -> None:
    store = VirtualHosts()
    store.set_bases([base()])
    assert names(store.set_hosts({}, ())) == [("r", [])]
    assert store.set_hosts({}, ()) == []


def test_one_that_has_its_hosts_in_itself_waits_for_nothing() -> None:
    store = VirtualHosts()
    whole = base("r", host("any", "*"), vhds=False)
    assert store.set_bases([whole]) == [whole]
    assert not store.wanted


def test_what_was_whole_stays_in_effect_until_the_hosts_are_there() -> None:
    store = VirtualHosts()
    store.set_bases([base("r", host("any", "*"), vhds=False)])
    assert store.set_bases([base()]) == []
    assert names(store.set_hosts({"r/a": host("r/a", "a")}, ())) == [("r", ["r/a"])]


def test_only_the_configuration_of_a_host_is_different() -> None:
    store = VirtualHosts()
    store.set_bases([base("r"), base("s")])
    store.set_hosts({"r/a": host("r/a", "a"), "s/a": host("s/a", "a")}, ())
    assert names(store.set_hosts({"s/b": host("s/b", "b")}, ())) == [("s", ["s/a", "s/b"])]
    assert names(store.set_hosts({}, ("r/a", "r/nobody"))) == [("r", [])]


def test_nobody_waits_for_ever() -> None:
    store = VirtualHosts()
    store.set_bases([base("r", host("any", "*")), base("s")])
    assert names(store.give_up({"s"})) == [("r", ["any"])]
    assert store.give_up({"s"}) == []
    assert names(store.set_hosts({"s/a": host("s/a", "a")}, ())) == [("s", ["s/a"])]


def test_hosts_outlive_a_configuration_that_goes_and_comes_back() -> None:
    store = VirtualHosts()
    store.set_bases([base()])
    store.set_hosts({"r/a": host("r/a", "a")}, ())
    store.keep(())
    assert store.set_hosts({"r/b": host("r/b", "b")}, ()) == []
    assert names(store.set_bases([base()])) == [("r", ["r/a", "r/b"])]


def test_a_domain_belongs_to_one_host() -> None:
    store = VirtualHosts()
    store.set_bases([base("r", host("any", "*"))])
    store.set_hosts({"r/a": host("r/a", "a", "A1")}, ())
    taken = "domains[1]: 'a1' is a domain of virtual host 'r/a' already"
    assert store.problems({"r/b": host("r/b", "b", "a1")}, ()) == {"r/b": taken}
    assert store.problems({"s/b": host("s/b", "a1")}, ()) == {}
    assert store.problems({"r/b": host("r/b", "*")}, ()) == {
        "r/b": "domains[0]: '*' is a domain of virtual host 'any' already"
    }
    assert list(store.problems({"r/b": host("r/b", "b"), "r/c": host("r/c", "b")}, ())) == ["r/c"]
    assert store.clashes(base("r", host("x", "a"))) == "'a' is a domain of virtual host 'r/a' already"
    assert store.clashes(base("r", host("x", "*"))) == ""


def test_a_domain_may_move() -> None:
    store = VirtualHosts()
    store.set_bases([base()])
    store.set_hosts({"r/a": host("r/a", "a")}, ())
    assert store.problems({"r/b": host("r/b", "a")}, ("r/a",)) == {}
    moved = {"r/b": host("r/b", "a"), "r/a": host("r/a", "c")}
    assert store.problems(moved, ()) == {}
    store.set_hosts(moved, ())
    assert list(store.problems({"r/d": host("r/d", "a")}, ())) == ["r/d"]


def test_the_configuration_says_how_long_an_answer_may_be() -> None:
    store = VirtualHosts()
    store.set_bases([RouteConfig("r", (), vhds=True, body_limit=3)])
    found = store.problems({"r/a": host("r/a", "a", body=b"1234"), "r/b": host("r/b", "b", body=b"123")}, ())
    assert found == {"r/a": "a direct response has 4 bytes, at most 3 are allowed"}


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.booleans())))
def test_what_came_in_pieces_is_what_would_have_come_at_once(steps: list[tuple[set[str], set[str], bool]]) -> None:
    store = VirtualHosts()
    expected: dict[str, VirtualHost] = {}
    latest = store.set_bases([base()])
    for number, (changed, removed, again) in enumerate(steps):
        new = {f"r/{each}": host(f"r/{each}", each, f"{each}{number}") for each in changed}
        gone = [f"r/{each}" for each in removed - changed]
        latest = store.set_hosts(new, gone) or latest
        expected = {name: each for name, each in {**expected, **new}.items() if name not in gone}
        if again:
            latest = store.set_bases([base()]) or latest
        assert list(latest[0].virtual_hosts) == [expected[name] for name in sorted(expected)]
        assert store.problems({"r/x": host("r/x", *(d for h in expected.values() for d in h.domains))}, ()).keys() == (
            {"r/x"} if expected else set()
        )
