"""Whatever the API takes is translated, to the same every time, and to what a real Envoy takes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.translate import Resources, build
from control_plane.world import Resolution, World
from mesh.errors import ConfigError
from mesh.istio.load import load_documents
from tests.simulation.scenarios import NODES
from tests.simulation.strategies import GATEWAY, SERVICES, destination_rules, virtual_services
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import instance, service, world

DOCUMENTS = st.lists(
    st.one_of(virtual_services(), destination_rules()), max_size=6, unique_by=lambda d: d["metadata"]["name"]
)


def make(documents: list[dict[str, Any]]) -> World | None:
    """A world with these documents, None when the API refuses one of them after all (rules across fields)."""
    base = world(
        *map(service, SERVICES),
        service("ext.example.com", 80, resolution=Resolution.DNS),
        instances={"reviews": [instance("10.0.0.1"), instance("10.0.0.2", "v2")]},
    )
    try:
        loaded = load_documents([GATEWAY, *documents])
    except ConfigError:
        return None
    by_kind = {kind: tuple(r for r in loaded if r.key.kind == kind) for kind in {r.key.kind for r in loaded}}
    return World(1, by_kind, base.services, base.instances)


def frozen(built: Resources) -> list[tuple[str, list[tuple[str, bytes]]]]:
    return [
        (type_url, [(name, m.SerializeToString(deterministic=True)) for name, m in messages.items()])
        for type_url, messages in built.items()
    ]


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_it_never_fails_and_never_differs(documents: list[dict[str, Any]]) -> None:
    one, other = make(documents), make(documents)
    if one is None or other is None:
        return
    for node in NODES.values():
        assert frozen(build(one, node)) == frozen(build(other, node))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(virtual_services(8), destination_rules()),
        min_size=4,
        max_size=8,
        unique_by=lambda d: d["metadata"]["name"],
    )
)
def test_envoy_takes_it(tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, Any]]) -> None:
    made = make(documents)
    if made is None:
        return
    for name in ("transparent", "gateway"):
        assert_envoy_accepts(build(made, NODES[name]), Path(tmp_path_factory.mktemp("envoy")))
