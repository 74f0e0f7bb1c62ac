"""The reader: what is read, what is left over, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.route.v3.route_components_pb2 import RouteAction, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ConfigError
from sidecar.config.model import MILLION, DirectResponse, Forward
from sidecar.config.no_effect import REASONS
from sidecar.config.reader import Reader, is_ip, plain, unknown_fields
from sidecar.config.routes import compile_route_config
from sidecar.config.types import import_type


def cluster(**data: Any) -> Reader:
    return Reader(ParseDict({"name": "a", **data}, Cluster()))


def found(reader: Reader) -> list[str]:
    """What `finish` says, each as `field: message`."""
    try:
        reader.finish()
    except ConfigError as error:
        return [f"{problem.field}: {problem.message}" for problem in error.problems]
    return []


def test_everything_read_is_no_problem() -> None:
    reader = cluster(alt_stat_name="b")
    assert (reader.text("name"), reader.text("alt_stat_name")) == ("a", "b")
    assert found(reader) == []


def test_every_field_that_nobody_read_is_reported() -> None:
    reader = cluster(alt_stat_name="b", close_connections_on_host_health_failure=True)
    reader.text("name")
    assert sorted(found(reader)) == [
        "alt_stat_name: is not implemented",
        "close_connections_on_host_health_failure: is not implemented",
    ]


def test_fields_without_effect_are_accepted() -> None:
    reader = cluster(wait_for_warm_on_init=True, track_cluster_stats={})
    reader.text("name")
    assert found(reader) == []


def test_a_scalar_set_to_its_default_is_not_seen() -> None:
    reader = cluster(close_connections_on_host_health_failure=False)
    reader.text("name")
    assert found(reader) == []


def test_paths_lead_through_lists_maps_and_any() -> None:
    import_type("envoy.extensions.filters.http.fault.v3.HTTPFault")
    message = ParseDict(
        {
            "name": "v",
            "domains": ["*"],
            "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "a"}},
                {
                    "match": {"prefix": "/"},
                    "typed_per_filter_config": {
                        "the.fault": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
                            "upstream_cluster": "x",
                        }
                    },
                    "route": {"cluster": "a"},
                },
            ],
        },
        VirtualHost(),
    )
    reader = Reader(message)
    reader.text("name")
    reader.values("domains")
    for route in reader.children("routes"):
        (match := route.child("match")) and match.text("prefix")
        (action := route.child("route")) and action.text("cluster")
        for _, entry in route.entries("typed_per_filter_config"):
            kind, config = entry.opened()
            assert kind.endswith("HTTPFault")
            assert config is not None
    assert found(reader) == ['routes[1].typed_per_filter_config["the.fault"].upstream_cluster: is not implemented']


def test_an_any_of_unknown_type_is_named_and_not_opened() -> None:
    message = Filter(name="x")
    message.typed_config.type_url = "type.googleapis.com/mesh.Unknown"
    reader = Reader(message)
    reader.text("name")
    assert reader.unpacked() == ("mesh.Unknown", None)
    assert found(reader) == []


def test_an_any_that_is_not_what_it_says() -> None:
    message = Filter(name="x")
    message.typed_config.type_url = "type.googleapis.com/" + HTTPFault.DESCRIPTOR.full_name
    message.typed_config.value = b"\xff\xff"
    reader = Reader(message)
    reader.text("name")
    reader.unpacked()
    assert len(problems := found(reader)) == 1
    assert problems[0].startswith("typed_config: is not a envoy.extensions.filters.http.fault.v3.HTTPFault")


def test_a_field_number_that_the_type_does_not_have() -> None:
    message = Filter(name="x")
    message.typed_config.type_url = "type.googleapis.com/" + HTTPFault.DESCRIPTOR.full_name
    message.typed_config.value = b"\xfa\x3f\x01a"  # field 1023
    reader = Reader(message)
    reader.text("name")
    reader.unpacked()
    assert found(reader) == [
        "typed_config: has field number 1023, which envoy.extensions.filters.http.fault.v3.HTTPFault does not have"
    ]


def test_unknown_fields_are_found_below() -> None:
    message = Bootstrap.FromString(Bootstrap(node={"id": "a"}).SerializeToString())
    assert unknown_fields(message) == []
    message.node.MergeFromString(b"\xfa\x3f\x01a")
    assert unknown_fields(message) == [1023]


def test_a_name_that_the_message_does_not_have_is_a_bug() -> None:
    with pytest.raises(KeyError, match="has no field nmae"):
        cluster().text("nmae")


def test_values_of_every_kind() -> None:
    reader = cluster(
        connect_timeout="1.5s",
        per_connection_buffer_limit_bytes=7,
        lb_policy="RANDOM",
        close_connections_on_host_health_failure=True,
        common_lb_config={"healthy_panic_threshold": {"value": 12.5}},
    )
    assert reader.seconds("connect_timeout") == 1.5
    assert reader.number("per_connection_buffer_limit_bytes") == 7
    assert reader.enum("lb_policy") == "RANDOM"
    assert reader.flag("close_connections_on_host_health_failure") is True
    common = reader.child("common_lb_config")
    assert common is not None
    assert common.percent("healthy_panic_threshold", 50.0) == 12.5
    assert reader.text("name") == "a"
    assert found(reader) == []


def test_defaults_of_every_kind() -> None:
    reader = cluster()
    assert reader.seconds("connect_timeout", 5.0) == 5.0
    assert reader.optional_seconds("connect_timeout") is None
    assert reader.number("per_connection_buffer_limit_bytes", 3) == 3
    assert reader.optional_number("per_connection_buffer_limit_bytes") is None
    assert reader.enum("lb_policy") == "ROUND_ROBIN"
    assert reader.flag("close_connections_on_host_health_failure", True) is True
    assert reader.child("common_lb_config") is None
    assert reader.children("health_checks") == []
    assert reader.metadata("metadata") == {}


def test_a_negative_duration_is_a_problem() -> None:
    reader = Reader(ParseDict({"cluster": "a", "timeout": "-1s"}, RouteAction()))
    reader.text("cluster")
    reader.seconds("timeout")
    assert found(reader) == ["timeout: is -1s, must not be negative"]


def test_only_says_which_values_there_are() -> None:
    reader = Reader(ParseDict({"codec_type": "HTTP2", "stat_prefix": "a"}, HttpConnectionManager()))
    reader.text("stat_prefix")
    reader.only("codec_type", "AUTO", "HTTP1")
    reader.only("add_user_agent", False)
    assert [problem for problem in found(reader) if "codec" in problem] == [
        "codec_type: HTTP2 is not implemented, only AUTO or HTTP1 is"
    ]


def test_metadata_is_plain_data_with_whole_numbers() -> None:
    reader = Reader(
        ParseDict(
            {"metadata": {"filter_metadata": {"i": {"n": 3, "x": 1.5, "l": [1, {"a": True}]}}}}, Cluster(name="a")
        )
    )
    assert reader.metadata("metadata") == {"i": {"n": 3, "x": 1.5, "l": [1, {"a": True}]}}


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        ({"numerator": 5}, 50_000),
        ({"numerator": 5, "denominator": "TEN_THOUSAND"}, 500),
        ({"numerator": 5, "denominator": "MILLION"}, 5),
        ({"numerator": 500}, MILLION),
        ({}, 0),
    ],
)
def test_chances_are_parts_per_million(fraction: dict[str, Any], expected: int) -> None:
    reader = Reader(ParseDict({"abort": {"http_status": 503, "percentage": fraction}}, HTTPFault()))
    abort = reader.child("abort")
    assert abort is not None
    assert abort.chance("percentage", 0) == expected


def test_every_field_without_effect_exists() -> None:
    from google.protobuf import descriptor_pool

    for name, reasons in REASONS.items():
        assert import_type(name), name
        known = descriptor_pool.Default().FindMessageTypeByName(name).fields_by_name
        assert reasons.keys() <= set(known), name


@pytest.mark.parametrize(
    "text", ["256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.", "1.2.3.4\n", "1..2.3", "1.2.3.4.5", "a", "", "٣.1.1.1"]
)
def test_what_is_no_address(text: str) -> None:
    assert not is_ip(text)


@given(st.ip_addresses())
def test_addresses_are_addresses(value: Any) -> None:
    assert is_ip(str(value))


@given(st.text(max_size=20).filter(lambda text: not any(char in ":." or char.isdigit() for char in text)))
def test_names_are_not(text: str) -> None:
    assert not is_ip(text)


# ── nothing is ever lost: of any set of fields, each is either read or reported ──────────────────────────────────────

_TEXT = ["name", "alt_stat_name"]
_WRAPPED = {"per_connection_buffer_limit_bytes": 1}
_PLAIN: dict[str, Any] = {
    "name": "a",
    "alt_stat_name": "b",
    "lb_policy": "RANDOM",
    "connect_timeout": "1s",
    "per_connection_buffer_limit_bytes": 1,
    "max_requests_per_connection": 2,
    "use_tcp_for_dns_lookups": True,
    "close_connections_on_host_health_failure": True,
}


@given(st.sets(st.sampled_from(sorted(_PLAIN))), st.sets(st.sampled_from(sorted(_PLAIN))))
def test_what_is_set_is_read_or_reported(given_fields: set[str], read: set[str]) -> None:
    given_fields |= {"name"}
    reader = Reader(ParseDict({name: _PLAIN[name] for name in given_fields}, Cluster()))
    for name in read:
        reader._take(name)
    assert {problem.partition(":")[0] for problem in found(reader)} == given_fields - read


_JSON = st.recursive(
    st.booleans() | st.text(max_size=5) | st.integers(-1000, 1000) | st.floats(-10, 10).filter(lambda x: x != int(x)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), _JSON, max_size=4))
def test_structs_come_back_as_they_went_in(data: dict[str, Any]) -> None:
    message = ParseDict({"filterMetadata": {"a": data}}, Metadata())
    assert plain(message.filter_metadata["a"]) == data


# ── what is met again ─────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = {"match": {"prefix": "/"}, "route": {"cluster": "a", "retry_policy": {"retry_on": "5xx"}}}


def routes(*written: dict[str, Any]) -> Any:
    hosts = [{"name": "a", "domains": ["*"], "routes": list(written)}]
    return ParseDict({"name": "r", "virtual_hosts": hosts}, RouteConfiguration())


def test_the_same_message_is_compiled_once() -> None:
    other = {**GOOD, "name": "other"}
    first, second, third = compile_route_config(routes(GOOD, GOOD, other)).virtual_hosts[0].routes
    assert first is second
    assert first is not third
    assert isinstance(first.action, Forward) and isinstance(third.action, Forward)
    assert first.action.retry is third.action.retry


def test_what_is_in_use_is_shared_with_the_next_version() -> None:
    old = compile_route_config(routes(GOOD)).virtual_hosts[0].routes[0]
    new = compile_route_config(routes({**GOOD, "name": "before it"}, GOOD)).virtual_hosts[0].routes
    assert new[1] is old
    assert new[0] is not old


def test_what_is_wrong_is_wrong_in_every_place() -> None:
    bad = {"match": {"prefix": "/"}, "route": {"cluster": "a", "retry_policy": {"retry_on": "nonsense"}}}
    for _ in range(2):  # nothing of it is remembered
        with pytest.raises(ConfigError) as caught:
            compile_route_config(routes(bad, GOOD, bad, GOOD, bad))
        assert [problem.field for problem in caught.value.problems] == [
            f"virtual_hosts[0].routes[{index}].route.retry_policy.retry_on" for index in (0, 2, 4)
        ]


def test_what_nobody_reads_is_told_of_every_place() -> None:
    bad = {**GOOD, "tracing": {}}
    with pytest.raises(ConfigError) as caught:
        compile_route_config(routes(bad, bad))
    fields = [problem.field for problem in caught.value.problems]
    assert fields == [f"virtual_hosts[0].routes[{index}].tracing" for index in (0, 1)]


def test_what_depends_on_a_file_is_read_anew(tmp_path: Path) -> None:
    page = tmp_path / "page"
    written = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"filename": str(page)}}}
    kept = []
    for body in (b"one", b"two"):
        page.write_bytes(body)
        kept.append(compile_route_config(routes(written)))
        action = kept[-1].virtual_hosts[0].routes[0].action
        assert isinstance(action, DirectResponse)
        assert action.body == body
