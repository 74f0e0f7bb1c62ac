from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate.grpc import grpc_listeners, grpc_routes
from control_plane.translate.index import Index
from control_plane.translate.viewer import Audience, Viewer
from control_plane.world import Instance, Resolution, Service
from mesh.node import ServicePort
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import service, world

PORT = ServicePort(50051, "grpc", "GRPC")
VIEWER = Viewer("default", Audience.GRPC)
ROUTES = "outbound|50051||greeter.default.svc.cluster.local"


def test_a_listener_for_every_name_of_a_target() -> None:
    found = grpc_listeners(Index(world(service("greeter", PORT))), VIEWER)
    assert list(found) == [
        "greeter.default.svc.cluster.local:50051",
        "greeter:50051",
        "greeter.default:50051",
        "greeter.default.svc:50051",
        "greeter.default.svc.cluster.local.:50051",
    ]
    for name, listener in found.items():
        assert listener.name == name
        manager = HttpConnectionManager()
        assert listener.api_listener.api_listener.Unpack(manager)
        assert manager.rds.route_config_name == ROUTES
        assert manager.http_filters[-1].name == "envoy.filters.http.router"


def test_a_services_own_name_comes_before_short_ones() -> None:
    index = Index(world(service("greeter", PORT), Service("greeter.default", "x", "default", (PORT,))))
    manager = HttpConnectionManager()
    grpc_listeners(index, VIEWER)["greeter.default:50051"].api_listener.api_listener.Unpack(manager)
    assert manager.rds.route_config_name == "outbound|50051||greeter.default"


def test_routes_are_the_services_own() -> None:
    yaml = virtual_service("{timeout: 3s, route: [{destination: {host: greeter, subset: v2}}]}", "[greeter]")
    config = grpc_routes(Index(world(service("greeter", PORT), yaml=yaml)), VIEWER)[ROUTES]
    (host,) = config.virtual_hosts
    (route,) = host.routes
    assert list(host.domains) == ["*"]
    assert route.route.cluster == "outbound|50051|v2|greeter.default.svc.cluster.local"
    assert route.route.max_stream_duration.max_stream_duration.seconds == 3


def test_there_is_nothing_for_what_grpc_cannot_reach() -> None:
    two = (Instance("a.example", {50051: 1}), Instance("b.example", {50051: 1}))
    index = Index(world(Service("x.example.com", "x", "default", (PORT,), Resolution.DNS, endpoints=two)))
    assert grpc_listeners(index, VIEWER) == {} and grpc_routes(index, VIEWER) == {}


def test_clients_that_are_alike_share_everything() -> None:
    index = Index(world(service("greeter", PORT)))
    assert grpc_listeners(index, VIEWER) is grpc_listeners(index, Viewer("default", Audience.GRPC))
