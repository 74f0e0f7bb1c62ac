"""What few routes ask for."""

from __future__ import annotations

import random

import pytest

from sidecar.config.model import (
    Forward,
    HeaderAdd,
    InternalRedirects,
    Mirror,
    PathMatch,
    Route,
    RouteConfig,
    RouteMatch,
    StreamDuration,
    VirtualHost,
    WeightedCluster,
)
from sidecar.http.exchange import Exchange
from sidecar.router.extras import Extras, Mirroring
from sidecar.router.table import RouteTable


def exchange(*headers: tuple[bytes, bytes]) -> Exchange:
    return Exchange(None, b"GET", b"/", list(headers), 0.0)


def test_where_a_copy_goes() -> None:
    rng = random.Random(1)
    assert Mirroring(Mirror("a")).cluster(exchange(), rng) == "a"
    named = Mirroring(Mirror(cluster_header=b"to"))
    assert named.cluster(exchange((b"to", b"b"), (b"to", b"c")), rng) == "b"
    assert named.cluster(exchange(), rng) == ""


def test_a_fraction_of_the_requests_is_copied() -> None:
    rng = random.Random(1)
    tenth = Mirroring(Mirror("a", fraction=100_000))
    copies = sum(tenth.cluster(exchange(), rng) == "a" for _ in range(10_000))
    assert 900 < copies < 1100
    assert Mirroring(Mirror("a", fraction=0)).cluster(exchange(), rng) == ""


@pytest.mark.parametrize(
    ("mirror", "before", "after"),
    [
        (Mirror("a"), b"h", b"h-shadow"),
        (Mirror("a"), b"h:80", b"h-shadow:80"),
        (Mirror("a"), b"[::1]:80", b"[::1]-shadow:80"),
        (Mirror("a"), b"[::1]", b"[::1]-shadow"),
        (Mirror("a", same_host=True), b"h:80", b"h:80"),
        (Mirror("a", host="other:1"), b"h:80", b"other:1"),
    ],
)
def test_the_host_of_a_copy(mirror: Mirror, before: bytes, after: bytes) -> None:
    assert Mirroring(mirror).host(before) == after


@pytest.mark.parametrize(
    ("route", "host", "routes", "wins"),
    [("r", "v", "c", "r"), ("", "v", "c", "v"), ("", "", "c", "c"), ("", "", "", None)],
)
def test_the_most_specific_level_with_mirrors_has_them_all(
    route: str, host: str, routes: str, wins: str | None
) -> None:
    def mirrors(name: str) -> tuple[Mirror, ...]:
        return (Mirror(name),) if name else ()

    forward = Forward((WeightedCluster("up", 1),), mirrors=mirrors(route))
    vhost = VirtualHost("v", ("*",), (Route(RouteMatch(PathMatch.PREFIX, "/"), forward),), mirrors=mirrors(host))
    compiled = RouteTable(RouteConfig("c", (vhost,), mirrors=mirrors(routes))).virtual_host(b"a")
    assert compiled is not None
    extras = compiled.routes[0].extras
    assert (extras.mirrors[0].config.cluster if extras is not None else None) == wins


def test_no_extras_are_nothing() -> None:
    assert not Extras(Forward(()), ())


@pytest.mark.parametrize(
    "asked",
    [
        Extras(Forward((), mirrors=(Mirror("a"),)), (Mirror("a"),)),
        Extras(Forward((), hedges=True)),
        Extras(Forward(()), hedges=True),
        Extras(Forward((), redirects=InternalRedirects())),
        Extras(Forward((), duration=StreamDuration())),
    ],
)
def test_one_of_them_is_something(asked: Extras) -> None:
    assert asked


@pytest.mark.parametrize(
    ("route", "host", "hedges"), [(None, False, False), (None, True, True), (False, True, False), (True, False, True)]
)
def test_a_route_decides_whether_it_hedges_and_else_its_host(route: bool | None, host: bool, hedges: bool) -> None:
    assert Extras(Forward((), hedges=route), hedges=host).hedges is hedges


class Drawn(random.Random):
    """Draws always the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def test_a_fraction_ends_where_it_says() -> None:
    half = Mirroring(Mirror("a", fraction=500_000))
    assert [half.cluster(exchange(), Drawn(value)) for value in (0.0, 0.499999, 0.5)] == ["a", "a", ""]


def test_a_copy_changes_headers_in_the_order_written() -> None:
    mirror = Mirror("a", mutations=(b"x", HeaderAdd(b"x", "1"), HeaderAdd(b"y", "2")))
    request = exchange((b"x", b"0"))
    for mutate in Mirroring(mirror).mutations:
        mutate(request, request.headers)
    assert request.headers == [(b"x", b"1"), (b"y", b"2")]
