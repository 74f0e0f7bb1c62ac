"""How names become addresses: which resolver is asked, for what, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class DnsFamily(Enum):
    """Which addresses of a name are used."""

    AUTO = "AUTO"  # IPv6, or IPv4 where there is none
    ALL = "ALL"
    V4_PREFERRED = "V4_PREFERRED"
    V4_ONLY = "V4_ONLY"
    V6_ONLY = "V6_ONLY"


@dataclass(frozen=True, slots=True)
class DnsResolver:
    """A CaresDnsResolverConfig. Without `servers` the system's are asked; `timeout` is that of the first try at a server,
    of `tries` at each. The defaults are Envoy's, which are not c-ares' own."""

    servers: tuple[str, ...] = ()
    servers_as_fallback: bool = False  # use_resolvers_as_fallback: only where the system names none
    tcp: bool = False  # use_tcp_for_dns_lookups
    search: bool = True  # no_default_search_domain
    rotate: bool = False
    timeout: float = 5.0
    tries: int = 4
    filter_unroutable: bool = False


DEFAULT_RESOLVER: Final = DnsResolver()


@dataclass(frozen=True, slots=True)
class DnsDiscovery:
    """What a STRICT_DNS or LOGICAL_DNS cluster wants; `resolver` None: the process's."""

    family: DnsFamily = DnsFamily.AUTO
    refresh_rate: float = 5.0
    failure_refresh: tuple[float, float] | None = None  # base and ceiling of the waits after failed look-ups
    respect_ttl: bool = False
    jitter: float = 0.0  # at most this is added to the wait after an answer
    resolver: DnsResolver | None = None


@dataclass(frozen=True, slots=True)
class DnsCache:
    """A DnsCacheConfig: what a dynamic forward proxy keeps of names, and for how long (seconds)."""

    name: str
    family: DnsFamily = DnsFamily.AUTO
    refresh: float = 60.0  # after an answer without a time to live, or none
    min_refresh: float = 5.0
    host_ttl: float = 300.0  # that nobody asks for a name, until it is forgotten
    max_hosts: int = 1024
    max_pending: int = 1024  # requests that wait for an answer
    query_timeout: float = 5.0
    resolver: DnsResolver | None = None


DEFAULT_DNS: Final = DnsDiscovery()
