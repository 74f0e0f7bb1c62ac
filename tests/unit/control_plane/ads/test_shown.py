"""Route configurations as people look at them."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from control_plane.ads.hub import unpacked
from control_plane.ads.shown import whole_routes
from control_plane.resource import versioned
from mesh.xds import ROUTE, VIRTUAL_HOST


def test_virtual_hosts_are_back_in_their_routes() -> None:
    apart = RouteConfiguration(name="r", virtual_hosts=[VirtualHost(name="own", domains=["*"])])
    apart.vhds.config_source.ads.SetInParent()
    whole = RouteConfiguration(name="s", virtual_hosts=[VirtualHost(name="x")])
    hosts = [VirtualHost(name=f"r/{name}", domains=[name]) for name in ("b", "a")] + [VirtualHost(name="s/y")]
    routes = [versioned(ROUTE, each.name, each) for each in (apart, whole)]
    found = unpacked(whole_routes(routes, [versioned(VIRTUAL_HOST, each.name, each) for each in hosts]))
    assert [(each["name"], [host["name"] for host in each["virtual_hosts"]]) for each in found] == [
        ("r", ["own", "a", "b"]),
        ("s", ["x"]),
    ]
    assert found[0]["virtual_hosts"][1] == {"name": "a", "domains": ["a"]}
