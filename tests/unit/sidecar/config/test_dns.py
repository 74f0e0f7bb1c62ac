"""Which resolver a configuration asks for."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.clusters import compile_cluster
from sidecar.config.dns import dns_resolver
from sidecar.config.model import DnsDiscovery, DnsFamily, DnsResolver
from sidecar.config.reader import Reader
from sidecar.config.types import import_type

CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
GETADDRINFO = "type.googleapis.com/envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig"
LOCAL = {"socket_address": {"address": "127.0.0.1", "port_value": 5353}}


for each in (CARES, GETADDRINFO):
    assert import_type(each.rpartition("/")[2])


def cares(**fields: Any) -> dict[str, Any]:
    config = {"@type": CARES, "resolvers": [LOCAL], **fields}
    return {"typed_dns_resolver_config": {"name": "cares", "typed_config": config}}


def of_bootstrap(fields: dict[str, Any]) -> DnsResolver | None:
    reader = Reader(ParseDict(fields, Bootstrap()))
    found = dns_resolver(reader)
    reader.finish()
    return found


def of_cluster(**fields: Any) -> DnsDiscovery:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "a.test", "port_value": 80}}}}
    load = {"cluster_name": "a", "endpoints": [{"lb_endpoints": [endpoint]}]}
    message = ParseDict({"name": "a", "type": "STRICT_DNS", "load_assignment": load, **fields}, Cluster())
    return compile_cluster(message).dns


def problem(fields: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        of_bootstrap(fields)
    return str(caught.value)


SERVER = ("127.0.0.1:5353",)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, None),
        (cares(), DnsResolver(SERVER)),
        (cares(resolvers=[{"socket_address": {"address": "::1", "port_value": 0}}]), DnsResolver(("[::1]:53",))),
        (cares(use_resolvers_as_fallback=True), DnsResolver(SERVER, servers_as_fallback=True)),
        (cares(filter_unroutable_families=True), DnsResolver(SERVER, filter_unroutable=True)),
        (cares(query_timeout_seconds=2, query_tries=1), DnsResolver(SERVER, timeout=2.0, tries=1)),
        (cares(rotate_nameservers=True), DnsResolver(SERVER, rotate=True)),
        (cares(edns0_max_payload_size=1232, udp_max_queries=3), DnsResolver(SERVER)),
        (
            cares(dns_resolver_options={"use_tcp_for_dns_lookups": True, "no_default_search_domain": True}),
            DnsResolver(SERVER, tcp=True, search=False),
        ),
        ({"use_tcp_for_dns_lookups": True}, DnsResolver(tcp=True)),
        ({"dns_resolution_config": {"resolvers": [LOCAL]}}, DnsResolver(SERVER)),
        ({"use_tcp_for_dns_lookups": True, "dns_resolution_config": {"resolvers": [LOCAL]}}, DnsResolver(SERVER)),
        ({"dns_resolution_config": {"resolvers": [LOCAL]}, **cares(query_tries=2)}, DnsResolver(SERVER, tries=2)),
    ],
)
def test_of_a_bootstrap(fields: dict[str, Any], wanted: DnsResolver | None) -> None:
    assert of_bootstrap(fields) == wanted


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, DnsDiscovery()),
        ({"dns_lookup_family": "V4_ONLY"}, DnsDiscovery(DnsFamily.V4_ONLY)),
        ({"dns_refresh_rate": "1s", "dns_jitter": "2s"}, DnsDiscovery(refresh_rate=1.0, jitter=2.0)),
        ({"respect_dns_ttl": True}, DnsDiscovery(respect_ttl=True)),
        ({"dns_failure_refresh_rate": {"base_interval": "2s"}}, DnsDiscovery(failure_refresh=(2.0, 20.0))),
        (
            {"dns_failure_refresh_rate": {"base_interval": "2s", "max_interval": "3s"}},
            DnsDiscovery(failure_refresh=(2.0, 3.0)),
        ),
        (cares(), DnsDiscovery(resolver=DnsResolver(SERVER))),
        ({"dns_resolvers": [LOCAL]}, DnsDiscovery(resolver=DnsResolver(SERVER))),
        ({"use_tcp_for_dns_lookups": True}, DnsDiscovery(resolver=DnsResolver(tcp=True))),
    ],
)
def test_of_a_cluster(fields: dict[str, Any], wanted: DnsDiscovery) -> None:
    assert of_cluster(**fields) == wanted


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"typed_dns_resolver_config": {"name": "x", "typed_config": {"@type": GETADDRINFO}}},
            "not an implemented DNS",
        ),
        (cares(edns0_max_payload_size=4096), "no other size"),
        (cares(resolvers=[{"pipe": {"path": "/a"}}]), "pipe"),
        (cares(resolvers=[{"socket_address": {"address": "dns.test", "port_value": 53}}]), "is not an IP address"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], says: str) -> None:
    assert says in problem(fields)
