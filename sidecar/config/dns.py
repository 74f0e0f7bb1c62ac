"""typed_dns_resolver_config and its predecessors → DnsResolver; a cluster's DNS fields → DnsDiscovery."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import typed
from sidecar.config.dns_model import DnsCache, DnsDiscovery, DnsFamily, DnsResolver
from sidecar.config.reader import Reader, is_ip

_CARES: Final = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
# c-ares' default, and the only size that its Python binding can ask for.
_EDNS_SIZE: Final = 1232


def dns_discovery(reader: Reader) -> DnsDiscovery:
    """Of a Cluster."""
    return DnsDiscovery(
        family=DnsFamily[reader.enum("dns_lookup_family")],
        refresh_rate=reader.seconds("dns_refresh_rate", 5.0),
        failure_refresh=_failure_refresh(reader.child("dns_failure_refresh_rate")),
        respect_ttl=reader.flag("respect_dns_ttl"),
        jitter=reader.seconds("dns_jitter"),
        resolver=dns_resolver(reader),
    )


def dns_cache(reader: Reader) -> DnsCache:
    """A DnsCacheConfig."""
    breaker = reader.child("dns_cache_circuit_breaker")
    reader.only("disable_dns_refresh_on_failure", False)
    return DnsCache(
        name=reader.text("name"),
        family=DnsFamily[reader.enum("dns_lookup_family")],
        refresh=reader.seconds("dns_refresh_rate", 60.0),
        min_refresh=reader.seconds("dns_min_refresh_rate", 5.0),
        host_ttl=reader.seconds("host_ttl", 300.0),
        max_hosts=reader.number("max_hosts", 1024),
        max_pending=breaker.number("max_pending_requests", 1024) if breaker is not None else 1024,
        query_timeout=reader.seconds("dns_query_timeout", 5.0),
        resolver=dns_resolver(reader),
    )


def dns_resolver(reader: Reader) -> DnsResolver | None:
    """Of a Cluster or a Bootstrap; None where it leaves the choice to the process. The newest of the fields that say so
    counts, as for Envoy."""
    tcp = reader.flag("use_tcp_for_dns_lookups")
    oldest = tuple(_server(each) for each in reader.children("dns_resolvers")) if _has_resolvers(reader) else ()
    resolver = DnsResolver(servers=oldest, tcp=tcp) if oldest or tcp else None
    if (older := reader.child("dns_resolution_config")) is not None:
        resolver = _resolution(older)
    config = reader.child("typed_dns_resolver_config")
    if config is not None:
        _, cares = typed(config, {_CARES: None}, "DNS resolver")
        resolver = _cares(cares) if cares is not None else None
    return resolver


def _has_resolvers(reader: Reader) -> bool:
    """Whether the message is one that has `dns_resolvers`: a Cluster is, a Bootstrap is not."""
    return "dns_resolvers" in reader.message.DESCRIPTOR.fields_by_name


def _resolution(reader: Reader) -> DnsResolver:
    servers = tuple(_server(each) for each in reader.children("resolvers"))
    tcp, search = _options(reader.child("dns_resolver_options"))
    return DnsResolver(servers=servers, tcp=tcp, search=search)


def _cares(reader: Reader) -> DnsResolver:
    default = DnsResolver()
    tcp, search = _options(reader.child("dns_resolver_options"))
    reader.only("edns0_max_payload_size", 0, _EDNS_SIZE, why="the c-ares binding has no other size")
    return DnsResolver(
        servers=tuple(_server(each) for each in reader.children("resolvers")),
        servers_as_fallback=reader.flag("use_resolvers_as_fallback"),
        tcp=tcp,
        search=search,
        rotate=reader.flag("rotate_nameservers"),
        timeout=float(reader.number("query_timeout_seconds", int(default.timeout))),
        tries=reader.number("query_tries", default.tries),
        filter_unroutable=reader.flag("filter_unroutable_families"),
    )


def _options(reader: Reader | None) -> tuple[bool, bool]:
    """Whether TCP is used, and search domains are."""
    if reader is None:
        return False, True
    return reader.flag("use_tcp_for_dns_lookups"), not reader.flag("no_default_search_domain")


def _server(reader: Reader) -> str:
    """A DNS server's address as c-ares spells it."""
    for other in ("pipe", "envoy_internal_address"):
        reader.refuse(other)
    socket = reader.child("socket_address")
    if socket is None:
        reader.problem("is required", "socket_address")
        return ""
    socket.enum("protocol")  # DNS has its own rules for when which is used
    for field in ("named_port", "resolver_name", "ipv4_compat", "network_namespace_filepath"):
        socket.refuse(field)
    host, port = socket.text("address"), socket.number("port_value") or 53
    if not is_ip(host):
        socket.problem(f"{host!r} is not an IP address", "address")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _failure_refresh(reader: Reader | None) -> tuple[float, float] | None:
    if reader is None:
        return None
    base = reader.seconds("base_interval")
    longest = reader.seconds("max_interval", base * 10)
    if longest < base:
        reader.problem("must not be less than base_interval", "max_interval")
    return base, longest
