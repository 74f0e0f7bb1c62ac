"""Finding a route."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import (
    Forward,
    HeaderAdd,
    HeaderMatcher,
    HeaderOps,
    PathMatch,
    QueryMatcher,
    Route,
    RouteConfig,
    RouteMatch,
    StringMatch,
    StringMatcher,
    VirtualHost,
    WeightedCluster,
)
from sidecar.http.exchange import Exchange
from sidecar.router.table import RouteTable, path_test


def route(name: str, match: RouteMatch, *clusters: tuple[str, int]) -> Route:
    weighted = tuple(WeightedCluster(cluster, weight) for cluster, weight in clusters or ((name, 1),))
    return Route(match, Forward(weighted), name=name)


def table(*routes: Route, domains: tuple[str, ...] = ("*",)) -> RouteTable:
    return RouteTable(RouteConfig("r", (VirtualHost("v", domains, routes),)), rng=random.Random(1))


def exchange(path: bytes = b"/", authority: bytes = b"a", **headers: bytes) -> Exchange:
    made = Exchange(
        None, b"GET", path, [(name.replace("_", "-").encode(), value) for name, value in headers.items()], 0.0
    )
    made.authority = authority
    return made


def found(routes: RouteTable, request: Exchange) -> str | None:
    match = routes.find(request)
    return match.name if match else None


def test_first_match_wins_over_a_better_one() -> None:
    routes = table(route("any", RouteMatch(PathMatch.PREFIX, "/")), route("exact", RouteMatch(PathMatch.PATH, "/a")))
    assert found(routes, exchange(b"/a")) == "any"


@pytest.mark.parametrize(
    ("kind", "value", "path", "matches"),
    [
        (PathMatch.PREFIX, "/v2", b"/v2example", True),
        (PathMatch.SEPARATED_PREFIX, "/v2", b"/v2example", False),
        (PathMatch.SEPARATED_PREFIX, "/v2", b"/v2/x", True),
        (PathMatch.SEPARATED_PREFIX, "/v2", b"/v2", True),
        (PathMatch.PATH, "/v2", b"/v2", True),
        (PathMatch.PATH, "/v2", b"/v2/", False),
        (PathMatch.REGEX, "/v[0-9]+", b"/v22", True),
        (PathMatch.REGEX, "/v[0-9]+", b"/v22/x", False),
        (PathMatch.CONNECT, "", b"", True),
        (PathMatch.CONNECT, "", b"/x", False),
    ],
)
def test_path_matchers(kind: PathMatch, value: str, path: bytes, matches: bool) -> None:
    assert path_test(RouteMatch(kind, value))(path) is matches


def test_case_is_ignored_on_request() -> None:
    assert path_test(RouteMatch(PathMatch.PREFIX, "/Abc", case_sensitive=False))(b"/aBCd")


def test_the_query_is_no_part_of_the_path() -> None:
    routes = table(route("exact", RouteMatch(PathMatch.PATH, "/a")))
    assert found(routes, exchange(b"/a?x=1")) == "exact"


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"a.b.c", "exact"),
        (b"A.B.C", "exact"),
        (b"x.b.c", "longest suffix"),
        (b"x.y.c", "suffix"),
        (b"foo.bar", "prefix"),
        (b"else", "any"),
    ],
)
def test_host_precedence(authority: bytes, host: str) -> None:
    hosts = {"any": "*", "prefix": "foo.*", "suffix": "*.c", "longest suffix": "*.b.c", "exact": "a.b.c"}
    everything = RouteMatch(PathMatch.PREFIX, "/")
    vhosts = tuple(VirtualHost(name, (domain,), (route(name, everything),)) for name, domain in hosts.items())
    assert found(RouteTable(RouteConfig("r", vhosts)), exchange(authority=authority)) == host


def test_no_host_no_route() -> None:
    assert found(table(route("r", RouteMatch(PathMatch.PREFIX, "/")), domains=("b",)), exchange(authority=b"a")) is None


@pytest.mark.parametrize(
    ("matcher", "value", "matches"),
    [
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v")), b"v", True),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v")), b"w", False),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.EXACT, "v"), invert=True), b"w", True),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.CONTAINS, "V", ignore_case=True)), b"avb", True),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.REGEX, "a.c")), b"abc", True),
        (HeaderMatcher(b"x", StringMatcher(StringMatch.REGEX, "a.c")), b"abcd", False),
        (HeaderMatcher(b"x", value_range=(1, 10)), b"9", True),
        (HeaderMatcher(b"x", value_range=(1, 10)), b"10", False),
        (HeaderMatcher(b"x", value_range=(1, 10)), b"no", False),
        (HeaderMatcher(b"x"), b"", True),
        (HeaderMatcher(b"y"), b"v", False),
        (HeaderMatcher(b"y", present=False), b"v", True),
        (HeaderMatcher(b"y", StringMatcher(StringMatch.EXACT, ""), treat_missing_as_empty=True), b"v", True),
    ],
)
def test_header_matchers(matcher: HeaderMatcher, value: bytes, matches: bool) -> None:
    routes = table(route("r", RouteMatch(PathMatch.PREFIX, "/", headers=(matcher,))))
    assert (found(routes, exchange(x=value)) == "r") is matches


def test_query_matchers_see_the_first_value() -> None:
    matcher = QueryMatcher("q", StringMatcher(StringMatch.EXACT, "1"))
    routes = table(route("r", RouteMatch(PathMatch.PREFIX, "/", query=(matcher,))))
    assert found(routes, exchange(b"/?q=1&q=2")) == "r"
    assert found(routes, exchange(b"/?q=2&q=1")) is None


def test_shares_follow_the_weights() -> None:
    routes = table(route("split", RouteMatch(PathMatch.PREFIX, "/"), ("a", 90), ("b", 10), ("never", 0)))
    match = routes.find(exchange())
    assert match is not None
    drawn = [match.draw(exchange()).cluster for _ in range(10_000)]
    assert "never" not in drawn
    assert 850 < drawn.count("b") < 1150


paths = st.text(alphabet="ab/", max_size=6).map(lambda text: "/" + text)
matches = st.builds(
    RouteMatch, st.sampled_from([PathMatch.PREFIX, PathMatch.PATH, PathMatch.SEPARATED_PREFIX]), paths, st.booleans()
)


@given(st.lists(matches, max_size=30), paths)
def test_the_index_finds_what_a_walk_finds(written: list[RouteMatch], path: str) -> None:
    routes = [route(str(order), match) for order, match in enumerate(written)]
    walked = next((r.name for r in routes if path_test(r.match)(path.encode())), None)
    assert found(table(*routes), exchange(path.encode())) == walked


@pytest.mark.parametrize(
    ("specific_last", "values"), [(False, [b"c", b"r", b"v", b"t"]), (True, [b"c", b"t", b"v", b"r"])]
)
def test_the_order_of_levels(specific_last: bool, values: list[bytes]) -> None:
    def ops(value: str) -> HeaderOps:
        return HeaderOps((HeaderAdd(b"h", value),))

    forward = Forward((WeightedCluster("a", 1, request_ops=ops("c")),))
    made = Route(RouteMatch(PathMatch.PREFIX, "/"), forward, request_ops=ops("r"))
    host = VirtualHost("v", ("*",), (made,), request_ops=ops("v"))
    routes = RouteTable(RouteConfig("t", (host,), request_ops=ops("t"), specific_last=specific_last))
    request = exchange()
    match = routes.find(request)
    assert match is not None
    for mutate in match.draw(request).request_ops:
        mutate(request, request.headers)
    assert request.header_values(b"h") == values


@pytest.mark.fault("F:sidecar/router/table.py:302")
@pytest.mark.parametrize("count", [1, 20])
def test_a_regular_expression_that_is_written_first_wins(count: int) -> None:
    """In a host with an index of its routes (many), and in one without (few)."""
    rest = [route(f"prefix {number}", RouteMatch(PathMatch.PREFIX, f"/a{number}")) for number in range(count)]
    rest.append(route("exact", RouteMatch(PathMatch.PATH, "/a0/x")))
    regex = route("regex", RouteMatch(PathMatch.REGEX, "/a.*"))
    assert found(table(regex, *rest), exchange(b"/a0/x")) == "regex"
    assert found(table(*rest, regex), exchange(b"/a0/x")) == "prefix 0"
    assert found(table(rest[-1], regex, *rest[:-1]), exchange(b"/a0/x")) == "exact"
    assert found(table(rest[-1], regex, *rest[:-1]), exchange(b"/a0/y")) == "regex"


@pytest.mark.fault("F:sidecar/router/table.py:409")
def test_a_wildcard_stands_for_something() -> None:
    everything = route("any", RouteMatch(PathMatch.PREFIX, "/"))
    suffix, prefix = table(everything, domains=("*.x",)), table(everything, domains=("x.*",))
    assert [found(suffix, exchange(authority=host)) for host in (b".x", b"a.x", b"x")] == [None, "any", None]
    assert [found(prefix, exchange(authority=host)) for host in (b"x.", b"x.a", b"x")] == [None, "any", None]


class Drawn(random.Random):
    """Draws always the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("drawn", "fraction", "taken"), [(0.0, 0, False), (0.5, 500_000, False), (0.4999, 500_000, True)]
)
def test_a_route_may_be_for_a_fraction_only(drawn: float, fraction: int, taken: bool) -> None:
    routes = (route("some", RouteMatch(PathMatch.PREFIX, "/", fraction=fraction)),)
    config = RouteConfig("r", (VirtualHost("v", ("*",), routes),))
    assert (found(RouteTable(config, rng=Drawn(drawn)), exchange()) == "some") is taken


@pytest.mark.parametrize("count", [0, 20])
def test_a_prefix_is_found_in_an_index(count: int) -> None:
    rest = [route(f"exact {number}", RouteMatch(PathMatch.PATH, f"/e{number}")) for number in range(count)]
    routes = table(
        *rest, route("prefix", RouteMatch(PathMatch.PREFIX, "/p")), route("rest", RouteMatch(PathMatch.PREFIX, "/"))
    )
    assert [found(routes, exchange(path)) for path in (b"/p", b"/px", b"/x", b"/")] == [
        "prefix",
        "prefix",
        "rest",
        "rest",
    ]
