"""What a configuration refers to by name."""

from __future__ import annotations

import pytest

from sidecar.config.model import (
    Address,
    DirectResponse,
    FilterChain,
    FilterChainMatch,
    Forward,
    Hcm,
    Listener,
    PathMatch,
    Route,
    RouteConfig,
    RouteMatch,
    TcpProxy,
    VirtualHost,
    WeightedCluster,
)
from sidecar.config.references import clusters_of_listener, clusters_of_routes, rds_names

MATCH = RouteMatch(PathMatch.PREFIX, "/")


def routes(*clusters: str, checked: bool | None = None) -> RouteConfig:
    forward = Forward(tuple(WeightedCluster(name, 1) for name in clusters))
    host = VirtualHost("v", ("*",), (Route(MATCH, forward), Route(MATCH, DirectResponse(200))))
    return RouteConfig("r", (host,), validate_clusters=checked)


def chain(network: Hcm | TcpProxy) -> FilterChain:
    return FilterChain("c", FilterChainMatch(), network)


@pytest.mark.parametrize(
    ("says", "inline", "rds"),
    [(None, {"a", "b"}, set()), (True, {"a", "b"}, {"a", "b"}), (False, set(), set())],
)
def test_clusters_that_must_be_there(says: bool | None, inline: set[str], rds: set[str]) -> None:
    given = routes("a", "b", checked=says)
    listener = Listener("l", Address("", 0), (chain(Hcm("s", (), routes=given)),))
    assert clusters_of_listener(listener) == inline
    assert clusters_of_routes(given) == rds


def test_all_chains_count() -> None:
    listener = Listener(
        "l",
        Address("", 0),
        (chain(Hcm("s", (), rds="x", rds_timeout=1.0)), chain(TcpProxy("t", (WeightedCluster("tcp", 1),)))),
        default_chain=chain(Hcm("s", (), rds="y", rds_timeout=0.0)),
    )
    assert rds_names(listener) == {"x": 1.0, "y": 0.0}
    assert clusters_of_listener(listener) == set()
