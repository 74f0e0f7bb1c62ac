from control_plane.translate.index import Index
from control_plane.translate.routes import captured, http_ports, service_routes
from control_plane.translate.sidecar_routes import route_configurations
from control_plane.translate.viewer import Audience, Viewer
from control_plane.world import Resolution, Service
from mesh.node import ServicePort
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import service, world

EXPLICIT = Viewer("default", Audience.EXPLICIT)
TRANSPARENT = Viewer("default", Audience.TRANSPARENT)
RULE = "{route: [{destination: {host: reviews}}]}"


def test_one_configuration_a_port_and_one_for_the_proxy() -> None:
    index = Index(world(service("a", 80), service("b", 90)))
    assert list(route_configurations(index, TRANSPARENT, (80, 90))) == ["80", "90", "http_proxy"]
    assert list(route_configurations(index, EXPLICIT, ())) == ["http_proxy"]


def test_ports_that_may_speak_http() -> None:
    odd, tcp = ServicePort(70, "x", ""), ServicePort(60, "t", "TCP")
    assert http_ports(Index(world(service("a", 80, 70), service("b", odd, tcp)))) == (70, 80)
    yaml = virtual_service(RULE, "[elsewhere.example.com]")
    assert http_ports(Index(world(yaml=yaml))) == (80,)


def test_hosts_of_rules_within_a_services_wildcard() -> None:
    wild = Service("*.example.com", "x", "default", (ServicePort(8080), ServicePort(443, "t", "TLS")), Resolution.NONE)
    index = Index(world(wild, yaml=virtual_service(RULE, "[one.example.com]")))
    assert http_ports(index) == (8080,)
    assert [h.name for h in captured(index, TRANSPARENT, 8080).virtual_hosts] == [
        "*.example.com:8080",
        "one.example.com:8080",
        "allow_any",
    ]


def test_a_services_routes() -> None:
    index = Index(world(service("reviews"), service("ratings"), yaml=virtual_service(RULE)))
    ruled, plain = (service_routes(index, EXPLICIT, each, 9080) for each in reversed(index.services))
    assert [route.name for route in ruled] == [""]
    assert [route.name for route in plain] == ["default"]


def test_the_proxy_offers_what_it_can_reach() -> None:
    wild = Service("*.example.com", "x", "default", (ServicePort(80),), Resolution.NONE)
    config = route_configurations(Index(world(wild, service("a", 80))), EXPLICIT, ())["http_proxy"]
    assert [h.name for h in config.virtual_hosts] == [
        "*.example.com",
        "*.example.com:80",
        "a.default.svc.cluster.local:80",
        "allow_any",
    ]
    for unfound in config.virtual_hosts[:2]:
        assert "cannot look that up" in unfound.routes[1].direct_response.body.inline_string
    assert not config.ignore_port_in_host_matching


def test_those_who_are_alike_share_their_routes() -> None:
    index = Index(world(service("a", 80)))
    assert captured(index, TRANSPARENT, 80) is captured(index, Viewer("default", Audience.TRANSPARENT), 80)
