from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.struct_pb2 import Struct

from mesh import xds


def test_what_is_pointed_to_goes_first() -> None:
    assert [xds.SHORT[url] for url in xds.PUSH_ORDER] == ["CDS", "EDS", "LDS", "RDS", "VHDS"]


def test_a_version_is_a_function_of_the_content() -> None:
    assert xds.version_of(b"a") == xds.version_of(b"a")
    assert xds.version_of(b"a") != xds.version_of(b"b")


def test_packed_bytes_do_not_depend_on_the_order_of_writing() -> None:
    one, other = Struct(), Struct()
    one.update({"a": 1, "b": 2})
    other.update({"b": 2, "a": 1})
    packed = xds.any_of(one)
    assert packed.value == xds.any_of(other).value
    assert packed.type_url == "type.googleapis.com/google.protobuf.Struct"


def test_virtual_hosts_are_put_behind_those_that_a_route_configuration_has() -> None:
    whole = RouteConfiguration(name="r", virtual_hosts=[VirtualHost(name="own")])
    hosts = [VirtualHost(name="r/a"), VirtualHost(name="r/b")]
    found = xds.with_virtual_hosts(whole.SerializeToString(), [each.SerializeToString() for each in hosts])
    whole.virtual_hosts.extend(hosts)
    assert RouteConfiguration.FromString(found) == whole
    assert xds.routes_of("r/a") == "r"
