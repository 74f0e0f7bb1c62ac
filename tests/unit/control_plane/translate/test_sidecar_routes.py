"""A sidecar's routes: whole, and with virtual hosts as resources."""

from __future__ import annotations

from typing import Any

from control_plane.resource import messages_of
from control_plane.translate.index import Index
from control_plane.translate.routes import http_ports
from control_plane.translate.sidecar_routes import kept_apart, route_configurations, sidecar_hosts, taken_apart
from control_plane.translate.viewer import Audience, Viewer
from control_plane.world import Resolution, Service
from mesh.node import ServicePort
from mesh.xds import ROUTE, VIRTUAL_HOST
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import service, world

EXPLICIT = Viewer("default", Audience.EXPLICIT)
TRANSPARENT = Viewer("default", Audience.TRANSPARENT)
RULE = "{route: [{destination: {host: reviews}}]}"


def both(index: Index, viewer: Viewer = EXPLICIT, *ports: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The domains of each virtual host, in either form."""
    whole = route_configurations(index, viewer, ports)
    apart = messages_of(sidecar_hosts(index, viewer))
    found = {f"{name}/{h.name}": list(h.domains) for name, config in whole.items() for h in config.virtual_hosts}
    return found, {name: list(h.domains) for name, h in apart.items()}


def test_each_port_of_each_service_is_one_and_there_is_one_for_the_rest() -> None:
    index = Index(world(service("a", 80, 81), service("b", 80)))
    [config] = route_configurations(index, EXPLICIT, (), apart=True).values()
    assert config.HasField("vhds")
    assert not config.virtual_hosts
    names = ["a.default.svc.cluster.local:80", "a.default.svc.cluster.local:81", "b.default.svc.cluster.local:80"]
    assert sorted(sidecar_hosts(index, EXPLICIT)) == sorted(f"http_proxy/{name}" for name in (*names, "allow_any"))
    assert list(sidecar_hosts(Index(world()), EXPLICIT)) == ["http_proxy/allow_any"]


def test_of_two_with_a_domain_the_first_by_name_has_it_in_either_form() -> None:
    """What is left of the other, or nothing."""
    twins = [
        Service(host, "x", "default", (ServicePort(80),), addresses=("10.9.9.9",))
        for host in ("b.example.com", "a.example.com")
    ]
    whole, apart = both(Index(world(*twins)))
    assert apart == whole
    assert {"a.example.com", "a.example.com:80", "10.9.9.9", "10.9.9.9:80"} <= set(apart["http_proxy/a.example.com:80"])
    assert "b.example.com" in apart["http_proxy/b.example.com:80"]
    assert "10.9.9.9" not in apart["http_proxy/b.example.com:80"]


def test_hosts_of_rules_and_wildcards_that_cannot_be_looked_up() -> None:
    wild = Service("*.example.com", "x", "default", (ServicePort(80),), Resolution.NONE)
    whole, apart = both(
        Index(world(wild, service("reviews"), yaml=virtual_service(RULE, "[one.example.org, reviews]")))
    )
    assert apart == whole
    assert apart["http_proxy/one.example.org:9080"] == ["one.example.org", "one.example.org:9080"]
    assert apart["http_proxy/*.example.com:80"] == ["*.example.com:80"]


def test_a_patched_configuration_is_taken_apart() -> None:
    index = Index(world(service("a", 80)))
    whole = route_configurations(index, TRANSPARENT, (80,))
    found = taken_apart({ROUTE: whole})
    assert found[ROUTE] == dict(route_configurations(index, TRANSPARENT, (80,), apart=True))
    assert found[VIRTUAL_HOST] == messages_of(sidecar_hosts(index, TRANSPARENT))
    assert taken_apart({ROUTE: {}}) == {ROUTE: {}, VIRTUAL_HOST: {}}
    assert kept_apart(index, whole["80"]).hosts is kept_apart(index, whole["80"]).hosts


def test_captured_ports() -> None:
    """A service has the name that it has on each."""
    wild = Service("*.example.com", "x", "default", (ServicePort(80),), Resolution.NONE)
    rules = virtual_service(RULE, "[one.example.org, reviews]")
    index = Index(world(wild, service("a", 80, 81), service("reviews"), yaml=rules))
    assert http_ports(index) == (80, 81, 9080)
    whole, apart = both(index, TRANSPARENT, 80, 81, 9080)
    assert apart == whole
    assert {"80/a.default.svc.cluster.local:80", "81/allow_any", "9080/one.example.org:9080"} <= apart.keys()
