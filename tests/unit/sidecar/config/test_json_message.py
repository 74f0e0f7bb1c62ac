"""The quick way from data to a message says what `ParseDict` says, or leaves it to `ParseDict`."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import Node
from envoy.config.route.v3.route_components_pb2 import Route
from google.protobuf.json_format import ParseDict, ParseError
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.json_message import UnusualError, construct
from sidecar.config.table import documents
from tests.unit.sidecar.config.build import FAULT

ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def slowly(data: Any, kind: type[Any]) -> Any:
    """What `ParseDict` says; None for what it refuses."""
    try:
        return ParseDict(data, kind())
    except (ParseError, TypeError, ValueError):
        return None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Cluster, {}),
        (Cluster, {"name": "a", "lb_policy": "MAGLEV", "connect_timeout": "1.5s", "ignoreHealthOnHostRemoval": True}),
        (Cluster, {"lb_policy": 3, "max_requests_per_connection": 7}),
        (Cluster, {"connect_timeout": "0s", "load_assignment": {}, "circuit_breakers": {"thresholds": [{}]}}),
        (Cluster, {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}),
        (Cluster, {"common_lb_config": {"healthy_panic_threshold": {"value": 12.5}}}),
        (Cluster, {"metadata": {"filter_metadata": {"envoy.lb": {"a": 1, "b": [1.5, "c", {"d": True}], "e": {}}}}}),
        (Node, {"id": "a", "metadata": {}, "locality": {}}),
        (Node, {"client_features": ["a", "b"], "extensions": []}),
        (Node, {"client_features": []}),
        (
            Route,
            {"typed_per_filter_config": {"a": {"@type": ROUTER}, "b": {"@type": FAULT, "abort": {"http_status": 1}}}},
        ),
        (Route, {"match": {"prefix": "/", "case_sensitive": False}, "route": {"timeout": "0.000000001s"}}),
        (Bootstrap, {"layered_runtime": {"layers": [{"name": "a", "static_layer": {"x": {"y": 1}}}]}}),
    ],
)
def test_what_it_takes_it_takes_as_parse_dict_does(kind: type[Any], data: Any) -> None:
    expected = slowly(data, kind)
    if expected is None:
        with pytest.raises(UnusualError):
            construct(data, kind)
    else:
        made = construct(data, kind)
        assert made == expected
        assert made.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Cluster, []),
        (Cluster, {"nmae": "a"}),
        (Cluster, {"name": None}),
        (Cluster, {"name": 5}),
        (Cluster, {"ignore_health_on_host_removal": 1}),
        (Cluster, {"max_requests_per_connection": True}),
        (Cluster, {"max_requests_per_connection": -1}),
        (Cluster, {"max_requests_per_connection": "5"}),
        (Cluster, {"lb_policy": "NOBODY"}),
        (Cluster, {"lb_policy": True}),
        (Cluster, {"connect_timeout": "-1s"}),
        (Cluster, {"connect_timeout": 1}),
        (Cluster, {"connect_timeout": "1.0000000001s"}),
        (Cluster, {"connectTimeout": "1s", "connect_timeout": "1s"}),
        (Cluster, {"type": "STATIC", "cluster_type": {"name": "a"}}),
        (Cluster, {"common_lb_config": {"healthy_panic_threshold": {"value": float("nan")}}}),
        (Cluster, {"circuit_breakers": {"thresholds": {}}}),
        (Cluster, {"circuit_breakers": {"thresholds": [None]}}),
        (Cluster, {"typed_extension_protocol_options": {"a": {}}}),
        (Cluster, {"typed_extension_protocol_options": {"a": {"@type": "type.googleapis.com/made.up"}}}),
        (Cluster, {"typed_extension_protocol_options": {"a": None}}),
        (Cluster, {"metadata": {"filter_metadata": {"a": {"b": None}}}}),
        (Node, {"client_features": "ab"}),
        (Node, {"client_features": [5]}),
        (Node, {5: "a"}),
        (Node, {"metadata": {"a": float("inf")}}),
        (Route, {"direct_response": {"body": {"inline_bytes": "YQ=="}}}),
    ],
)
def test_what_is_unusual_is_left_to_parse_dict(kind: type[Any], data: Any) -> None:
    with pytest.raises(UnusualError):
        construct(data, kind)


def test_everything_that_is_supported_is_read_alike() -> None:
    taken = 0
    for text in documents():
        static = yaml.safe_load(text).get("static_resources", {})
        for part, resource in ((part, each) for part, found in static.items() for each in found):
            whole = {"static_resources": {part: [resource]}}
            try:
                made = construct(whole, Bootstrap)
            except UnusualError:
                continue
            taken += 1
            assert made == slowly(whole, Bootstrap)
    assert taken > 5


_SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "a", "1", "1s", "STATIC"])
)
_DATA = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner))
_FIELDS = st.sampled_from([field.name for field in Cluster.DESCRIPTOR.fields])


@given(st.dictionaries(_FIELDS, _DATA, max_size=3))
def test_it_never_says_anything_else(data: dict[str, Any]) -> None:
    try:
        made = construct(data, Cluster)
    except UnusualError:
        return
    assert made == slowly(data, Cluster)
