from control_plane.translate.index import Index
from control_plane.translate.viewer import Audience, audience_of, viewer_of
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import gateway, grpc_client, sidecar, transparent, world


def test_audiences() -> None:
    nodes = (sidecar(), transparent(), gateway(), grpc_client())
    assert [audience_of(node) for node in nodes] == [
        Audience.EXPLICIT,
        Audience.TRANSPARENT,
        Audience.GATEWAY,
        Audience.GRPC,
    ]


def test_proxies_that_no_rule_tells_apart_are_one_viewer() -> None:
    yaml = virtual_service("{match: [{sourceLabels: {app: x}}], route: [{destination: {host: reviews}}]}")
    index = Index(world(yaml=yaml))
    one, other = sidecar(labels={"app": "a", "version": "v1"}), sidecar("b", labels={"app": "a", "version": "v2"})
    assert viewer_of(index, one) == viewer_of(index, other)
    assert viewer_of(index, one) != viewer_of(index, sidecar(labels={}))
    assert viewer_of(index, one) != viewer_of(index, transparent(labels={"app": "a"}))
    assert viewer_of(index, one) != viewer_of(index, sidecar(labels={"app": "a"}, namespace="b"))
