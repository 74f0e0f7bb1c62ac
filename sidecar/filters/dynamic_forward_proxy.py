"""envoy.filters.http.dynamic_forward_proxy: the host that a request names is looked up before it goes on.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/dynamic_forward_proxy_filter
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.config.dns import dns_cache
from sidecar.config.dns_model import DnsCache
from sidecar.config.model import Address, Forward, Route
from sidecar.config.reader import Reader
from sidecar.filters import NO_STEPS, Decision, FilterContext, FilterType, Reply, Steps, Wait
from sidecar.http.exchange import FOUND_ADDRESS, Exchange
from sidecar.http.response_flags import Flag
from sidecar.upstream.dns_cache import CacheOverflowError, NameCache

HTTP_PORT: Final = 80
_NO_ADDRESS: Final = Reply(503, b"DNS resolution failure", "dns_resolution_failure", int(Flag.DF))


@dataclass(frozen=True, slots=True)
class DynamicForwardProxy:
    """Its cache is that of the cluster that a request goes to; `cache` is only compared with it by Envoy."""

    cache: DnsCache


class DynamicForwardProxyFilter:
    """For requests to clusters that find their hosts by name; others pass."""

    def __init__(self, _config: DynamicForwardProxy, _context: FilterContext) -> None:
        pass

    def bind(self, _overrides: Sequence[DynamicForwardProxy], route: Route | None) -> Steps:
        return Steps((_look_up,)) if route is not None and isinstance(route.action, Forward) else NO_STEPS


def _look_up(exchange: Exchange) -> Decision | None:
    names = exchange.cluster.names if exchange.cluster is not None else None
    if names is None:
        return None
    host, port = _authority(exchange.authority)
    found = names.known(host)
    if found is None:
        return Wait(lambda: _wait(exchange, names, host, port))
    return _taken(exchange, found, port)


async def _wait(exchange: Exchange, names: NameCache, host: str, port: int) -> Decision | None:
    try:
        found = await names.find(host)
    except CacheOverflowError as error:
        return Reply(503, str(error).encode(), str(error).lower().replace(" ", "_"), int(Flag.UO))
    return _taken(exchange, found, port)


def _taken(exchange: Exchange, addresses: tuple[str, ...], port: int) -> Reply | None:
    if not addresses:
        return _NO_ADDRESS
    exchange.keep(FOUND_ADDRESS, Address(addresses[0], port))
    return None


def _authority(authority: bytes) -> tuple[str, int]:
    """Host and port of an authority; HTTP's own where it names none."""
    text = authority.decode("latin-1").lower()
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port or not port.isdecimal():
        host, port = text, ""
    return host.removeprefix("[").removesuffix("]"), min(int(port), 65535) if port else HTTP_PORT


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────────────────


def compile(reader: Reader) -> DynamicForwardProxy:
    cache = reader.child("dns_cache_config")
    if cache is None:
        reader.problem("is required", "dns_cache_config")
        return DynamicForwardProxy(DnsCache(""))
    reader.only("save_upstream_address", False)
    return DynamicForwardProxy(dns_cache(cache))


FILTER: Final = FilterType(DynamicForwardProxy, DynamicForwardProxyFilter, compile)
