"""Finding a route."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import (
    NO_OPS,
    DirectResponse,
    Forward,
    HashPolicy,
    HashSource,
    HeaderAdd,
    HeaderMatcher,
    HeaderOps,
    Mirror,
    PathMatch,
    QueryMatcher,
    Redirect,
    RequireTls,
    RetryPolicy,
    Rewrite,
    Route,
    RouteConfig,
    RouteMatch,
    StringMatch,
    StringMatcher,
    VirtualHost,
    WeightedCluster,
)
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.router.header_ops import Mutation
from sidecar.router.table import CompiledRoute, RouteTable, path_test, without_port


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


# ── what a route says ─────────────────────────────────────────────────────────────────────────────────────────────────

EVERYTHING = RouteMatch(PathMatch.PREFIX, "/")
UP = (WeightedCluster("up", 1),)


def compiled(action: Forward | Redirect | DirectResponse, **host: Any) -> CompiledRoute:
    return compiled_route(Route(EVERYTHING, action), **host)


def compiled_route(made: Route, **host: Any) -> CompiledRoute:
    found = RouteTable(RouteConfig("r", (VirtualHost("v", ("*",), (made,), **host),))).virtual_host(b"a")
    assert found is not None
    return found.routes[0]


def test_a_route_that_only_forwards() -> None:
    made = compiled(Forward(UP))
    assert made.forward is made.action
    assert (made.timeout, made.idle_timeout, made.body_limit) == (15.0, -1.0, -1)
    assert made.retry is made.path_rewrite is made.hash_policies is made.extras is None
    assert made.host_rewrite == b""
    assert not (made.high_priority or made.host_from_upstream or made.appends_forwarded_host)
    assert not (made.tells_attempts or made.tells_client_attempts or made.looks_into_tunnels)
    assert made.filters == made.response_filters == made.response_ops == ()
    assert made.destination is not None
    assert made.destination.cluster == "up"


@pytest.mark.parametrize("action", [Redirect(), DirectResponse(200)])
def test_a_route_that_does_not_forward(action: Redirect | DirectResponse) -> None:
    made = compiled(action, retry=RetryPolicy(frozenset({"5xx"})), mirrors=(Mirror("m"),), hedges=True)
    assert made.forward is made.retry is made.extras is made.destination is made.path_rewrite is None
    assert (made.timeout, made.idle_timeout) == (0.0, -1.0)


def test_a_redirect_may_rewrite_the_path() -> None:
    rewrite = compiled(Redirect(prefix="/b")).path_rewrite
    assert rewrite is not None
    assert rewrite(b"/a") == b"/ba"


def test_what_a_route_asks_for_when_forwarding() -> None:
    rewrite = Rewrite(prefix="/b", host="h", host_from_upstream=True, append_forwarded_host=True)
    policies = (HashPolicy(HashSource.SOURCE_IP),)
    made = compiled(
        Forward(UP, timeout=2.0, idle_timeout=0.0, high_priority=True, hash_policies=policies, rewrite=rewrite)
    )
    assert (made.timeout, made.idle_timeout, made.host_rewrite) == (2.0, 0.0, b"h")
    assert made.high_priority
    assert made.host_from_upstream
    assert made.appends_forwarded_host
    assert made.hash_policies is not None
    assert made.path_rewrite is not None
    assert made.path_rewrite(b"/a") == b"/ba"


@pytest.mark.parametrize(
    ("route", "host", "bytes_kept"), [(None, None, -1), (None, 7, 7), (5, 7, 5), (0, 7, 0), (None, 0, 0), (3, None, 3)]
)
def test_the_more_specific_level_says_how_much_of_a_body_is_kept(
    route: int | None, host: int | None, bytes_kept: int
) -> None:
    assert (
        compiled_route(Route(EVERYTHING, Forward(UP), retry_buffer=route), retry_buffer=host).body_limit == bytes_kept
    )


def test_a_host_says_who_is_told_of_attempts() -> None:
    upstream, downstream = (
        compiled(Forward(UP), include_attempt_count=True),
        compiled(Forward(UP), include_attempt_count_in_response=True),
    )
    assert (upstream.tells_attempts, upstream.tells_client_attempts) == (True, False)
    assert (downstream.tells_attempts, downstream.tells_client_attempts) == (False, True)


def test_a_routes_retries_go_before_its_hosts() -> None:
    own, of_host = RetryPolicy(frozenset({"5xx"})), RetryPolicy(frozenset({"reset"}), per_try_timeout=3.0)
    both, inherited = compiled(Forward(UP, retry=own), retry=of_host), compiled(Forward(UP, timeout=2.0), retry=of_host)
    assert both.retry is not None
    assert both.retry.policy is own
    assert inherited.retry is not None
    assert inherited.retry.policy is of_host
    assert inherited.retry.per_try_timeout == 0.0  # of no meaning beside the route's time-out


def test_routes_of_one_policy_and_one_time_share_a_plan() -> None:
    policy = RetryPolicy(frozenset({"5xx"}), per_try_timeout=3.0)
    routes = [Route(EVERYTHING, Forward(UP, retry=policy, timeout=seconds)) for seconds in (5.0, 5.0, 2.0)]
    host = RouteTable(RouteConfig("r", (VirtualHost("v", ("*",), tuple(routes)),))).virtual_host(b"a")
    assert host is not None
    one, other, shorter = (made.retry for made in host.routes)
    assert one is other
    assert shorter is not one
    assert one is not None
    assert shorter is not None
    assert (one.per_try_timeout, shorter.per_try_timeout) == (3.0, 0.0)


def test_routes_share_the_operations_that_are_equal() -> None:
    def ops() -> HeaderOps:
        return HeaderOps((HeaderAdd(b"h", "1"),))

    routes = RouteTable(RouteConfig("r", ()))
    assert routes.mutations([ops()]) is routes.mutations([NO_OPS, ops()])
    assert routes.mutations([NO_OPS]) == ()
    assert len(routes.mutations([ops(), ops()])) == 2


def test_metadata_asks_to_look_into_tunnels() -> None:
    def looks(metadata: dict[str, Any]) -> bool:
        return compiled_route(Route(EVERYTHING, Forward(UP), metadata=metadata)).looks_into_tunnels

    assert looks({"mesh.connect": {"http2": True}})
    assert not looks({"mesh.connect": {"http2": False}})
    assert not looks({"mesh.connect": {}})
    assert not looks({"other": {"http2": True}})


@pytest.mark.parametrize("specific_last", [False, True])
def test_responses_are_changed_level_by_level_too(specific_last: bool) -> None:
    def ops(value: str) -> HeaderOps:
        return HeaderOps((HeaderAdd(b"h", value),))

    forward = Forward((WeightedCluster("a", 1, response_ops=ops("c")),))
    made = Route(EVERYTHING, forward, response_ops=ops("r"))
    host = VirtualHost("v", ("*",), (made,), response_ops=ops("v"))
    routes = RouteTable(RouteConfig("t", (host,), response_ops=ops("t"), specific_last=specific_last))
    request = exchange()
    found = routes.find(request)
    assert found is not None
    levels = [b"t", b"v", b"r"] if specific_last else [b"r", b"v", b"t"]

    def values(mutations: tuple[Mutation, ...]) -> list[bytes]:
        headers: Headers = []
        for mutate in mutations:
            mutate(request, headers)
        return [value for _, value in headers]

    assert values(found.response_ops) == levels
    assert values(found.draw(request).response_ops) == values(found.draw(request).reply_ops) == [b"c", *levels]


def test_a_destination_may_set_cookies_for_one_request() -> None:
    ops = HeaderOps((HeaderAdd(b"h", "1"),))
    destination = compiled(Forward((WeightedCluster("a", 1, response_ops=ops, host_rewrite="other"),))).destination
    assert destination is not None
    assert destination.host_rewrite == b"other"
    setting = destination.setting_cookies([b"a=1", b"b=2"])
    headers: Headers = []
    for mutate in setting.response_ops:
        mutate(exchange(), headers)
    assert headers == [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"h", b"1")]
    assert setting.reply_ops == destination.reply_ops == destination.response_ops
    assert (setting.cluster, setting.request_ops) == ("a", ())


def test_a_single_cluster_needs_no_weight() -> None:
    made = compiled(Forward((WeightedCluster("up", 0),)))
    assert made.destination is not None
    assert made.destination.cluster == "up"


def test_of_two_clusters_one_without_weight_gets_nothing() -> None:
    made = compiled(Forward((WeightedCluster("none", 0), WeightedCluster("up", 1))))
    assert made.destination is not None
    assert made.destination.cluster == "up"


@pytest.mark.parametrize(("drawn", "cluster"), [(0.0, "a"), (0.29, "a"), (0.3, "b"), (0.99, "b")])
def test_a_draw_goes_by_the_weights(drawn: float, cluster: str) -> None:
    made = route("split", EVERYTHING, ("a", 30), ("b", 70))
    routes = RouteTable(RouteConfig("r", (VirtualHost("v", ("*",), (made,)),)), rng=Drawn(drawn))
    found = routes.find(exchange())
    assert found is not None
    assert found.draw(exchange()).cluster == cluster


def test_grpc_routes_take_grpc_requests_only() -> None:
    routes = table(route("grpc", RouteMatch(PathMatch.PREFIX, "/", grpc=True)))
    assert found(routes, exchange(content_type=b"application/grpc")) == "grpc"
    assert found(routes, exchange(content_type=b"text/plain")) is None
    assert found(routes, exchange()) is None


@pytest.mark.parametrize(
    ("kind", "value", "path", "matches"),
    [
        (PathMatch.PREFIX, "/Abc", b"/aBC", True),
        (PathMatch.PATH, "/Abc", b"/aBC", True),
        (PathMatch.PATH, "/Abc", b"/aBCd", False),
        (PathMatch.SEPARATED_PREFIX, "/Abc", b"/aBC/d", True),
        (PathMatch.SEPARATED_PREFIX, "/Abc", b"/aBCd", False),
    ],
)
def test_case_is_ignored_in_each_kind_of_path(kind: PathMatch, value: str, path: bytes, matches: bool) -> None:
    assert path_test(RouteMatch(kind, value, case_sensitive=False))(path) is matches
    assert not path_test(RouteMatch(kind, value))(path)


def test_connect_has_no_path_that_a_prefix_could_match() -> None:
    assert not path_test(RouteMatch(PathMatch.PREFIX, ""))(b"")
    assert path_test(RouteMatch(PathMatch.PREFIX, ""))(b"/")


@pytest.mark.parametrize("count", [0, 20])
def test_a_route_that_does_not_accept_a_request_leaves_it_to_the_next(count: int) -> None:
    """In a host without an index of its routes, and in one with it, for each kind of path."""
    wanted = (HeaderMatcher(b"x"),)
    rest = [route(f"exact {number}", RouteMatch(PathMatch.PATH, f"/e{number}")) for number in range(count)]
    routes = table(
        *rest,
        route("path with", RouteMatch(PathMatch.PATH, "/a", headers=wanted)),
        route("path", RouteMatch(PathMatch.PATH, "/a")),
        route("prefix with", RouteMatch(PathMatch.PREFIX, "/p", headers=wanted)),
        route("prefix", RouteMatch(PathMatch.PREFIX, "/p")),
        route("regex with", RouteMatch(PathMatch.REGEX, "/r", headers=wanted)),
        route("regex", RouteMatch(PathMatch.REGEX, "/r")),
    )
    for name, path in (("path", b"/a"), ("prefix", b"/p"), ("regex", b"/r")):
        assert found(routes, exchange(path)) == name
        assert found(routes, exchange(path, x=b"")) == f"{name} with"


@pytest.mark.parametrize("count", [0, 20])
def test_among_several_that_match_the_first_wins(count: int) -> None:
    rest = [route(f"exact {number}", RouteMatch(PathMatch.PATH, f"/e{number}")) for number in range(count)]
    routes = table(
        *rest,
        route("long", RouteMatch(PathMatch.PREFIX, "/abc")),
        route("short", RouteMatch(PathMatch.PREFIX, "/a")),
        route("longer", RouteMatch(PathMatch.PREFIX, "/abcd")),
        route("exact", RouteMatch(PathMatch.PATH, "/abcde")),
        route("loose", RouteMatch(PathMatch.PATH, "/X", case_sensitive=False)),
        route("strict", RouteMatch(PathMatch.PATH, "/x")),
    )
    paths = (b"/abcde", b"/abcd", b"/ab", b"/x", b"/")
    assert [found(routes, exchange(path)) for path in paths] == ["long", "long", "short", "loose", None]


@pytest.mark.parametrize(
    ("authority", "without"),
    [(b"a:80", b"a"), (b"a", b"a"), (b"a:x", b"a:x"), (b"[::1]:80", b"[::1]"), (b"[::1]", b"[::1]"), (b"a:", b"a:")],
)
def test_hosts_without_their_port(authority: bytes, without: bytes) -> None:
    assert without_port(authority) == without
    hosts = (VirtualHost("v", (without.decode(),), (route("r", EVERYTHING),)),)
    assert found(RouteTable(RouteConfig("r", hosts, ignore_port_in_host=True)), exchange(authority=authority)) == "r"
    strict = found(RouteTable(RouteConfig("r", hosts)), exchange(authority=authority))
    assert strict == ("r" if authority == without else None)


def test_the_longest_wildcard_wins_wherever_it_is_written() -> None:
    def hosts(*domains: str) -> RouteTable:
        made = tuple(VirtualHost(domain, (domain,), (route(domain, EVERYTHING),)) for domain in domains)
        return RouteTable(RouteConfig("r", made))

    for domains in (("*.c", "*.b.c"), ("*.b.c", "*.c")):
        assert found(hosts(*domains), exchange(authority=b"a.B.c")) == "*.b.c"
    for domains in (("a.*", "a.b.*"), ("a.b.*", "a.*")):
        assert found(hosts(*domains), exchange(authority=b"A.b.c")) == "a.b.*"
    assert found(hosts("a.*", "*.c"), exchange(authority=b"a.c")) == "*.c"


def test_domains_are_compared_in_lower_case() -> None:
    assert found(table(route("r", EVERYTHING), domains=("A.B",)), exchange(authority=b"a.b")) == "r"


def test_what_filters_do_on_a_route_is_bound_once() -> None:
    made = Route(EVERYTHING, Forward(UP))
    host = VirtualHost("v", ("*",), (made,))
    config = RouteConfig("r", (host,))
    asked: list[tuple[RouteConfig, VirtualHost, Route]] = []

    def bind(*levels: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        asked.append(levels)
        return ("request",), ("response",)

    found = RouteTable(config, bind_filters=bind).find(exchange())
    assert asked == [(config, host, made)]
    assert found is not None
    assert (found.filters, found.response_filters) == (("request",), ("response",))


def test_a_host_that_wants_tls_has_its_routes_for_those_who_have_it() -> None:
    host = VirtualHost("v", ("*",), (route("r", EVERYTHING),), require_tls=RequireTls.ALL)
    routes = RouteTable(RouteConfig("r", (host,)))
    plain, secure = routes.find(exchange()), routes.find(exchange(x_forwarded_proto=b"https"))
    assert plain is not None
    assert secure is not None
    assert isinstance(plain.action, Redirect)
    assert secure.name == "r"
    assert (plain.virtual_host, secure.virtual_host) == (routes.virtual_host(b"a"),) * 2


# ── one virtual host of many changes ──────────────────────────────────────────────────────────────────────────────────


def hosts(**versions: str) -> tuple[VirtualHost, ...]:
    return tuple(
        VirtualHost(name, (name,), (route(f"{name} {version}", RouteMatch(PathMatch.PREFIX, "/")),))
        for name, version in versions.items()
    )


def test_a_virtual_host_that_stays_is_not_compiled_again() -> None:
    rng = random.Random(1)
    first = RouteConfig("r", hosts(a="1", b="1"), vhds=True)
    before = RouteTable(first, rng=rng)
    changed = RouteConfig("r", (first.virtual_hosts[0], *hosts(b="2")), vhds=True)
    after = RouteTable(changed, rng=rng, before=before)
    assert after.virtual_host(b"a") is before.virtual_host(b"a")
    assert (found(after, exchange(authority=b"a")), found(after, exchange(authority=b"b"))) == ("a 1", "b 2")
    assert found(before, exchange(authority=b"b")) == "b 1"
    gone = RouteTable(RouteConfig("r", first.virtual_hosts[:1], vhds=True), rng=rng, before=after)
    assert gone.virtual_host(b"b") is None
    assert RouteTable(changed, before=before).virtual_host(b"a") is not before.virtual_host(b"a")  # another generator


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=1, max_size=6))
def test_what_is_taken_over_is_what_would_be_made_anew(steps: list[dict[str, int]]) -> None:
    """Domains go from one host to another, too."""
    rng = random.Random(1)
    known: dict[tuple[str, int], VirtualHost] = {}
    table = RouteTable(RouteConfig("r", (), vhds=True), rng=rng)
    names = [b"a.x", b"b.x", b"x.y.z", b"z.a", b"z.b", b"n", b""]
    for step in steps:
        for n, (name, version) in enumerate(sorted(step.items())):
            domains = (("*.x", "z.*", "*", "n", "*.y.z", "a.x")[(n + version) % 6],)
            made = VirtualHost(f"{name}{n}", domains, (route(f"{name} {version}", RouteMatch(PathMatch.PREFIX, "/")),))
            known.setdefault((made.name, version), made)
        used: dict[str, VirtualHost] = {}
        for n, (name, version) in enumerate(sorted(step.items())):
            found_host = known[(f"{name}{n}", version)]
            used.setdefault(found_host.domains[0], found_host)
        config = RouteConfig("r", tuple(used.values()), vhds=True)
        table = RouteTable(config, rng=rng, before=table)
        anew = RouteTable(config, rng=rng)
        for name_ in names:
            ours, theirs = table.virtual_host(name_), anew.virtual_host(name_)
            assert (ours and ours.config) is (theirs and theirs.config)


def test_it_is_where_the_configuration_around_it_has_changed() -> None:
    rng = random.Random(1)
    first = RouteConfig("r", hosts(a="1"), vhds=True)
    before = RouteTable(first, rng=rng)
    ops = HeaderOps(remove=(b"x",))
    after = RouteTable(RouteConfig("r", first.virtual_hosts, request_ops=ops, vhds=True), rng=rng, before=before)
    assert after.virtual_host(b"a") is not before.virtual_host(b"a")
