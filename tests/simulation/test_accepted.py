"""Nothing is sent that a proxy would reject: not a real Envoy, and not our own sidecar."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from control_plane.translate import build
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from sidecar.config.clusters import compile_cluster
from sidecar.config.endpoints import compile_assignment
from sidecar.config.listeners import compile_listener
from sidecar.config.routes import compile_route_config
from tests.simulation.scenarios import NODES, scenarios
from tests.simulation.validation import assert_envoy_accepts

SCENARIOS = scenarios()
COMPILERS: dict[str, Callable[[Any], Any]] = {
    CLUSTER: compile_cluster,
    ENDPOINT: compile_assignment,
    LISTENER: compile_listener,
    ROUTE: compile_route_config,
}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("node", NODES)
def test_envoy_accepts_it(scenario: str, node: str, tmp_path: Path) -> None:
    assert_envoy_accepts(build(SCENARIOS[scenario], NODES[node]), tmp_path)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("node", [name for name in NODES if name != "grpc"])
def test_our_sidecar_accepts_it(scenario: str, node: str) -> None:
    built = build(SCENARIOS[scenario], NODES[node])
    for type_url, compiler in COMPILERS.items():
        for message in built[type_url].values():
            compiler(message)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("node", NODES)
def test_what_is_asked_for_is_there(scenario: str, node: str) -> None:
    from control_plane.resource import asks_for

    built = build(SCENARIOS[scenario], NODES[node])
    for asking, asked in ((CLUSTER, ENDPOINT), (LISTENER, ROUTE)):
        wanted = {name for message in built[asking].values() for name in asks_for(asking, message)}
        assert wanted == set(built[asked])
        for name, message in built[asking].items():
            assert message.name == name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_it_is_the_same_every_time(scenario: str) -> None:
    """Two worlds that say the same are translated to the same bytes in the same order."""
    again = scenarios()[scenario]
    for node in NODES.values():
        one, other = build(SCENARIOS[scenario], node), build(again, node)
        assert [list(messages) for messages in one.values()] == [list(messages) for messages in other.values()]
        for type_url, messages in one.items():
            for name, message in messages.items():
                theirs = other[type_url][name]
                assert message.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
