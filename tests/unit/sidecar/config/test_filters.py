"""The registry of HTTP filters."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.filters import ROUTER
from sidecar.config.model import Hcm, HttpFilter
from sidecar.config.types import import_type
from sidecar.filters.registry import FILTERS, filter_type
from sidecar.filters.router import RouterConfig
from tests.unit.sidecar.config.build import FAULT, Data, T, hcm_of, parts, problems

UNKNOWN: Data = {"name": "u", "typed_config": {"@type": T + "mesh.Unknown", "any": ["thing"]}}


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_is_a_type_and_has_a_compiler(name: str) -> None:
    assert import_type(name)
    found = filter_type(name)
    assert found is not None
    assert callable(found.compile)


def test_only_some_can_be_overridden_by_routes() -> None:
    fault, router = filter_type(FAULT.removeprefix(T)), filter_type(ROUTER)
    assert fault is not None
    assert router is not None
    assert fault.compile_route is not None
    assert router.compile_route is None


def test_an_unknown_filter_is_refused_by_name_or_skipped() -> None:
    given = parts()
    given.hcm["http_filters"].insert(0, UNKNOWN)
    assert problems(given) == ["typed_config: mesh.Unknown: there is no such HTTP filter here"]
    given.hcm["http_filters"][0] = {**UNKNOWN, "is_optional": True}
    assert hcm_of(given).filters == (HttpFilter("envoy.filters.http.router", RouterConfig()),)


def test_transcoding_of_json_to_grpc_is_refused_by_name() -> None:
    given = parts()
    transcoder = "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
    config = {"@type": T + transcoder, "proto_descriptor": "bookstore.pb", "services": ["bookstore.Bookstore"]}
    given.hcm["http_filters"].insert(0, {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": config})
    assert f"typed_config: {transcoder}: there is no such HTTP filter here" in problems(given)


def test_an_optional_filter_that_is_known_is_not_skipped() -> None:
    given = parts()
    bad = {"@type": FAULT, "delay": {"fixed_delay": "0s"}}
    given.hcm["http_filters"].insert(0, {"name": "f", "is_optional": True, "typed_config": bad})
    assert problems(given) == ["fixed_delay: is 0s, must be more than 0s"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"http_filters": []}, "http_filters: needs the router filter (envoy.filters.http.router) at the end"),
        (
            {"http_filters": [{"name": "f", "typed_config": {"@type": FAULT}}]},
            "http_filters: the router filter must be the last one, and only there",
        ),
    ],
)
def test_the_router_is_the_last(change: Data, problem: str) -> None:
    given = parts()
    given.hcm.update(change)
    assert problems(given) == [problem]


def test_discovered_filters_are_refused() -> None:
    given = parts()
    source = {"config_source": {"ads": {}}, "type_urls": [FAULT]}
    given.hcm["http_filters"].insert(0, {"name": "f", "config_discovery": source})
    assert problems(given) == ["config_discovery: is not implemented"]


PEERS = "io.istio.http.peer_metadata.Config"


def with_peers(**config: Any) -> Any:
    typed = {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": f"x/{PEERS}", "value": config}
    given = parts()
    given.hcm["http_filters"].insert(0, {"name": "istio.peer_metadata", "typed_config": typed, "is_optional": True})
    return given


def peers(**config: Any) -> Hcm:
    return hcm_of(with_peers(**config))


def test_who_is_told_what_a_workload_is() -> None:
    told = {"upstream_propagation": [{"istio_headers": {"skip_external_clusters": True}}]}
    assert peers(**told, upstream_discovery=[{"istio_headers": {}}]).keeps_to_mesh
    assert not peers(upstream_propagation=[{"istio_headers": {}}]).keeps_to_mesh
    assert not peers().keeps_to_mesh
    assert problems(with_peers(shared_with_upstream=True)) == ["shared_with_upstream: is not implemented"]
    (said,) = problems(with_peers(upstream_propagation="x"))
    assert said == "upstream_propagation: must be a list of methods"
